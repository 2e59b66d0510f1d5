"""Boxes, crops and alignment. Pure functions of pixels and numbers.

Coordinates are pixels, x to the right and y down; pictures are BGR, as OpenCV has them.
"""

from dataclasses import dataclass
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Points = NDArray[np.float64]

FACE_SIZE: Final = 112
"""Side of ArcFace's aligned face, in pixels."""

CHIP_SIZE: Final = 128
"""Side of an aligned face with a rim of what stands around it, so that it can be seen again a little smaller."""

REFERENCE_POINTS: Final[Points] = np.array(
    [[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]
)
"""Where ArcFace's training put the eyes, nose tip and mouth corners in its 112x112 pixels, left first."""


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its top left corner and size; it may reach beyond the picture."""

    x: float
    y: float
    width: float
    height: float

    def scaled(self, factor: float) -> "Box":
        """Return the box of the same centre, so many times as large."""
        width, height = self.width * factor, self.height * factor
        return Box(self.x + (self.width - width) / 2, self.y + (self.height - height) / 2, width, height)

    def squared(self) -> "Box":
        """Return the square of the same centre and height: the landmark model was trained on those."""
        return Box(self.x + (self.width - self.height) / 2, self.y, self.height, self.height)


def crop(picture: Picture, box: Box, side: int) -> Picture:
    """Return the box resampled to `side` x `side`; beyond the picture its edge is repeated."""
    sx, sy = side / box.width, side / box.height
    matrix = np.array([[sx, 0, -box.x * sx], [0, sy, -box.y * sy]])
    chip = cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(chip, dtype=np.uint8)


def context(picture: Picture, box: Box, *, scale: float, side: int) -> Picture:
    """Return the surroundings of a box, `scale` times its size, resampled to `side` x `side`.

    Near an edge the crop is moved, then shrunk, to stay inside the picture: the anti-spoofing
    model reads borders that a repeated edge would fake.
    """
    rows, columns = picture.shape[:2]
    scale = min(scale, (rows - 1) / box.height, (columns - 1) / box.width)
    width, height = box.width * scale, box.height * scale
    left = min(max(box.x + (box.width - width) / 2, 0), columns - 1 - width)
    top = min(max(box.y + (box.height - height) / 2, 0), rows - 1 - height)
    part = picture[int(max(top, 0)) : int(top + height) + 1, int(max(left, 0)) : int(left + width) + 1]
    return np.asarray(cv2.resize(part, (side, side)), dtype=np.uint8)


def five_points(landmarks: Points) -> Points:
    """Return eyes, nose tip and mouth corners of the usual 68 points (iBUG 300-W order)."""
    return np.array(
        [
            landmarks[36:42].mean(axis=0),
            landmarks[42:48].mean(axis=0),
            landmarks[30],
            (landmarks[48] + landmarks[60]) / 2,
            (landmarks[54] + landmarks[64]) / 2,
        ]
    )


def similarity(source: Points, target: Points) -> Points:
    """Return the 2x3 matrix of the rotation, scale and shift that bring `source` nearest to `target`.

    Least squares in closed form (Umeyama 1991, in the plane and without reflection).
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    a, b = source - source_mean, target - target_mean
    size = float((a * a).sum())
    cosine = float((a * b).sum()) / size
    sine = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum()) / size
    rotation = np.array([[cosine, -sine], [sine, cosine]])
    return np.hstack([rotation, (target_mean - rotation @ source_mean)[:, None]])


def align(picture: Picture, points: Points) -> Picture:
    """Return the face as a chip of `CHIP_SIZE`, its five points as near as can be to ArcFace's in its middle."""
    matrix = similarity(points, REFERENCE_POINTS + (CHIP_SIZE - FACE_SIZE) / 2)
    return np.asarray(cv2.warpAffine(picture, matrix, (CHIP_SIZE, CHIP_SIZE), flags=cv2.INTER_CUBIC), dtype=np.uint8)


def chip_square(points: Points) -> tuple[Box, Points]:
    """Return the square that an aligned face fills, once turned about its middle until it is upright, and its two eyes.

    The eyes are those of the alignment, on one level in the chip, not the found ones that they fit.
    """
    matrix = similarity(REFERENCE_POINTS + (CHIP_SIZE - FACE_SIZE) / 2, points)
    side = CHIP_SIZE * float(np.hypot(matrix[0, 0], matrix[1, 0]))
    x, y = matrix @ (CHIP_SIZE / 2, CHIP_SIZE / 2, 1)
    eyes = (REFERENCE_POINTS[:2] + (CHIP_SIZE - FACE_SIZE) / 2) @ matrix[:, :2].T + matrix[:, 2]
    return Box(float(x) - side / 2, float(y) - side / 2, side, side), eyes


def middle(chip: NDArray[Any]) -> NDArray[Any]:
    """Return the middle of an aligned face, ArcFace's 112 pixels square, without the rim around it."""
    rim = (chip.shape[0] - FACE_SIZE) // 2
    return chip[rim : rim + FACE_SIZE, rim : rim + FACE_SIZE]


def with_rim(face: Picture) -> Picture:
    """Return a chip of an aligned face of which only ArcFace's 112 pixels are left; its border is repeated."""
    rim = (CHIP_SIZE - FACE_SIZE) // 2
    return np.asarray(cv2.copyMakeBorder(face, rim, rim, rim, rim, cv2.BORDER_REPLICATE), dtype=np.uint8)


def channels_first(picture: NDArray[Any], *, mean: float, deviation: float) -> NDArray[np.float32]:
    """Return a picture (or a batch of them) as the models take it: float32, channels before rows."""
    batch = picture if picture.ndim == 4 else picture[None]
    scaled = (batch.astype(np.float32) - np.float32(mean)) / np.float32(deviation)
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2))
