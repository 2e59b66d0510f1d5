"""Error rates of made-up people, whose distances are known beforehand."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest

from auth_server.errors import EvaluationRefused
from auth_server.face import calibration
from auth_server.face.accuracy import accuracy, best_threshold
from auth_server.face.calibrating import curve, document, match_section
from auth_server.face.calibration import Identity
from auth_server.face.evaluation import Compared, evaluate
from auth_server.face.lfw import Pair, Portrait
from auth_server.face.pipeline import unit
from auth_server.face.sighting import Sighting, sighting_of

IDENTITY = Identity("model", "detector", "alignment", "fusion")


def seen(embedding: np.ndarray, code: str | None = None) -> Sighting:
    return Sighting(code, 1, unit(embedding), np.zeros((5, 2)))


def crowd(people: int, each: int, noise: float, seed: int = 3) -> dict[Portrait, Sighting]:
    """People far apart, whose pictures differ by some noise."""
    rng = np.random.default_rng(seed)
    found = {}
    for number in range(people):
        person = rng.normal(size=64)
        for picture in range(1, each + 1):
            found[Portrait(f"p{number:04d}", picture)] = seen(person + noise * rng.normal(size=64))
    return found


def genuine_pairs(sightings: dict[Portrait, Sighting]) -> list[Pair]:
    names = sorted({portrait.name for portrait in sightings})
    return [Pair(Portrait(name, 1), Portrait(name, 2), place % 2) for place, name in enumerate(names)]


class TestCounts:
    def test_a_picture_without_a_face_is_a_failure_and_compared_with_none(self) -> None:
        sightings = crowd(5, 2, 0.1) | {
            Portrait("p0000", 3): Sighting("no_face"),
            Portrait("q", 1): Sighting("malformed"),
        }
        pairs = [*genuine_pairs(sightings)[:5], Pair(Portrait("p0000", 1), Portrait("p0000", 3), 0)]
        found = evaluate(sightings, pairs)
        assert (found.failures.errors, found.failures.trials, found.pictures, found.people) == (2, 12, 12, 5)
        assert found.codes == {"malformed": 1, "no_face": 1}
        assert len(found.pairs) == 5
        assert (found.every.total, found.one_each.total) == (40, 10)

    def test_what_login_would_refuse_is_compared_and_told_apart(self) -> None:
        sightings = crowd(4, 2, 0.1)
        sightings[Portrait("p0001", 2)] = seen(-sightings[Portrait("p0001", 1)].embedding, "turned")
        told = evaluate(sightings, genuine_pairs(sightings)).document(0.5)
        assert (told["fnmr"]["errors"], told["fnmr"]["trials"]) == (1, 4)
        assert (told["fnmr_taken"]["errors"], told["fnmr_taken"]["trials"]) == (0, 3)

    def test_two_are_enrolled_as_one_and_the_rest_are_probes(self) -> None:
        x, y = np.eye(64)[:2]
        sightings = {
            **{Portrait("p", number): seen(vector) for number, vector in enumerate((x, y, x + y, x), 1)},
            Portrait("q", 1): seen(-x),
        }
        enrolled = evaluate(sightings, []).enrolled
        assert enrolled.third == pytest.approx([0.0], abs=1e-6)
        assert enrolled.later == pytest.approx([0.0, 1 - np.sqrt(0.5)], abs=1e-6)

    def test_the_first_picture_stands_for_each_person(self) -> None:
        sightings = crowd(3, 2, 0.1)
        assert evaluate(sightings, []).first_portraits == [Portrait(f"p{n:04d}", 1) for n in range(3)]

    def test_a_pair_without_a_picture_is_refused(self) -> None:
        with pytest.raises(EvaluationRefused, match="a pair names nobody 1, and there is no such picture"):
            evaluate(crowd(2, 1, 0.1), [Pair(Portrait("nobody", 1), Portrait("p0000", 1), 0)])

    def test_one_person_alone_is_refused(self) -> None:
        with pytest.raises(EvaluationRefused, match="faces of 1 people"):
            evaluate(crowd(1, 3, 0.1), [])


class TestCalibration:
    def test_the_threshold_claims_less_than_was_seen(self) -> None:
        sightings = crowd(900, 2, 0.4)
        found = evaluate(sightings, genuine_pairs(sightings))
        section = match_section(found, IDENTITY, "made up", date(2026, 11, 27))
        points = section["operating_points"]
        for name in ("1e-3", "1e-4"):
            seen_threshold = found.seen_threshold(float(name))
            assert points[name]["threshold"] < seen_threshold
            assert points[name]["fmr"] < points[name]["fmr_upper_95"] <= float(name)
        assert points["1e-4"]["threshold"] < points["1e-3"]["threshold"]
        assert "1e-6" not in points

    def test_the_server_reads_what_is_written(self, tmp_path) -> None:
        import json

        sightings = crowd(900, 2, 0.4)
        section = match_section(evaluate(sightings, genuine_pairs(sightings)), IDENTITY, "made up", date(2026, 11, 27))
        standing = calibration.load().document["presence"]
        (tmp_path / "c.json").write_text(json.dumps(document({"match": section, "presence": standing})))
        found = calibration.load(tmp_path / "c.json")
        assert found.identity == IDENTITY
        assert found.threshold == section["operating_points"]["1e-4"]["threshold"]
        assert found.false_match_rate(found.threshold) == pytest.approx(
            section["operating_points"]["1e-4"]["fmr"], rel=0.3
        )

    def test_few_people_calibrate_nothing(self) -> None:
        sightings = crowd(40, 2, 0.1)
        with pytest.raises(EvaluationRefused, match=r"of 40 people cannot show a false-match rate of 1e-3"):
            match_section(evaluate(sightings, genuine_pairs(sightings)), IDENTITY, "made up", date(2026, 11, 27))

    def test_a_curve_rises(self) -> None:
        points = curve(evaluate(crowd(200, 2, 0.3), []).every)
        assert all(near < far and low <= high for (near, low), (far, high) in pairwise(points))
        assert points[0][1] > 0 and points[-1][1] > 0.5


class TestAccuracy:
    def pairs(self, rows: list[tuple[bool, float, int]]) -> list[Compared]:
        one, same, other = Portrait("a", 1), Portrait("a", 2), Portrait("b", 1)
        return [
            Compared(Pair(one, same if genuine else other, fold), distance, True) for genuine, distance, fold in rows
        ]

    def test_each_fold_is_judged_by_the_others_threshold(self) -> None:
        rows = [(True, 0.2, 0), (False, 0.8, 0), (True, 0.5, 1), (False, 0.9, 1)]
        found = accuracy(self.pairs(rows))
        # Fold 1's pair at 0.5 is above 0.2, the best threshold of fold 0; both of fold 0 are right by 0.5.
        assert found is not None and found.folds == (1.0, 0.5) and found.is_held_out
        assert (found.mean, found.standard_error) == (0.75, pytest.approx(0.25))

    def test_one_fold_chooses_its_own(self) -> None:
        found = accuracy(self.pairs([(True, 0.2, 0), (False, 0.8, 0)]))
        assert found is not None and found.folds == (1.0,) and not found.is_held_out and found.standard_error is None

    @pytest.mark.parametrize("rows", [[], [(True, 0.1, 0)], [(False, 0.9, 0)]])
    def test_one_kind_of_pairs_has_none(self, rows: list[tuple[bool, float, int]]) -> None:
        assert accuracy(self.pairs(rows)) is None

    def test_where_strangers_are_nearer_nobody_is_accepted(self) -> None:
        assert best_threshold(np.array([0.1, 0.2, 0.9]), np.array([False, False, True])) < 0


@pytest.mark.parametrize("sighting", [Sighting("no_face"), seen(np.arange(1, 65), "turned")])
def test_a_sighting_comes_back_from_its_document(sighting: Sighting) -> None:
    again = sighting_of(sighting.document())
    assert (again.code, again.faces) == (sighting.code, sighting.faces)
    if sighting.embedding is not None:
        assert (again.embedding == sighting.embedding).all()
