"""Whether a frame is a copy of the enrolled picture: the same photograph sent back, not the same face again. Pure.

Two pictures of a person differ in their finest lines: another hair, another light, another noise. Those of a
copy are the same, however it was compressed, scaled, cropped, turned or lit.
"""

import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from auth_server.face.observation import Observation
from auth_vision.geometry import Picture, middle

COPY_MIN: Final = 0.9
"""Similarity from which on a frame counts as a copy. Measured: copies 0.938 at least (JPEG 25, other sizes and
light, cropped, turned by 12 degrees, in perspective); 200 pairs of LFW's pictures of one person 0.69 at most."""

EXACT_MIN: Final = 0.998
"""The same where movements were made, which a copy cannot: a face may stand as it was enrolled a minute ago, and
frames of one video half a second apart reach 0.99. Copies that were only compressed reach 0.999."""

COMPARED_MAX: Final = 3
"""Frames that are compared; each takes 10 ms."""

_LINES: Final = 2.5
"""Pixels of the Gaussian whose difference leaves lines: contours of light and of the head's turn are broader."""

_EDGE: Final = 8
"""Pixels at the border that a turn or crop may have changed."""

_STEPS: Final = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 20, 1e-4)


def against_copies(seen: Observation, enrolled_png: bytes, *, with_movements: bool) -> Observation:
    """Return an observation with `copy` for a problem where it shows the enrolled picture, and the evidence for it.

    An observation without faces to compare comes back as it is: presence is not asked for, or they could not be
    judged.
    """
    if not seen.chips:
        return seen
    similarity = closest(seen.chips[:: -(-len(seen.chips) // COMPARED_MAX)], enrolled_png)
    is_copy = not similarity < (EXACT_MIN if with_movements else COPY_MIN)  # so that a NaN is one
    evidence = {**seen.evidence, "copy_similarity": round(similarity, 4)}
    return replace(seen, evidence=evidence, problem="copy" if is_copy and not seen.problem else seen.problem)


def closest(chips: Sequence[Picture], enrolled_png: bytes) -> float:
    """Return how similar the most similar of some aligned faces is to an enrolled picture: 1 for the same, about 0
    for a stranger's. Raises ValueError for bytes that are no picture, and without any face.
    """
    enrolled = _grey(_picture(enrolled_png))
    return max(_similarity(_grey(chip), enrolled) for chip in chips)


def _picture(png: bytes) -> Picture:
    try:
        with Image.open(io.BytesIO(png), formats=("PNG",)) as image:
            return np.asarray(image.convert("RGB"), dtype=np.uint8)[:, :, ::-1]
    except OSError as error:
        raise ValueError("an enrolled picture is a PNG") from error


def _grey(chip: Picture) -> NDArray[np.float32]:
    face: Any = np.ascontiguousarray(middle(chip))
    return np.asarray(cv2.cvtColor(face, cv2.COLOR_BGR2GRAY), np.float32)


def _similarity(probe: NDArray[np.float32], enrolled: NDArray[np.float32]) -> float:
    """The correlation of the lines of two faces, once one is brought over the other."""
    register: Any = cv2.findTransformECC  # its types demand a mask
    try:
        _, matrix = register(enrolled, probe, np.eye(2, 3, dtype=np.float32), cv2.MOTION_AFFINE, _STEPS, None, 3)
    except cv2.error:  # they have so little in common that nothing brings them together
        return _correlation(_lines(probe), _lines(enrolled))
    size = (enrolled.shape[1], enrolled.shape[0])
    moved = cv2.warpAffine(probe, matrix, size, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)
    return _correlation(_lines(np.asarray(moved, np.float32)), _lines(enrolled))


def _lines(face: NDArray[np.float32]) -> NDArray[np.float32]:
    soft = cv2.GaussianBlur(face, (0, 0), 0.8)
    return np.asarray(soft - cv2.GaussianBlur(face, (0, 0), _LINES), np.float32)[_EDGE:-_EDGE, _EDGE:-_EDGE]


def _correlation(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    a, b = one - one.mean(), other - other.mean()
    sizes = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / sizes if sizes > 0 else 0.0
