"""Alignment undoes any turn, size and place of a face; crops stay where they should."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_vision.geometry import (
    CHIP_SIZE,
    FACE_SIZE,
    REFERENCE_POINTS,
    Box,
    align,
    context,
    crop,
    five_points,
    middle,
    similarity,
    with_rim,
)

finite = st.floats(-500, 500)


@given(st.floats(0.05, 20), st.floats(-math.pi, math.pi), finite, finite)
def test_similarity_undoes_every_turn_size_and_shift(scale: float, angle: float, x: float, y: float) -> None:
    turn = scale * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    moved = REFERENCE_POINTS @ turn.T + (x, y)
    matrix = similarity(moved, REFERENCE_POINTS)
    assert np.allclose(moved @ matrix[:, :2].T + matrix[:, 2], REFERENCE_POINTS, atol=1e-6)


def test_an_aligned_face_has_its_eyes_where_arcface_had_them() -> None:
    picture = np.zeros((400, 400, 3), np.uint8)
    points = REFERENCE_POINTS[:, ::-1] * (2, -2) + (50, 350)  # turned by 90 degrees and twice the size
    for x, y in points[:2]:
        picture[round(y) - 4 : round(y) + 5, round(x) - 4 : round(x) + 5] = 255
    chip = align(picture, points)
    assert chip.shape == (CHIP_SIZE, CHIP_SIZE, 3)
    face = middle(chip)
    assert face.shape == (FACE_SIZE, FACE_SIZE, 3)
    for x, y in REFERENCE_POINTS[:2]:
        assert face[round(y), round(x)].min() > 200
    assert face[80:].max() == 0


def test_an_aligned_face_holds_what_stands_around_it() -> None:
    picture = np.random.default_rng(5).integers(0, 255, (300, 300, 3), dtype=np.uint8)
    chip = align(picture, REFERENCE_POINTS + np.array([100, 100]))
    assert (chip == picture[92:220, 92:220]).all()
    assert (middle(chip) == picture[100:212, 100:212]).all()


def test_a_face_without_a_rim_gets_one_and_stays_as_it_is() -> None:
    face = np.random.default_rng(6).integers(0, 255, (FACE_SIZE, FACE_SIZE, 3), dtype=np.uint8)
    chip = with_rim(face)
    assert chip.shape == (CHIP_SIZE, CHIP_SIZE, 3)
    assert (middle(chip) == face).all()
    assert (chip[:8, :8] == face[0, 0]).all()


def test_five_points_of_sixty_eight() -> None:
    landmarks = np.arange(68.0)[:, None].repeat(2, axis=1)
    assert five_points(landmarks)[:, 0].tolist() == [38.5, 44.5, 30.0, 54.0, 59.0]


def test_a_crop_beyond_the_edge_repeats_it() -> None:
    picture = np.full((50, 50, 3), 77, np.uint8)
    assert (crop(picture, Box(-30, 20, 60, 60), 64) == 77).all()


@pytest.mark.parametrize("box", [Box(-20, -20, 60, 60), Box(80, 90, 40, 40), Box(0, 0, 100, 120), Box(45, 5, 10, 90)])
def test_surroundings_stay_inside_the_picture(box: Box) -> None:
    picture = np.full((120, 100, 3), 9, np.uint8)
    assert (context(picture, box, scale=2.7, side=128) == 9).all()


def test_a_squared_box_keeps_centre_and_height() -> None:
    assert Box(10, 20, 30, 50).squared() == Box(0, 20, 50, 50)
