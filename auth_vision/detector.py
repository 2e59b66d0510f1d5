"""Where the faces of a picture are."""

from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from auth_vision import models
from auth_vision.geometry import Box, Picture, Points, channels_first
from auth_vision.sessions import load_session, run

_SEEN_SIZE: Final = (320, 240)
_CANDIDATE_MIN_SCORE: Final = 0.65
_OVERLAP_MAX: Final = 0.4


class FaceFinder:
    """Finds faces; the picture is seen at 320 x 240, whatever its size."""

    def __init__(self, folder: Path) -> None:
        """Load the model. Raises ModelsRefused."""
        self._session = load_session(folder, models.DETECT)

    def find(self, picture: Picture) -> list[tuple[Box, float]]:
        """Return the boxes of faces in a BGR picture with their scores, 0.65 to 1, surest first."""
        small = cv2.cvtColor(cv2.resize(picture, _SEEN_SIZE), cv2.COLOR_BGR2RGB)
        scores, boxes = run(self._session, channels_first(np.asarray(small, np.uint8), mean=127, deviation=128))
        rows, columns = picture.shape[:2]
        corners = boxes[0].astype(np.float64) * (columns, rows, columns, rows)
        return [
            (_box(corners[index]), float(scores[0, index, 1]))
            for index in _without_overlaps(corners, scores[0, :, 1])
        ]  # fmt: skip


def _box(corners: Points) -> Box:
    x, y, right, bottom = (float(number) for number in corners)
    return Box(x, y, max(right - x, 1.0), max(bottom - y, 1.0))


def _without_overlaps(corners: Points, scores: NDArray[np.float32]) -> list[int]:
    """Return the indices of sure boxes, surest first, none overlapping a surer one by much (NMS)."""
    candidates = [int(index) for index in np.argsort(-scores) if scores[index] > _CANDIDATE_MIN_SCORE]
    kept: list[int] = []
    for index in candidates:
        if all(_overlap(corners[index], corners[other]) <= _OVERLAP_MAX for other in kept):
            kept.append(index)
    return kept


def _overlap(a: Points, b: Points) -> float:
    """Return the intersection over the union of two boxes given by their corners."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / union if union > 0 else 0.0
