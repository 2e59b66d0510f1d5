"""What can be judged: normal photographs pass, the rest gets the hint that helps the person."""

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from auth_contract.actions import CaptureHint
from auth_vision import quality


@dataclass(frozen=True)
class Sized:
    height: float


@pytest.mark.parametrize(
    ("heights", "hint"),
    [
        ([], CaptureHint.NO_FACE),
        ([200], None),
        ([48], None),
        ([47], CaptureHint.TOO_SMALL),
        ([200, 80], CaptureHint.SEVERAL_FACES),
        ([200, 79], None),
        ([200, 200, 10], CaptureHint.SEVERAL_FACES),
        ([30, 20], CaptureHint.SEVERAL_FACES),
    ],
)
def test_exactly_one_face_of_usable_size(heights: list[float], hint: CaptureHint | None) -> None:
    assert quality.count_hint([Sized(height) for height in heights]) is hint


def textured(mean: float, contrast: float) -> np.ndarray:
    noise = np.random.default_rng(2).normal(0, 1, (28, 28))
    smooth = cv2.resize(noise, (112, 112), interpolation=cv2.INTER_CUBIC)
    return np.clip(mean + contrast * smooth, 0, 255).astype(np.uint8)[:, :, None].repeat(3, axis=2)


@pytest.mark.parametrize(
    ("mean", "contrast", "hint"),
    [
        (20, 10, CaptureHint.TOO_DARK),
        (36, 10, CaptureHint.TOO_DARK),
        (50, 10, None),
        (128, 40, None),
        (195, 10, None),
        (220, 10, CaptureHint.TOO_BRIGHT),
        (250, 3, CaptureHint.TOO_BRIGHT),
        (128, 0, CaptureHint.BLURRED),
    ],
)
def test_light(mean: float, contrast: float, hint: CaptureHint | None) -> None:
    assert quality.light_and_blur_hint(textured(mean, contrast)) is hint


def test_sharpness_does_not_depend_on_contrast() -> None:
    assert quality.detail(textured(128, 10)) == pytest.approx(quality.detail(textured(128, 40)), rel=0.2)


def test_blur_lowers_sharpness() -> None:
    chip = textured(128, 40)
    sharpness = [quality.detail(cv2.GaussianBlur(chip, (0, 0), sigma)) for sigma in (0.1, 1, 2, 3)]
    assert sharpness == sorted(sharpness, reverse=True)
    assert quality.light_and_blur_hint(cv2.GaussianBlur(chip, (0, 0), 8)) is CaptureHint.BLURRED
