"""Whether frames of a recording are the same picture again. Pure.

No camera gives the same picture twice: each has its own noise, and nobody holds a head still to a tenth of a
pixel. Differences are means over the face in the small grey picture, in grey levels of 256. Measured: 1.0 at
least between frames of a live person 0.13 s apart, 1.9 at least where others stood between; between copies of
one picture 0.13 re-encoded (JPEG 90), 0.6 with the noise of a camera that sees it on a perfect screen.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from auth_server.face.glimpse import SMALL_WIDTH, Glimpse
from auth_vision.look import Look

IDENTICAL_MAX: Final = 0.2
"""Two such frames are one picture."""

REPEATED_MAX: Final = 0.7
"""So near nobody comes back to where they were, once they have moved."""

MOVED_MIN: Final = 5.0
"""A frame between, by which the face has moved."""


def problem_of_pictures(glimpses: Sequence[Glimpse]) -> str | None:
    """Return a word for the audit where a picture of a face comes twice, in frames of one size."""
    faces = [(glimpse.small.astype(np.float32), glimpse.look) for glimpse in glimpses if glimpse.look.features]
    count = len(faces)
    apart = np.array([_differences(grey, _face(look), [other for other, _ in faces]) for grey, look in faces])
    apart = apart.reshape(count, count)  # without any face an empty list has one dimension
    if (apart[~np.eye(count, dtype=bool)] <= IDENTICAL_MAX).any():
        return "identical_frames"
    for first in range(count):
        for later in range(first + 2, count):
            has_moved = apart[first, first + 1 : later].max() >= MOVED_MIN
            if has_moved and apart[first, later] <= REPEATED_MAX:
                return "repeated"
    return None


def _differences(
    grey: NDArray[np.float32], face: tuple[slice, slice], others: Sequence[NDArray[np.float32]]
) -> list[float]:
    """How far each picture is from one, where that has its face, whatever their brightness."""
    own = grey[face] - grey[face].mean()
    return [float(np.abs(own - (other[face] - other[face].mean())).mean()) for other in others]


def _face(look: Look) -> tuple[slice, slice]:
    """Where the face stands in the small picture: all of that where there is none."""
    if look.features is None:
        return slice(None), slice(None)
    box, scale = look.features.face.box, SMALL_WIDTH / look.width
    top, left = (max(int(edge * scale), 0) for edge in (box.y, box.x))
    bottom, right = (box.y + box.height) * scale, (box.x + box.width) * scale
    return slice(top, max(top, int(bottom)) + 1), slice(left, max(left, int(right)) + 1)
