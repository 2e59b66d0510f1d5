"""The calibration: measured for the models in use, with the rates that the product claims, and refused for others."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from auth_server.errors import SettingsRefused
from auth_server.face import calibration
from auth_server.face.calibration import Identity
from auth_server.face.pipeline import identity_of, presence_name
from auth_server.face.thresholds import calibration_of, thresholds_of
from auth_server.settings import FaceSettings

DOCUMENT = json.loads(Path(calibration.__file__).with_name(calibration.DATA_FILE).read_text())

Write = Callable[[Any], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a calibration file."""

    def put(document: Any) -> Path:
        path = tmp_path / "calibration.json"
        path.write_text(json.dumps(document))
        return path

    return put


def settings(**chosen) -> FaceSettings:
    return FaceSettings(models=Path("models"), **chosen)


class TestPackage:
    def test_the_models_in_use_are_the_ones_that_were_measured(self) -> None:
        found = calibration.load()
        assert found.identity == identity_of(settings())
        assert found.presence_model == presence_name()
        # 0.590 is the threshold that an independent measurement of all 13,233 pictures gave for 1e-4.
        assert 0.5 < found.threshold < 0.59 < found.one_person_max < 0.7

    @pytest.mark.parametrize(("name", "rate"), [("1e-3", 1e-3), ("1e-4", 1e-4)])
    def test_the_claimed_rate_is_bounded_and_both_errors_are_stated(self, name: str, rate: float) -> None:
        measured = DOCUMENT["match"]
        point = measured["operating_points"][name]
        assert point["fmr"] < point["fmr_upper_95"] <= rate
        assert 0 < point["fnmr"] < point["fnmr_upper_95"] < 0.1
        assert measured["stranger_comparisons"] > 1_000_000
        assert measured["genuine_comparisons"] == 600
        assert measured["date"] and measured["data"]

    def test_presence_states_both_errors_and_how_little_is_known(self) -> None:
        presence = DOCUMENT["presence"]
        assert presence["threshold"] == thresholds_of(settings()).presence
        for side in ("attacks", "live"):
            assert presence[side]["error_rate"] < presence[side]["upper_95_by_presentation"]


class TestInForce:
    def test_a_file_of_the_same_models_is_used(self, write: Write) -> None:
        document = copy.deepcopy(DOCUMENT)
        document["match"]["operating_points"]["1e-4"]["threshold"] = 0.5
        document["presence"]["threshold"] = 0.75
        found = thresholds_of(settings(calibration=write(document)))
        assert (found.match, found.presence) == (0.5, 0.75)

    @pytest.mark.parametrize("name", Identity.__dataclass_fields__)
    def test_one_of_another_model_detector_alignment_or_fusion_is_refused(self, write: Write, name: str) -> None:
        document = copy.deepcopy(DOCUMENT)
        document["match"][name] = "another"
        for threshold in (None, 0.5):
            with pytest.raises(SettingsRefused, match=f"was measured with {name} 'another', not"):
                thresholds_of(settings(calibration=write(document), threshold=threshold))

    @pytest.mark.parametrize("chosen", [{"recogniser": "Dlib"}, {"detector": "yunet"}])
    def test_what_was_never_measured_needs_a_threshold_of_its_own(self, chosen: dict[str, str]) -> None:
        assert calibration_of(settings(**chosen)) is None
        with pytest.raises(SettingsRefused, match=r"no calibration is known for face\.recogniser"):
            thresholds_of(settings(**chosen))
        assert thresholds_of(settings(**chosen, threshold=0.07)).match == 0.07

    def test_a_threshold_of_its_own_leaves_frames_of_one_person_as_loose_as_was_measured(self) -> None:
        assert thresholds_of(settings(threshold=0.1)).one_person_max == calibration.load().one_person_max
        assert thresholds_of(settings(threshold=0.9)).one_person_max == 0.9

    def test_one_of_another_presence_model_is_refused_unless_the_look_is_not_judged(self, write: Write) -> None:
        document = copy.deepcopy(DOCUMENT)
        document["presence"]["model"] = "another"
        with pytest.raises(SettingsRefused, match="its presence threshold was measured with 'another'"):
            thresholds_of(settings(calibration=write(document)))
        assert thresholds_of(settings(calibration=write(document), presence="active")).presence is None


def without(*path: str) -> Any:
    document = copy.deepcopy(DOCUMENT)
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return document


def with_value(value: Any, *path: str) -> Any:
    document = without(*path)
    inner = document
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return document


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        without("match"),
        without("match", "fusion"),
        without("match", "operating_points", "1e-4"),
        without("presence", "threshold"),
        with_value(1, "format"),
        with_value(None, "match", "operating_points", "1e-4", "threshold"),
        with_value(float("nan"), "match", "operating_points", "1e-4", "threshold"),
        with_value(-0.1, "match", "operating_points", "1e-4", "threshold"),
        with_value(0.9, "match", "operating_points", "1e-4", "threshold"),
        with_value(float("nan"), "presence", "threshold"),
        with_value(0, "presence", "threshold"),
        with_value([[0.5, 0.1], [0.4, 0.2]], "match", "curve"),
        with_value([[0.5, float("nan")]], "match", "curve"),
    ],
)
def test_what_is_no_calibration_is_refused_by_the_name_of_its_file(write: Write, document: Any) -> None:
    with pytest.raises(SettingsRefused, match=r"calibration\.json' is no calibration"):
        calibration.load(write(document))


def test_a_file_that_is_not_there_or_no_json_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsRefused, match="cannot be read"):
        calibration.load(tmp_path / "none.json")
    (tmp_path / "text").write_bytes(b"\xff")
    with pytest.raises(SettingsRefused, match="is no calibration"):
        calibration.load(tmp_path / "text")


def test_a_distance_has_a_rate_between_those_that_were_measured(write: Write) -> None:
    found = calibration.load(write(with_value([[0.4, 1e-6], [0.6, 1e-4], [1.0, 0.5]], "match", "curve")))
    assert found.false_match_rate(0.39) is None
    assert found.false_match_rate(0.4) == pytest.approx(1e-6)
    assert found.false_match_rate(0.5) == pytest.approx(1e-5)
    assert found.false_match_rate(0.6) == pytest.approx(1e-4)
    assert found.false_match_rate(1.9) == 0.5
