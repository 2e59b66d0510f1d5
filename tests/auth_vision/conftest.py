"""A portrait in the public domain, and the models that look at it."""

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from auth_vision.sight import Sight


@pytest.fixture(scope="session")
def astronaut() -> np.ndarray:
    """A portrait of a woman who smiles into the camera, 512 x 512, BGR; her face is about 115 pixels high."""
    return np.ascontiguousarray(skimage.data.astronaut()[:, :, ::-1])


@pytest.fixture(scope="session")
def sight(models_folder: Path) -> Sight:
    """All measuring models."""
    return Sight(models_folder)
