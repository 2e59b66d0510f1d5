"""Open eyes are seen open, covered ones are not; an eye's height over its width is told by its landmarks."""

import cv2
import numpy as np
import pytest

from auth_vision.eyes import eye_ratio
from auth_vision.geometry import Points
from auth_vision.sight import Sight


def with_lids(picture: np.ndarray, landmarks: Points, eyes: tuple[int, ...]) -> np.ndarray:
    """The portrait with skin over some of its eyes."""
    lids = np.zeros(picture.shape[:2], np.uint8)
    for start in eyes:
        eye = landmarks[start : start + 6]
        width = float(np.linalg.norm(eye[3] - eye[0]))
        x, y = eye.mean(axis=0)
        cv2.ellipse(lids, (int(x), int(y)), (int(0.7 * width), int(0.4 * width)), 0, 0, 360, 255, -1)
    return np.asarray(cv2.inpaint(picture, lids, 5, cv2.INPAINT_TELEA), np.uint8)


@pytest.mark.parametrize(
    ("covered", "is_open"),
    [((), (True, True)), ((36,), (False, True)), ((42,), (True, False)), ((36, 42), (False, False))],
    ids=["none", "the right", "the left", "both"],
)
def test_each_eye_is_seen_by_itself(
    sight: Sight, astronaut: np.ndarray, covered: tuple[int, ...], is_open: tuple[bool, bool]
) -> None:
    features = sight.look(astronaut).features
    assert features
    landmarks = features.face.landmarks
    found = sight.eyes.open(with_lids(astronaut, landmarks, covered), landmarks)
    assert tuple(probability > 0.5 for probability in found) == is_open


@pytest.mark.parametrize(("height", "ratio"), [(0, 0), (3, 0.3), (6, 0.6)])
@pytest.mark.parametrize("degrees", [0, 30, 90])
def test_the_ratio_is_height_over_width_however_the_head_is_tilted(height: float, ratio: float, degrees: int) -> None:
    eye = np.array([[0, 0], [3, -height / 2], [7, -height / 2], [10, 0], [7, height / 2], [3, height / 2]])
    points = np.zeros((68, 2))
    points[36:42], points[42:48] = eye, eye + np.array([30, 0])
    angle = np.radians(degrees)
    turned = points @ np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    assert eye_ratio(turned) == pytest.approx(ratio)


def test_points_that_fell_together_have_a_ratio_too() -> None:
    assert eye_ratio(np.zeros((68, 2))) == 0
