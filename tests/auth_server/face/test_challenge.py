"""What is asked for cannot be foreseen, is never less for anybody, and is looked for as it was asked."""

import itertools
import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract.actions import Movement
from auth_contract.limits import MOVEMENTS_MAX
from auth_contract.messages import FrameMark
from auth_server.face.challenge import HEAD, draw, is_flat, missing
from auth_server.face.glimpse import Glimpse
from auth_server.face.recording import Recording
from auth_vision.geometry import Box
from auth_vision.look import Face, Features, Look, Pose

ALL = tuple(Movement)


def chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 - a test wants the same each time


@given(
    st.integers(2, MOVEMENTS_MAX),
    st.frozensets(st.sampled_from(ALL), max_size=len(ALL)),
    st.integers(0, 2**32),
)
def test_everybody_is_asked_for_as_much_and_for_what_they_can(
    count: int, exempt: frozenset[Movement], seed: int
) -> None:
    drawn = draw(ALL, count, exempt, chance(seed))
    able = set(ALL) - exempt or set(ALL)
    assert len(drawn) == count
    assert set(drawn) <= able
    assert len(set(drawn)) == min(count, len(able)), "none comes twice while another is left"
    assert len(able) == 1 or all(one is not other for one, other in itertools.pairwise(drawn))
    assert HEAD & set(drawn) or not HEAD & able


def test_all_sequences_come_and_none_more_often() -> None:
    rng = chance(4)
    seen = Counter(draw(ALL, 3, frozenset(), rng) for _ in range(12_000))
    assert len(seen) == 60
    assert max(seen.values()) < 2 * min(seen.values())


def test_chance_is_what_was_handed_in() -> None:
    assert draw(ALL, 4, frozenset(), chance(7)) == draw(ALL, 4, frozenset(), chance(7))


# Frames of made-up measures

REST = Features(
    face=Face(Box(100, 100, 100, 130), np.zeros((68, 2)), np.zeros((5, 2)), 0.99),
    pose=Pose(0, -12, 0),
    nose_across=0.0, nose_down=0.55, eye_distance_px=50, eyes_open=(1.0, 1.0), eye_ratio=0.3, light=120, detail=0.1,
)  # fmt: skip


def seen(**changes: object) -> Glimpse:
    features = replace(REST, **changes)  # type: ignore[arg-type]
    return Glimpse(Look(640, 480, (130.0,), features), np.zeros((120, 160), np.uint8))


STILL = seen()
LEFT = seen(nose_across=0.3, pose=Pose(20, -12, 0))
RIGHT = seen(nose_across=-0.3, pose=Pose(-20, -12, 0))
PRINT = seen(nose_across=0.02, pose=Pose(25, -12, 0))
SHUT = seen(eye_ratio=0.15, eyes_open=(0.0, 0.0))


def acted(movements: tuple[Movement, ...], *parts: tuple[Glimpse, ...]) -> tuple[Recording, list[Glimpse]]:
    whole = ((STILL, STILL), *parts, (STILL, STILL))
    marks = tuple(FrameMark(at_ms=0, part=number) for number, part in enumerate(whole) for _ in part)
    glimpses = [glimpse for part in whole for glimpse in part]
    return Recording((b"",) * len(marks), marks, movements), glimpses


@pytest.mark.parametrize(
    ("movements", "parts", "number"),
    [
        ((Movement.TURN_LEFT, Movement.BLINK), ((STILL, LEFT), (STILL, SHUT, STILL)), None),
        ((Movement.BLINK, Movement.TURN_LEFT), ((STILL, LEFT), (STILL, SHUT, STILL)), 1),
        ((Movement.TURN_LEFT, Movement.BLINK), ((STILL, LEFT), (STILL, STILL, STILL)), 2),
        ((Movement.TURN_LEFT, Movement.TURN_RIGHT), ((STILL, LEFT), (LEFT, STILL, RIGHT)), None),
        ((Movement.TURN_LEFT, Movement.TURN_LEFT), ((STILL, LEFT), (LEFT, LEFT)), 2),
        ((Movement.TURN_LEFT,), ((STILL, RIGHT, STILL, LEFT),), 1),
        ((Movement.BLINK,), ((STILL, LEFT, STILL, SHUT, STILL),), 1),
        ((Movement.TURN_LEFT,), ((STILL, PRINT),), 1),
    ],
    ids=[
        "as asked", "in the other order", "one left out", "from one side to the other", "begun in the part before",
        "the other side first", "a turn that was not asked for", "a print",
    ],
)  # fmt: skip
def test_movements_count_as_asked_and_in_their_parts(movements, parts, number) -> None:
    assert missing(*acted(movements, *parts)) == number


def test_a_face_that_turns_without_depth_is_flat() -> None:
    assert is_flat(*acted((Movement.TURN_LEFT,), (STILL, PRINT)), 1)
    assert not is_flat(*acted((Movement.TURN_LEFT,), (STILL, LEFT)), 1)
    assert not is_flat(*acted((Movement.TURN_LEFT,), (STILL, STILL)), 1)
