"""The camera: a Protocol, a table of drivers, one driver a file, and the keeper that makes a camera of any."""

from collections.abc import Mapping
from typing import Final, Protocol

from auth_contract.actions import Movement
from kiosk_agent.camera.driver import CameraNeeds, Driver, Image
from kiosk_agent.camera.keeper import Keeper
from kiosk_agent.registry import load_backend
from kiosk_agent.settings.cameras import AnyCamera
from kiosk_agent.vocabulary import CameraState

__all__ = ["BACKENDS", "Camera", "CameraNeeds", "CameraState", "Image", "open_camera"]


class Camera(Protocol):
    """Gives pictures, one at a time, and knows how it is while nobody asks for any."""

    @property
    def state(self) -> CameraState:
        """How the camera is, by its last picture or probe."""

    @property
    def fault(self) -> str | None:
        """What is wrong, and what to do, as a sentence for an operator; None where nothing is."""

    @property
    def form(self) -> str:
        """What the device said that it gives; empty before it was opened."""

    @property
    def progress_at(self) -> float:
        """When it last did what it should, on the monotonic clock; it stands still while a driver hangs."""

    def warm(self, is_on: bool) -> None:
        """Stream while a session runs, so that a capture takes a picture and not a start."""

    def latest(self) -> Image | None:
        """Return the newest picture for the preview; None unless warm, so that nobody is seen afterwards."""

    def prepare(self) -> None:
        """Get ready for the pictures of one person; raises CameraFault."""

    def grab(self) -> Image:
        """Return a picture that was not returned before, waiting for it; raises CameraFault."""

    def follow(self, movement: Movement | None) -> None:
        """Take note of what the person is asked to do from now on; None is to look into the camera."""

    def close(self) -> None:
        """Let go of the device."""


BACKENDS: Final[Mapping[str, str]] = {
    "opencv": "kiosk_agent.camera.opencv:OpencvDriver",
    "picamera2": "kiosk_agent.camera.picamera2:Picamera2Driver",
    "replay": "kiosk_agent.camera.replay:ReplayDriver",
}


def open_camera(settings: AnyCamera, needs: CameraNeeds) -> Camera:
    """Return the camera that the settings name, kept by a thread of its own; raises BackendRefused."""
    driver: Driver = load_backend("camera", settings.kind, BACKENDS)(settings, needs)
    keeper = Keeper(driver, settings, needs.monotonic)
    keeper.start()
    return keeper
