"""Where a head looks."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from auth_vision import models
from auth_vision.geometry import Box, Picture, crop
from auth_vision.look import Pose
from auth_vision.sessions import load_session, run, softmax

_SEEN_SIZE: Final = 224
_SCALE: Final = 1.5
_MEAN: Final = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION: Final = np.array([0.229, 0.224, 0.225], np.float32)
_BINS: Final = np.arange(66) * 3.0 - 99.0
"""Degrees of the bins over which the model spreads its probabilities."""


class PoseFinder:
    """Tells a head's turn by its picture."""

    def __init__(self, folder: Path, *, is_small: bool = False) -> None:
        """Load the model. Raises ModelsRefused."""
        self._session = load_session(folder, models.POSE, is_small=is_small)

    def find(self, picture: Picture, box: Box) -> Pose:
        """Return the pose of the face in `box` of a BGR picture."""
        rgb = cv2.cvtColor(crop(picture, box.scaled(_SCALE), _SEEN_SIZE), cv2.COLOR_BGR2RGB)
        scaled = (rgb.astype(np.float32) / np.float32(255) - _MEAN) / _DEVIATION
        scores = run(self._session, np.ascontiguousarray(scaled.transpose(2, 0, 1)[None]))
        yaw, pitch, roll = (float(softmax(one[0]) @ _BINS) for one in scores)
        # The model's yaw grows to the right of the person.
        return Pose(-yaw, pitch, roll)
