"""What the agent has to do with the camera outside of a capture: warm it in time, and note how it does."""

from typing import Final

import structlog

from kiosk_agent.camera import Camera
from kiosk_agent.health import Health
from kiosk_agent.vocabulary import GIVES_PICTURES, Step

WARM: Final = frozenset(
    {
        Step.NAME,
        Step.PERSON,
        Step.PERMISSION,
        Step.PASSWORD,
        Step.NEW_PASSWORD,
        Step.REPEAT,
        Step.CODE,
        Step.FACE,
        Step.ENROL,
        Step.CAPTURE_AGAIN,
    }
)
"""The steps in which the camera streams: from the name on, so that at its turn it takes no time to start."""


class CameraWatch:
    """Used by the agent's loop; a capture notes its own faults."""

    def __init__(self, camera: Camera, health: Health) -> None:
        self._camera = camera
        self._health = health
        self._fault: str | None = None

    def follow(self, step: Step) -> None:
        """Stream in the steps that lead to pictures, and in no other."""
        self._camera.warm(step in WARM)

    def note(self) -> None:
        """Tell of a camera that failed, or works again, while nobody stood before it."""
        fault, gives_pictures = self._camera.fault, self._camera.state in GIVES_PICTURES
        if fault == self._fault:
            return
        _log().warning("camera_fault" if fault else "camera_works", error=fault or "")
        self._fault = fault
        self._health.camera_fault = None if gives_pictures else fault
        self._health.camera_warning = fault if gives_pictures else None


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.camera")
    return logger
