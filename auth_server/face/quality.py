"""Whether a picture can be judged at all. Pure functions, with bounds that were measured.

Measured on the 600 genuine pairs of the LFW test folder, one picture of each degraded; "missed"
is the share above the distance for a false-match rate of 1e-4, 4 to 6 % for undegraded ones.
Of 1,583 LFW pictures 179 are refused for several faces, which they show, and none for the rest.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import cv2

from auth_contract.actions import CaptureHint
from auth_server.face.geometry import Picture

FACE_MIN_CONFIDENCE: Final = 0.9
"""Below it the detector sees faces in lettering and ties; 2 of 1,583 LFW portraits score less."""

RIVAL_MIN_RATIO: Final = 0.4
"""A second face this high, relative to the largest, could be meant as well; smaller ones are passers-by."""

FACE_MIN_HEIGHT: Final = 48
"""Pixels. Missed: 7 % at 65, 7.5 % at 53, 14 % at 40, 57 % at 27."""

DARK_MEAN: Final = 40
"""Grey level of the face, 0 to 255. Missed: 10 % at 39, 16 % at 26; presence fails before that."""

BRIGHT_MEAN: Final = 210
"""Missed: 7 % at 175, 11 % at 207, 19 % at 222."""

BLURRED_DETAIL: Final = 0.012
"""Variance of the Laplacian over variance of grey, so contrast does not count. Medians: 0.10 as it
is, 0.015 after a Gaussian blur of 2 pixels (missed: 15 %), 0.0085 after one of 3 (missed: 64 %)."""


FLAT_DEVIATION: Final = 8
"""Standard deviation of grey below which the detail seen is rounding; the least of any LFW face is 13."""


class SizedFace(Protocol):
    """What is asked of a detected face."""

    @property
    def height(self) -> float:
        """Of its box, in pixels."""


def count_hint(faces: Sequence[SizedFace]) -> CaptureHint | None:
    """Return why these faces, largest first, are not exactly one of usable size."""
    if not faces:
        return CaptureHint.NO_FACE
    if len(faces) > 1 and faces[1].height >= RIVAL_MIN_RATIO * faces[0].height:
        return CaptureHint.SEVERAL_FACES
    return CaptureHint.TOO_SMALL if faces[0].height < FACE_MIN_HEIGHT else None


def light_and_blur_hint(chip: Picture) -> CaptureHint | None:
    """Return what is wrong with the light or the sharpness of an aligned face."""
    grey = cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY)[20:100, 16:96]
    mean = float(grey.mean())
    if mean < DARK_MEAN:
        return CaptureHint.TOO_DARK
    if mean > BRIGHT_MEAN:
        return CaptureHint.TOO_BRIGHT
    return CaptureHint.BLURRED if detail(chip) < BLURRED_DETAIL else None


def detail(chip: Picture) -> float:
    """Return the sharpness of an aligned face: 0 for a flat one, about 0.1 for a usual photograph."""
    grey = cv2.cvtColor(chip, cv2.COLOR_BGR2GRAY)[20:100, 16:96]
    contrast = float(grey.var())
    return float(cv2.Laplacian(grey, cv2.CV_64F).var()) / contrast if contrast >= FLAT_DEVIATION**2 else 0.0
