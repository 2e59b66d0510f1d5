"""What the agent has to do with the camera outside of a capture: warm it in time, and be out of service without it."""

from typing import Final

import structlog

from kiosk_agent.camera import Camera
from kiosk_agent.events import Event, ServiceDown, ServiceUp
from kiosk_agent.health import Health
from kiosk_agent.vocabulary import GIVES_PICTURES, Cause, Ending, Step

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


CAMERA_STALL_S: Final = 60.0
"""The camera's thread makes progress at least at each probe; after this long without, it hangs."""

FAULT: Final = "The camera of this kiosk gives no picture."


class CameraWatch:
    """Used by the agent's loop; a capture notes its own faults."""

    def __init__(self, camera: Camera, health: Health) -> None:
        self._camera = camera
        self._health = health
        self._fault: str | None = None
        self._is_down = False

    def follow(self, step: Step) -> None:
        """Stream in the steps that lead to pictures, and in no other."""
        self._camera.warm(step in WARM)

    def note(self, step: Step) -> Event | None:
        """Take note of a camera that failed or works again; return what that means for a session at this step."""
        was_down = self._is_down
        self._look()
        if self._is_down:
            return self.instead_of(ServiceUp()) if step is Step.ATTRACT else None
        is_rest_well = self._health.server_fault is None and self._health.keypad_fault is None
        return ServiceUp() if was_down and is_rest_well else None

    def instead_of(self, event: Event) -> Event:
        """Return the event, or that the camera is gone where another part says that the kiosk is up."""
        if self._is_down and isinstance(event, ServiceUp):
            return ServiceDown(Ending.CAMERA_FAULT, FAULT, Cause.CAMERA)
        return event

    def _look(self) -> None:
        fault, gives_pictures = self._camera.fault, self._camera.state in GIVES_PICTURES
        self._is_down = fault is not None and not gives_pictures
        if fault == self._fault:
            return
        _log().warning("camera_fault" if fault else "camera_works", error=fault or "")
        self._fault = fault
        self._health.camera_fault = None if gives_pictures else fault
        self._health.camera_warning = fault if gives_pictures else None


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.camera")
    return logger
