"""Movements: each is seen when it is made, and not when it stood there already, nor on a picture that is turned."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract.actions import Movement
from auth_vision import movement
from auth_vision.geometry import Box, Picture
from auth_vision.look import Face, Features, Pose
from auth_vision.movement import is_done, rest_of
from auth_vision.sight import Sight
from demo.puppet import Puppet, ada


def face(
    *, across: float = 0.0, down: float = 0.55, yaw: float = 0.0, pitch: float = -12.0, size: float = 1.0,
    eyes: float = 1.0, ratio: float = 0.3,
) -> Features:  # fmt: skip
    """A usual face, or one that moved."""
    points = np.zeros((68, 2))
    return Features(
        face=Face(Box(200, 100, 150 * size, 200 * size), points, points[:5], 0.99),
        pose=Pose(yaw, pitch, 0),
        nose_across=across,
        nose_down=down,
        eye_distance_px=60 * size,
        eyes_open=(eyes, eyes / 2),
        eye_ratio=ratio,
        light=120,
        detail=0.1,
    )


STILL = face()
REST = rest_of([STILL] * 3)
LEFT, RIGHT = face(across=0.2, yaw=12), face(across=-0.2, yaw=-12)
UP = face(down=0.4, pitch=-2)
SHUT, NARROW_SHUT = face(eyes=0.1, ratio=0.2), face(eyes=0.9, ratio=0.17)
NEAR = face(size=1.2)

SPECIFICATION: list[tuple[str, Movement, Sequence[Features], bool]] = [
    ("turned left", Movement.TURN_LEFT, [STILL, LEFT], True),
    ("and back", Movement.TURN_LEFT, [STILL, LEFT, STILL], True),
    ("turned left from the right", Movement.TURN_LEFT, [RIGHT, STILL, LEFT], True),
    ("turned right", Movement.TURN_RIGHT, [STILL, RIGHT], True),
    ("the other way", Movement.TURN_LEFT, [STILL, RIGHT], False),
    ("not far enough", Movement.TURN_LEFT, [STILL, face(across=0.11, yaw=12)], False),
    ("the head seems turned, the nose did not move: flat", Movement.TURN_LEFT, [STILL, face(yaw=30)], False),
    ("the nose moved, the head did not", Movement.TURN_LEFT, [STILL, face(across=0.3)], False),
    ("stood so from the beginning", Movement.TURN_LEFT, [LEFT, LEFT, LEFT], False),
    ("one picture only", Movement.TURN_LEFT, [LEFT], False),
    ("looked up", Movement.LOOK_UP, [STILL, UP], True),
    ("looked down", Movement.LOOK_UP, [STILL, face(down=0.7, pitch=-22)], False),
    ("nodded a little", Movement.LOOK_UP, [STILL, face(down=0.46, pitch=-2)], False),
    ("pitch without the nose: flat", Movement.LOOK_UP, [STILL, face(pitch=5)], False),
    ("turned, and up on the way", Movement.LOOK_UP, [STILL, face(down=0.4, pitch=-2, across=0.3, yaw=20)], False),
    ("looked up from the beginning", Movement.LOOK_UP, [UP, UP], False),
    ("came closer", Movement.COME_CLOSER, [STILL, NEAR], True),
    ("stood close from the beginning", Movement.COME_CLOSER, [NEAR, NEAR], False),
    ("went away", Movement.COME_CLOSER, [NEAR, STILL], False),
    ("a larger box around the same face", Movement.COME_CLOSER,
     [STILL, replace(NEAR, eye_distance_px=STILL.eye_distance_px)], False),
    ("blinked", Movement.BLINK, [STILL, SHUT, STILL], True),
    ("shut for long", Movement.BLINK, [STILL, SHUT, SHUT, SHUT, STILL], True),
    ("eyes that the model sees open all the time, shut by their height", Movement.BLINK, [STILL, NARROW_SHUT, STILL],
     True),
    ("shut and stayed shut", Movement.BLINK, [STILL, SHUT, SHUT], False),
    ("was shut and opened", Movement.BLINK, [SHUT, STILL], False),
    ("squinted", Movement.BLINK, [STILL, face(ratio=0.26), STILL], False),
    ("never shut", Movement.BLINK, [STILL, STILL, STILL], False),
]  # fmt: skip


@pytest.mark.parametrize(
    ("asked", "seen", "is_seen"), [r[1:] for r in SPECIFICATION], ids=[r[0] for r in SPECIFICATION]
)
def test_a_movement_is_seen_when_it_is_made(asked: Movement, seen: Sequence[Features], is_seen: bool) -> None:
    assert is_done(asked, REST, seen) is is_seen


def test_a_turn_is_not_measured_from_a_face_that_is_turned() -> None:
    away = face(across=0.1, yaw=movement.REST_YAW + 1)
    assert not is_done(Movement.TURN_LEFT, rest_of([away]), [away, face(across=0.4, yaw=40)])


@pytest.mark.parametrize("asked", Movement)
def test_nothing_is_no_movement(asked: Movement) -> None:
    assert not is_done(asked, REST, [])
    with pytest.raises(ValueError, match="no frontal picture"):
        rest_of([])


some = st.builds(
    face, across=st.floats(-1, 1), down=st.floats(-1, 2), yaw=st.floats(-90, 90), pitch=st.floats(-90, 90),
    size=st.floats(0.2, 5), eyes=st.floats(0, 1), ratio=st.floats(0, 1),
)  # fmt: skip


@given(some, st.integers(1, 6), st.sampled_from(Movement))
def test_a_picture_that_does_not_change_does_nothing(still: Features, count: int, asked: Movement) -> None:
    assert not is_done(asked, rest_of([still]), [still] * count)


@given(st.lists(some, min_size=1, max_size=6))
def test_nobody_turns_both_ways_with_one_turn(seen: list[Features]) -> None:
    both = [is_done(asked, REST, seen[:2]) for asked in (Movement.TURN_LEFT, Movement.TURN_RIGHT)]
    assert both != [True, True]


# A solid head, and a picture of one


@pytest.fixture(scope="module")
def puppet(models_folder: object) -> Puppet:
    return ada(models_folder)  # type: ignore[arg-type]


@pytest.mark.parametrize("made", Movement)
def test_a_solid_head_does_what_it_does_and_nothing_else(sight: Sight, puppet: Puppet, made: Movement) -> None:
    rest = rest_of(_features(sight, puppet.rest(3)))
    seen = _features(sight, puppet.act(made))
    assert {asked for asked in Movement if is_done(asked, rest, seen)} == {made}


TURNS = [(-50, 0), (-25, 0), (25, 0), (50, 0), (0, -35), (0, 35)]


@pytest.mark.parametrize("bend", [0.0, 0.15], ids=["flat", "bent"])
def test_a_print_that_is_turned_does_nothing(sight: Sight, astronaut: Picture, bend: float) -> None:
    portrait = np.asarray(cv2.resize(astronaut[:400, 60:460], (640, 640)), np.uint8)
    rest = _features(sight, [_print(portrait, 0, 0, bend)])
    for yaw, pitch in TURNS:
        seen = rest + _features(sight, [_print(portrait, yaw * share, pitch * share, bend) for share in (0.5, 1)])
        heads = {Movement.TURN_LEFT, Movement.TURN_RIGHT, Movement.LOOK_UP}
        assert not {asked for asked in heads if is_done(asked, rest_of(rest), seen)}, (yaw, pitch)


def _features(sight: Sight, pictures: Sequence[Picture]) -> list[Features]:
    looks = [sight.look(picture).features for picture in pictures]
    return [features for features in looks if features is not None]


def _print(picture: Picture, yaw: float, pitch: float, bend: float) -> Picture:
    """A square print, held 1.6 widths before a camera and turned so many degrees; `bend` is its depth in widths."""
    side = picture.shape[0]
    a, b = np.radians((yaw, pitch))
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 65), np.linspace(-0.5, 0.5, 65))
    z = -bend * (1 - (2 * x) ** 2)
    across, deep = x * np.cos(a) + z * np.sin(a), -x * np.sin(a) + z * np.cos(a)
    down, deep = y * np.cos(b) - deep * np.sin(b), y * np.sin(b) + deep * np.cos(b)
    seen = np.stack([across, down], -1) / (1.6 + deep)[..., None] * side * 1.3 + side / 2
    out = np.zeros_like(picture)
    corners = np.stack(np.meshgrid(np.linspace(0, side - 1, 65), np.linspace(0, side - 1, 65)), -1)
    for row in range(64):
        for column in range(64):
            _patch(picture, out, corners[row : row + 2, column : column + 2], seen[row : row + 2, column : column + 2])
    return out


def _patch(picture: Picture, out: Picture, source: np.ndarray, target: np.ndarray) -> None:
    """Copy one small square of the print to where it is seen."""
    low = np.floor(target.reshape(-1, 2).min(axis=0)).astype(int)
    high = np.ceil(target.reshape(-1, 2).max(axis=0)).astype(int) + 1
    low, high = np.maximum(low, 0), np.minimum(high, out.shape[0])
    width, height = high - low
    if width <= 0 or height <= 0:
        return
    matrix = cv2.getPerspectiveTransform(
        source.reshape(4, 2).astype(np.float32), (target.reshape(4, 2) - low).astype(np.float32)
    )
    patch = cv2.warpPerspective(picture, matrix, (int(width), int(height)), flags=cv2.INTER_LINEAR)
    mask = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(mask, np.round(target.reshape(4, 2)[[0, 1, 3, 2]] - low).astype(np.int32), 1)
    out[low[1] : high[1], low[0] : high[0]][mask == 1] = patch[mask == 1]
