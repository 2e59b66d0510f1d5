"""What guides a person before the camera: the measuring models, where the settings name a folder of them.

They are loaded at the start: a file that is missing or not the pinned one stops it, the first person
waits for nothing, and the memory that is taken is taken from the first minute on.
"""

from pathlib import Path
from typing import Protocol

from auth_vision.errors import ModelsRefused
from auth_vision.look import Look
from kiosk_agent.camera.driver import Image
from kiosk_agent.errors import BackendRefused


class Guide(Protocol):
    """Measures pictures; what of it is good enough is said by `auth_vision.quality` and `auth_vision.movement`."""

    def look(self, picture: Image) -> Look:
        """Return what is to be seen in a picture."""


def open_guide(models: Path | None) -> Guide | None:
    """Return the guide of a folder of models, or None without one; raises BackendRefused."""
    if models is None:
        return None
    try:
        # Imported on use: a kiosk without guidance carries no onnxruntime.
        from auth_vision.sight import Sight

        return Sight(models, is_small=True)
    except ImportError as error:
        raise BackendRefused(f"capture.models needs a package that is not installed: {error}") from error
    except ModelsRefused as error:
        raise BackendRefused(f"capture.models: {error}") from error
