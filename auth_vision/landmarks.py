"""The 68 usual points of a face (iBUG 300-W order), whichever detector found its box."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from auth_vision import models
from auth_vision.geometry import Box, Picture, Points, channels_first, crop
from auth_vision.sessions import load_session, run

_SEEN_SIZE: Final = 64


class Landmarks:
    """Finds the points of a face."""

    def __init__(self, folder: Path) -> None:
        """Load the model. Raises ModelsRefused."""
        self._session = load_session(folder, models.LANDMARK)

    def find(self, picture: Picture, box: Box) -> Points:
        """Return 68 points in pixels of a BGR picture, 68 x 2."""
        square = box.squared()
        grey = cv2.cvtColor(crop(picture, square, _SEEN_SIZE), cv2.COLOR_BGR2GRAY)
        fractions = run(self._session, channels_first(grey[None, :, :, None], mean=0, deviation=256))[0].reshape(68, 2)
        return np.asarray(fractions.astype(np.float64) * square.height + (square.x, square.y))
