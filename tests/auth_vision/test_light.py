"""Light and sharpness of a face: neither depends on the other, nor on what stands around it."""

import cv2
import numpy as np
import pytest

from auth_vision import light


def textured(mean: float, contrast: float) -> np.ndarray:
    noise = np.random.default_rng(2).normal(0, 1, (28, 28))
    smooth = cv2.resize(noise, (128, 128), interpolation=cv2.INTER_CUBIC)
    return np.clip(mean + contrast * smooth, 0, 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)


@pytest.mark.parametrize("mean", [20, 50, 128, 195, 220])
def test_light_is_the_mean_grey(mean: float) -> None:
    assert light.light(textured(mean, 5)) == pytest.approx(mean, abs=2)


def test_light_is_that_of_the_face_not_of_its_surroundings() -> None:
    chip = np.full((128, 128, 3), 255, np.uint8)
    chip[26:110, 22:106] = 30
    assert light.light(chip) == 30


def test_sharpness_does_not_depend_on_contrast() -> None:
    assert light.detail(textured(128, 10)) == pytest.approx(light.detail(textured(128, 40)), rel=0.2)


def test_blur_lowers_sharpness() -> None:
    chip = textured(128, 40)
    sharpness = [light.detail(cv2.GaussianBlur(chip, (0, 0), sigma)) for sigma in (0.1, 1, 2, 3)]
    assert sharpness == sorted(sharpness, reverse=True)


@pytest.mark.parametrize("deviation", [0, 4, 7])
def test_a_flat_face_has_no_detail_however_noisy(deviation: float) -> None:
    noise = np.random.default_rng(3).normal(128, deviation, (128, 128, 1)).astype(np.uint8)
    assert light.detail(noise.repeat(3, axis=2)) == 0
