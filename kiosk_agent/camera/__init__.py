"""The camera: a Protocol, a table of backends, and one backend a file."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from kiosk_agent.registry import load_backend
from kiosk_agent.settings import OpencvCamera, ReplayCamera


class Camera(Protocol):
    """Gives pictures, one at a time; kept open between people, since opening takes a second."""

    def prepare(self) -> None:
        """Get ready for the pictures of one person; raises CameraFault."""

    def grab(self) -> bytes:
        """Return a JPEG of at most 1 MiB and 1280x960 pixels; raises CameraFault."""

    def close(self) -> None:
        """Let go of the device."""


@dataclass(frozen=True, slots=True)
class CameraNeeds:
    """What every camera backend is given beside its own settings."""

    quality: int
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
