"""Faces are found at any place, also small ones in a large picture; what has no face gives none."""

import cv2
import numpy as np
import pytest
import skimage.data

from auth_vision.detector import FaceFinder, tiles
from auth_vision.quality import FACE_MIN_CONFIDENCE
from auth_vision.sight import Sight

FACE = (179, 63, 90, 111)
"""The astronaut's, as x, y, width and height, seen by itself."""

FRAME = (1280, 720)
BACKGROUNDS = ("coffee", "rocket", "brick", "grass", "page", "gravel")


@pytest.fixture(scope="module")
def finder(sight: Sight) -> FaceFinder:
    return sight.finder


def scenery(name: str) -> np.ndarray:
    """One of scikit-image's pictures, as a frame of 1280 x 720, BGR."""
    picture = np.asarray(getattr(skimage.data, name)())
    colour = picture[..., None].repeat(3, axis=2) if picture.ndim == 2 else picture[:, :, 2::-1]
    return np.ascontiguousarray(cv2.resize(colour, FRAME))


def with_person(
    frame: np.ndarray, astronaut: np.ndarray, height: float, x: int, y: int
) -> tuple[np.ndarray, float, float]:
    """The frame with a face of so many pixels in it, and where its middle is."""
    scale = height / FACE[3]
    bust = cv2.resize(astronaut[:310, 90:360], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    out = frame.copy()
    out[y : y + bust.shape[0], x : x + bust.shape[1]] = bust
    return out, x + (FACE[0] - 90 + FACE[2] / 2) * scale, y + (FACE[1] + FACE[3] / 2) * scale


def sure(finder: FaceFinder, picture: np.ndarray) -> list[tuple[float, float, float]]:
    """The middle and height of each sure face."""
    return [
        (box.x + box.width / 2, box.y + box.height / 2, box.height)
        for box, score in finder.find(picture)
        if score >= FACE_MIN_CONFIDENCE
    ]


def test_a_portrait_has_one_face(finder: FaceFinder, astronaut: np.ndarray) -> None:
    ((box, score),) = finder.find(astronaut)
    assert score > 0.99
    assert np.allclose((box.x, box.y, box.width, box.height), FACE, atol=6)


@pytest.mark.parametrize("background", BACKGROUNDS)
@pytest.mark.parametrize("height", [40, 44, 48, 52, 56, 60, 64, 72, 80, 100])
def test_a_small_face_in_a_large_picture(
    finder: FaceFinder, astronaut: np.ndarray, background: str, height: int
) -> None:
    """At 320 x 240 a face of 48 pixels is 16 high, and found in one of six places."""
    for x, y in ((100, 80), (577, 301), (1000, 400)):
        frame, middle_x, middle_y = with_person(scenery(background), astronaut, height, x, y)
        ((found_x, found_y, found_height),) = sure(finder, frame)
        assert abs(found_x - middle_x) < height / 4
        assert abs(found_y - middle_y) < height / 4
        assert found_height == pytest.approx(height, rel=0.3)


@pytest.mark.parametrize("name", [*BACKGROUNDS, "coins", "hubble_deep_field", "retina", "moon", "clock"])
def test_scenery_has_no_face_however_closely_it_is_looked_at(finder: FaceFinder, name: str) -> None:
    assert sure(finder, scenery(name)) == []


def test_a_small_crowd_stays_a_crowd(finder: FaceFinder, astronaut: np.ndarray) -> None:
    frame = scenery("brick")
    for x, y in ((60, 60), (500, 300), (1000, 420)):
        frame, *_ = with_person(frame, astronaut, 44, x, y)
    assert len(sure(finder, frame)) == 3


@pytest.mark.parametrize(
    ("rows", "columns", "count"),
    [
        (480, 640, 0),
        (250, 250, 0),
        (112, 112, 0),
        (720, 1280, 6),
        (656, 368, 2),
        (481, 641, 4),
        (2559, 2559, 9),
        (1, 5000, 3),
    ],
)
def test_tiles_cover_a_large_picture_and_share_what_a_face_needs(rows: int, columns: int, count: int) -> None:
    picture = np.zeros((rows, columns, 3), np.uint8)
    seen = np.zeros((rows, columns), np.uint8)
    parts = list(tiles(picture))
    assert len(parts) == count
    for x, y, part in parts:
        height, width = part.shape[:2]
        assert (height, width) == (min(rows, max(480, -(-rows // 2))), min(columns, max(640, -(-columns // 2))))
        seen[y : y + height, x : x + width] += 1
    assert not parts or seen.min() == 1
    if (rows, columns) == (720, 1280):
        # 160 pixels across and 120 down: more than a face that the first look cannot miss.
        assert ((seen.sum(axis=0) > 0) & (seen[0] >= 2)).sum() >= 2 * 160
        assert (seen[:, 0] >= 2).sum() >= 120
