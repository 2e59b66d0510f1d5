"""The 68 usual points of a face (iBUG 300-W order), whichever detector found its box."""

from dataclasses import replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from auth_vision import models
from auth_vision.geometry import Box, Picture, Points, channels_first, crop, five_points
from auth_vision.sessions import load_session, run

_SEEN_SIZE: Final = 64
_MIRRORED: Final = [1, 0, 2, 4, 3]
"""The five points of a mirrored face, in the order of the face itself."""


class Landmarks:
    """Finds the points of a face."""

    def __init__(self, folder: Path, *, is_small: bool = False) -> None:
        """Load the model. Raises ModelsRefused."""
        self._session = load_session(folder, models.LANDMARK, is_small=is_small)

    def find(self, picture: Picture, box: Box) -> Points:
        """Return 68 points in pixels of a BGR picture, 68 x 2."""
        return self._find(crop(picture, box.squared(), _SEEN_SIZE), box.squared())

    def unsteadiness(self, picture: Picture, box: Box, points: Points) -> float:
        """Return how far five points of a face move when they are looked for in other crops, in heights of its box.

        One crop is wider and mirrored, one lower: to a face neither makes a difference.
        """
        wider = box.scaled(1.15).squared()
        mirrored = np.ascontiguousarray(crop(picture, wider, _SEEN_SIZE)[:, ::-1])
        again = five_points(self._find(mirrored, wider))[_MIRRORED]
        again[:, 0] = 2 * wider.x + wider.width - again[:, 0]
        lower = five_points(self.find(picture, replace(box, y=box.y + 0.08 * box.height)))
        moved = [np.linalg.norm(other - points, axis=1).mean() for other in (again, lower)]
        return float(np.mean(moved)) / box.height

    def _find(self, seen: Picture, square: Box) -> Points:
        grey = cv2.cvtColor(seen, cv2.COLOR_BGR2GRAY)
        fractions = run(self._session, channels_first(grey[None, :, :, None], mean=0, deviation=256))[0].reshape(68, 2)
        return np.asarray(fractions.astype(np.float64) * square.height + (square.x, square.y))
