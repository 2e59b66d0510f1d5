"""One look: the largest face is measured, the others are counted, and the nose tells a turn."""

import cv2
import numpy as np
import pytest

from auth_vision.geometry import REFERENCE_POINTS
from auth_vision.sight import Sight, nose_place


def test_a_portrait_is_measured(sight: Sight, astronaut: np.ndarray) -> None:
    look = sight.look(astronaut)
    assert (look.width, look.height) == (512, 512)
    assert look.features
    assert look.face_heights == (look.features.face.height,)
    features = look.features
    assert abs(features.nose_across) < 0.1
    assert 0.5 < features.nose_down < 0.75
    assert features.eye_distance_px == pytest.approx(43, abs=2)
    assert min(features.eyes_open) > 0.9
    assert 0.25 < features.eye_ratio < 0.35
    assert 130 < features.light < 180
    assert features.detail > 0.1


def test_no_face_has_no_features(sight: Sight) -> None:
    look = sight.look(np.full((480, 640, 3), 128, np.uint8))
    assert (look.face_heights, look.features) == ((), None)


def test_the_largest_face_is_the_one_that_is_measured(sight: Sight, astronaut: np.ndarray) -> None:
    smaller = cv2.resize(astronaut, None, fx=0.7, fy=0.7, interpolation=cv2.INTER_AREA)
    both = np.zeros((512, 900, 3), np.uint8)
    both[:358, :358], both[:, 388:] = smaller, astronaut[:, :512]
    look = sight.look(both)
    assert look.features
    assert look.features.face.box.x > 400
    assert look.face_heights[0] == pytest.approx(look.face_heights[1] / 0.7, rel=0.15)


@pytest.mark.parametrize("change", ["mirrored", "half the size", "dark", "tilted"])
def test_what_is_no_turn_does_not_move_the_nose(sight: Sight, astronaut: np.ndarray, change: str) -> None:
    changed = {
        "mirrored": lambda: np.ascontiguousarray(astronaut[:, ::-1]),
        "half the size": lambda: cv2.resize(astronaut, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        "dark": lambda: (astronaut * 0.3).astype(np.uint8),
        "tilted": lambda: cv2.warpAffine(astronaut, cv2.getRotationMatrix2D((224, 118), 15, 1), (512, 512)),
    }[change]()
    before, after = sight.look(astronaut).features, sight.look(changed).features
    assert before
    assert after
    assert abs(after.nose_across - before.nose_across) < 0.05
    assert abs(after.nose_down - before.nose_down) < 0.05


@pytest.mark.parametrize("shift", [-20, -5, 0, 5, 20])
def test_the_nose_is_told_in_the_faces_own_measures(shift: float) -> None:
    points = REFERENCE_POINTS.copy()
    points[2] += (shift, 0)
    straight = nose_place(REFERENCE_POINTS)
    moved = nose_place(points)
    assert moved[0] - straight[0] == pytest.approx(shift / straight[2], abs=0.01)
    angle = 0.6
    turn = 3 * np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    turned = nose_place(points @ turn + (40, -7))
    assert turned[:2] == pytest.approx(moved[:2])
    assert turned[2] == pytest.approx(3 * moved[2])


def test_points_that_fell_together_have_a_place_too() -> None:
    assert nose_place(np.zeros((5, 2)))[:2] == (0, 0)
