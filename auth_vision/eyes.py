"""Whether a person's eyes are open."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from auth_vision import models
from auth_vision.geometry import Box, Picture, Points, channels_first, crop
from auth_vision.sessions import load_session, run, softmax

_SEEN_SIZE: Final = 24
_SCALE: Final = 1.6
_OPEN: Final = 1
"""The model's second number: 90 % of the eyes of LFW's portraits are open by it."""

_EYES: Final = (36, 42)
"""The first of each eye's six landmarks, left of the picture first."""


class Eyes:
    """Looks at the eyes of a face."""

    def __init__(self, folder: Path, *, is_small: bool = False) -> None:
        """Load the model. Raises ModelsRefused."""
        self._session = load_session(folder, models.EYE, is_small=is_small)

    def open(self, picture: Picture, landmarks: Points) -> tuple[float, float]:
        """Return the probabilities of open eyes, left of the picture first."""
        first, second = (self._open(picture, landmarks[start : start + 6]) for start in _EYES)
        return first, second

    def _open(self, picture: Picture, eye: Points) -> float:
        x, y = eye[[1, 2, 4, 5]].mean(axis=0)
        side = max(float(np.linalg.norm(eye[3] - eye[0])) * _SCALE, 1.0)
        grey = cv2.cvtColor(crop(picture, Box(x - side / 2, y - side / 2, side, side), _SEEN_SIZE), cv2.COLOR_BGR2GRAY)
        scores = run(self._session, channels_first(grey[None, :, :, None], mean=0, deviation=255))[0][0]
        return float(softmax(scores)[_OPEN])


def eye_ratio(landmarks: Points) -> float:
    """Return the height of both eyes over their width, in the mean (Soukupova and Cech 2016)."""
    ratios = []
    for start in _EYES:
        eye = landmarks[start : start + 6]
        height = float(np.linalg.norm(eye[1] - eye[5]) + np.linalg.norm(eye[2] - eye[4])) / 2
        ratios.append(height / max(float(np.linalg.norm(eye[3] - eye[0])), 1e-6))
    return sum(ratios) / 2
