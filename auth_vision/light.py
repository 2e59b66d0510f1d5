"""How a face is lit and how sharp it is. Pure functions of pixels.

Measured in the face alone: a bright window behind a person says nothing about the face before it.
"""

from typing import Final

import cv2
import numpy as np

from auth_vision.geometry import Picture, middle

FLAT_DEVIATION: Final = 8
"""Standard deviation of grey below which the detail seen is rounding; the least of any LFW face is 13."""


def light(chip: Picture) -> float:
    """Return the mean grey level of an aligned face, 0 to 255."""
    return float(_middle(chip).mean())


def detail(chip: Picture) -> float:
    """Return the sharpness of an aligned face: 0 for a flat one, about 0.1 for a usual photograph.

    The variance of the Laplacian over the variance of grey, so that contrast does not count.
    """
    grey = _middle(chip)
    contrast = float(grey.var())
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()) / contrast if contrast >= FLAT_DEVIATION**2 else 0.0


def _middle(chip: Picture) -> Picture:
    """The face without hair and background, grey."""
    return np.asarray(cv2.cvtColor(middle(chip), cv2.COLOR_BGR2GRAY), dtype=np.uint8)[20:100, 16:96]
