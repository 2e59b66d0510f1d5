"""What is kept of one frame once it was looked at. Pure data.

A decoded frame is large; a look, a small grey picture and, of few frames, an aligned face are not.
"""

from dataclasses import dataclass, field
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from auth_server.face.pipeline import Embedding
from auth_vision.geometry import Picture
from auth_vision.look import Look, Pose

SMALL_WIDTH: Final = 160
"""Of the small grey picture: fine enough for a move of a face by a pixel, and noise is averaged out."""

Grey = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Glimpse:
    """A frame's look, and the whole frame in small: grey, `SMALL_WIDTH` wide."""

    look: Look
    small: Grey = field(repr=False)


@dataclass(frozen=True, slots=True)
class Portrait:
    """The face of one frame: aligned chip, unit-length embedding, and presence, None where that is off."""

    chip: Picture = field(repr=False)
    embedding: Embedding = field(repr=False)
    presence: float | None


def pose_of(glimpse: Glimpse) -> Pose:
    """Return where the face looks. Raises ValueError where there is none."""
    if glimpse.look.features is None:
        raise ValueError("a frame without a face has no pose")
    return glimpse.look.features.pose


def apart(one: Pose, other: Pose) -> float:
    """Return by how many degrees two poses differ, in yaw or in pitch."""
    return max(abs(one.yaw - other.yaw), abs(one.pitch - other.pitch))


def small_of(picture: Picture) -> Grey:
    """Return a BGR picture in small and grey."""
    rows, columns = picture.shape[:2]
    size = (SMALL_WIDTH, max(1, round(SMALL_WIDTH * rows / columns)))
    grey: Any = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8)
