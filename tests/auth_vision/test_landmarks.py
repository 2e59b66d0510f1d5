"""The 68 points follow the face, whatever its size and place."""

import cv2
import numpy as np
import pytest

from auth_vision.geometry import Box, five_points
from auth_vision.sight import Sight

BOX = Box(179, 63, 90, 111)


def test_the_points_are_where_the_face_has_them(sight: Sight, astronaut: np.ndarray) -> None:
    points = sight.landmarks.find(astronaut, BOX)
    assert points.shape == (68, 2)
    right_eye, left_eye, nose, mouth, chin = (
        points[part].mean(axis=0) for part in (range(36, 42), range(42, 48), [30], range(48, 68), [8])
    )
    assert np.allclose(right_eye, (205, 101), atol=4), "the person's right eye, left in the picture"
    assert np.allclose(left_eye, (247, 104), atol=4)
    assert right_eye[0] < nose[0] < left_eye[0]
    assert left_eye[1] < nose[1] < mouth[1] < chin[1]


@pytest.mark.parametrize(("scale", "x", "y"), [(0.5, 0, 0), (1.0, -60, 40), (2.0, 100, 30)])
def test_they_move_and_grow_with_it(sight: Sight, astronaut: np.ndarray, scale: float, x: int, y: int) -> None:
    matrix = np.array([[scale, 0, x], [0, scale, y]], np.float64)
    moved = np.asarray(cv2.warpAffine(astronaut, matrix, (1200, 800), borderMode=cv2.BORDER_REPLICATE), np.uint8)
    box = Box(BOX.x * scale + x, BOX.y * scale + y, BOX.width * scale, BOX.height * scale)
    expected = sight.landmarks.find(astronaut, BOX) * scale + (x, y)
    assert np.abs(sight.landmarks.find(moved, box) - expected).max() < 4 * scale


@pytest.mark.parametrize("degrees", [0, -45, 45])
def test_the_points_of_a_face_stay_when_it_is_looked_at_again(
    sight: Sight, astronaut: np.ndarray, degrees: int
) -> None:
    turn = cv2.getRotationMatrix2D((224, 118), degrees, 1) + np.array([[0, 0, 32], [0, 0, 138]])
    features = sight.look(np.asarray(cv2.warpAffine(astronaut, turn, (512, 512)), np.uint8)).features
    assert features
    assert features.unsteadiness < 0.025


def test_points_that_were_made_up_do_not_stay(sight: Sight) -> None:
    noise = np.random.default_rng(8).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    box = Box(50, 50, 120, 150)
    assert sight.landmarks.unsteadiness(noise, box, five_points(sight.landmarks.find(noise, box))) > 0.04
