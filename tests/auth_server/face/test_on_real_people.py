"""The engine on pictures of many people: known ones match, strangers do not, prints and screens fail."""

from collections.abc import Callable
from pathlib import Path

import pytest

from auth_contract.actions import CaptureHint
from auth_server.face.engine import FaceEngine, Observation
from auth_server.factors import face

Lfw = Callable[[str, int], bytes]


@pytest.fixture(scope="module")
def pairs(test_data: Path, engine: FaceEngine, lfw: Lfw) -> list[tuple[bool, Observation, Observation]]:
    """Every tenth pair of the protocol: whether it is one person, and what is seen of each."""
    found = []
    for line in (test_data / "lfw" / "pairs.txt").read_text().splitlines()[1::10]:
        columns = line.split()
        if len(columns) == 3:
            columns.insert(2, columns[0])
        name, number, other, other_number = columns
        found.append(
            (name == other, engine.observe([lfw(name, int(number))]), engine.observe([lfw(other, int(other_number))]))
        )
    return found


def test_few_normal_photographs_are_refused_and_only_for_several_faces(
    pairs: list[tuple[bool, Observation, Observation]],
) -> None:
    hints = [seen.capture_hint for _, *both in pairs for seen in both]
    assert set(hints) <= {None, CaptureHint.SEVERAL_FACES}
    assert sum(hint is not None for hint in hints) < 0.2 * len(hints)


def test_people_match_themselves_and_nobody_else(
    pairs: list[tuple[bool, Observation, Observation]], engine: FaceEngine
) -> None:
    verdicts: dict[bool, list[bool]] = {True: [], False: []}
    for is_genuine, claim, enrolled in pairs:
        if enrolled.template is not None and claim.template is not None:
            verdict = face.verify(
                claim=claim, enrolment=enrolled.template, threshold=engine.threshold, presence_threshold=None
            )
            verdicts[is_genuine].append(verdict.passed)
    assert len(verdicts[True]) > 30
    assert len(verdicts[False]) > 30
    assert sum(verdicts[True]) >= 0.88 * len(verdicts[True])
    assert not any(verdicts[False])


@pytest.mark.parametrize("picture", ["attack-1.jpg", "attack-2.jpg"])
def test_a_print_of_the_right_person_is_not_present(test_data: Path, engine: FaceEngine, picture: str) -> None:
    frame = (test_data / "liveness" / picture).read_bytes()
    verdict = face.verify(
        claim=engine.observe([frame] * 3),
        enrolment=engine.enrol([frame]).template,
        threshold=engine.threshold,
        presence_threshold=engine.presence_threshold,
    )
    assert float(str(verdict.evidence["distance"])) < 0.01
    assert not verdict.passed


def test_a_live_person_is_present(test_data: Path, engine: FaceEngine) -> None:
    seen = engine.observe([(test_data / "liveness" / "live-1.jpg").read_bytes()])
    assert seen.presence is not None
    assert engine.presence_threshold is not None
    assert seen.presence > engine.presence_threshold
