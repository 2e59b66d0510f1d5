"""Where the faces of a picture are."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from auth_vision import models
from auth_vision.geometry import Box, Picture, channels_first
from auth_vision.quality import FACE_MIN_CONFIDENCE
from auth_vision.sessions import load_session, run

_SEEN_SIZE: Final = (320, 240)
_CANDIDATE_MIN_SCORE: Final = 0.65
_OVERLAP_MAX: Final = 0.4

_TILE_SIZE: Final = (640, 480)
"""A part of a large picture that is looked at by itself: at least this, so that a face of 40 pixels is seen."""

_TILES_SHARE: Final = 0.25
"""Of a tile's side, shared with the next one: a face too small for the first look is whole in one of them."""

_CLEAR_SHARE: Final = 0.1
"""Of the picture's height; a lower face is seen with fewer than 24 pixels: its box is coarse, even where it is sure."""

_CLOSER_SCALE: Final = 5.0
_CONFIRMED_MAX: Final = 4
"""What a tile shows surely is looked at once more, alone: the surest few, so that a crowd costs little more."""

Found = tuple[Box, float]
"""What may be a face, and how surely: 0.65 to 1."""


class FaceFinder:
    """Finds faces; the picture is seen at 320 x 240, a large one without a clear face in overlapping tiles as well."""

    def __init__(self, folder: Path, *, is_small: bool = False) -> None:
        """Load the model. Raises ModelsRefused."""
        self._session = load_session(folder, models.DETECT, is_small=is_small)

    def find(self, picture: Picture) -> list[tuple[Box, float]]:
        """Return the boxes of faces in a BGR picture with their scores, 0.65 to 1, surest first."""
        found = _without_overlaps(self._candidates(picture))
        clear = _CLEAR_SHARE * picture.shape[0]
        if not any(score >= FACE_MIN_CONFIDENCE and box.height >= clear for box, score in found):
            in_tiles = [one for x, y, part in tiles(picture) for one in self._candidates(part, (x, y))]
            sure = [box for box, score in _without_overlaps(in_tiles) if score >= FACE_MIN_CONFIDENCE]
            closer = [self._closer(picture, box) for box in sure[:_CONFIRMED_MAX]]
            found = _without_overlaps([*found, *itertools.chain(*closer)])
        return found

    def _closer(self, picture: Picture, box: Box) -> list[Found]:
        """Return what is found there in the surroundings of a box alone: a face is surer, a likeness is not."""
        rows, columns = picture.shape[:2]
        width, height = box.height * _CLOSER_SCALE * 4 / 3, box.height * _CLOSER_SCALE
        x = round(max(min(box.x + (box.width - width) / 2, columns - width), 0))
        y = round(max(min(box.y + (box.height - height) / 2, rows - height), 0))
        found = self._candidates(picture[y : y + round(height), x : x + round(width)], (x, y))
        return [one for one in found if _overlap(one[0], box) > _OVERLAP_MAX]

    def _candidates(self, part: Picture, at: tuple[int, int] = (0, 0)) -> list[Found]:
        """Return what may be faces in a part of a picture that lies `at`, in pixels of the whole."""
        small = cv2.cvtColor(cv2.resize(part, _SEEN_SIZE), cv2.COLOR_BGR2RGB)
        scores, boxes = run(self._session, channels_first(np.asarray(small, np.uint8), mean=127, deviation=128))
        is_candidate = scores[0, :, 1] > _CANDIDATE_MIN_SCORE
        rows, columns = part.shape[:2]
        corners = boxes[0, is_candidate].astype(np.float64) * (columns, rows, columns, rows) + (*at, *at)
        return [
            (_box(*corner), score)
            for corner, score in zip(corners.tolist(), scores[0, is_candidate, 1].tolist(), strict=True)
        ]


def tiles(picture: Picture) -> Iterator[tuple[int, int, Picture]]:
    """Yield the parts of a large picture with their left upper corners: at most 3 x 3, none of one that is not."""
    rows, columns = picture.shape[:2]
    width, height = max(_TILE_SIZE[0], -(-columns // 2)), max(_TILE_SIZE[1], -(-rows // 2))
    if columns <= width and rows <= height:
        return
    for y, x in itertools.product(_starts(rows, height), _starts(columns, width)):
        yield x, y, picture[y : y + height, x : x + width]


def _starts(length: int, tile: int) -> list[int]:
    """Return where tiles begin that cover a length, evenly, and share enough with their neighbours."""
    if length <= tile:
        return [0]
    shared = tile * _TILES_SHARE
    count = int(np.ceil((length - shared) / (tile - shared)))
    return [round(start) for start in np.linspace(0, length - tile, count)]


def _box(x: float, y: float, right: float, bottom: float) -> Box:
    return Box(x, y, max(right - x, 1.0), max(bottom - y, 1.0))


def _without_overlaps(found: list[Found]) -> list[Found]:
    """Return the surest first, none overlapping a surer one by much (NMS)."""
    kept: list[Found] = []
    for box, score in sorted(found, key=lambda one: -one[1]):
        if all(_overlap(box, other) <= _OVERLAP_MAX for other, _ in kept):
            kept.append((box, score))
    return kept


def _overlap(a: Box, b: Box) -> float:
    """Return the intersection over the union of two boxes."""
    width = min(a.x + a.width, b.x + b.width) - max(a.x, b.x)
    height = min(a.y + a.height, b.y + b.height) - max(a.y, b.y)
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (a.width * a.height + b.width * b.height - shared)
