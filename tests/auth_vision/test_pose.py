"""Where a head looks: signs are the person's own, as a person is asked to turn."""

import cv2
import numpy as np
import pytest

from auth_vision.geometry import Box
from auth_vision.look import Pose
from auth_vision.pose import PoseFinder


@pytest.fixture(scope="module")
def finder(models_folder) -> PoseFinder:
    return PoseFinder(models_folder)


def pose_of(finder: PoseFinder, picture: np.ndarray) -> Pose:
    return finder.find(np.ascontiguousarray(picture), Box(179, 63, 90, 111))


def test_a_frontal_portrait_looks_ahead(finder: PoseFinder, astronaut: np.ndarray) -> None:
    pose = pose_of(finder, astronaut)
    assert abs(pose.yaw) < 5
    assert -20 < pose.pitch < -5
    assert abs(pose.roll) < 8


@pytest.mark.parametrize("degrees", [-20, -10, 10, 20])
def test_a_head_tilted_to_its_left_shoulder_has_a_positive_roll(
    finder: PoseFinder, astronaut: np.ndarray, degrees: int
) -> None:
    """OpenCV turns a picture against the clock for a positive angle: to the person's right shoulder."""
    turn = cv2.getRotationMatrix2D((224, 118), degrees, 1)
    tilted = pose_of(finder, np.asarray(cv2.warpAffine(astronaut, turn, (512, 512)), np.uint8))
    straight = pose_of(finder, astronaut)
    assert straight.roll - tilted.roll == pytest.approx(degrees, abs=8)
    assert abs(tilted.yaw) < 8
