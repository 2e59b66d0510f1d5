"""The camera: a Protocol, a table of backends, and one backend a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from auth_contract.actions import Movement
from kiosk_agent.registry import load_backend
from kiosk_agent.settings import OpencvCamera, ReplayCamera

Image = npt.NDArray[np.uint8]
"""One picture, BGR, rows first."""


class Camera(Protocol):
    """Gives pictures, one at a time; kept open between people, since opening takes a second."""

    def prepare(self) -> None:
        """Get ready for the pictures of one person; raises CameraFault."""

    def grab(self) -> Image:
        """Return the next picture; raises CameraFault."""

    def follow(self, movement: Movement | None) -> None:
        """Take note of what the person is asked to do from now on; None is to look into the camera."""

    def close(self) -> None:
        """Let go of the device."""


@dataclass(frozen=True, slots=True)
class CameraNeeds:
    """What every camera backend is given beside its own settings."""

    monotonic: Callable[[], float]
    sleep: Callable[[float], None]


BACKENDS: Final[Mapping[str, str]] = {
    "replay": "kiosk_agent.camera.replay:ReplayBackend",
    "opencv": "kiosk_agent.camera.opencv:OpencvBackend",
}


def open_camera(settings: ReplayCamera | OpencvCamera, needs: CameraNeeds) -> Camera:
    """Return the backend that the settings name; raises BackendRefused. No device is opened yet."""
    camera: Camera = load_backend("camera", settings.kind, BACKENDS)(settings, needs)
    return camera
