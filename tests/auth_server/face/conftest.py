"""Pictures to look at, and the engine that looks."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import skimage.data
from PIL import Image

from auth_server.face.engine import FaceEngine
from auth_server.settings import FaceSettings

Jpeg = Callable[[np.ndarray], bytes]


@pytest.fixture(scope="session")
def jpeg() -> Jpeg:
    """RGB pixels to a JPEG as a camera would send it."""

    def encode(pixels: np.ndarray) -> bytes:
        out = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(pixels.astype(np.uint8))).save(out, "JPEG", quality=90)
        return out.getvalue()

    return encode


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A portrait, 512 x 512, RGB, in the public domain."""
    return np.asarray(skimage.data.astronaut())


@pytest.fixture(scope="session")
def portrait(astronaut: np.ndarray, jpeg: Jpeg) -> bytes:
    """The portrait as a frame."""
    return jpeg(astronaut)


@pytest.fixture(scope="session")
def engine(models_folder: Path) -> FaceEngine:
    """The engine as shipped."""
    return FaceEngine(FaceSettings(models=models_folder))


@pytest.fixture(scope="session")
def lfw(test_data: Path) -> Callable[[str, int], bytes]:
    """A picture of the Labeled Faces in the Wild, by name and number."""

    def read(name: str, number: int = 1) -> bytes:
        return (test_data / "lfw" / "images" / name / f"{name}_{number:04d}.jpg").read_bytes()

    return read
