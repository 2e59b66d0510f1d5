"""A camera through OpenCV: V4L2 by number or path, or a video file while developing.

OpenCV says little: a missing or busy camera is `False`. So the kernel is asked before and after, and what was
asked of the device is read back, since a driver takes the nearest that it can.
"""

import cv2
import numpy as np
import structlog

from auth_contract.actions import Movement
from kiosk_agent.camera.driver import CameraNeeds, Image
from kiosk_agent.camera.v4l2 import check_device
from kiosk_agent.errors import CameraFault
from kiosk_agent.settings.cameras import OpencvCamera


class OpencvDriver:
    """One capture of OpenCV's."""

    is_live = True

    def __init__(self, settings: OpencvCamera, needs: CameraNeeds) -> None:
        # OpenCV's own warnings would stand between the JSON lines of the log; faults are told by us.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        self._settings = settings
        self._needs = needs
        self._capture: cv2.VideoCapture | None = None
        self._form = ""
        self._interval_s, self._next_at = 0.0, 0.0

    @property
    def form(self) -> str:
        """What the device said that it gives."""
        return self._form

    def open(self) -> None:
        """Open the device where it is not open, and drop the pictures that it kept."""
        if self._capture is None:
            self._capture = self._opened()
        if self._settings.is_camera:
            for _ in range(self._settings.discard):
                self.read()

    def read(self) -> Image:
        """Return the next picture; one of a file not before its time."""
        if self._capture is None:
            raise self._fault("is not open", "open it first")
        self._pace()
        is_read, image = self._capture.read()
        if not is_read:
            self.close()
            if self._settings.is_camera:
                check_device(self._settings.node)
            raise self._fault("gave no picture", "unplug it and plug it in again")
        return np.asarray(image, dtype=np.uint8)

    def follow(self, movement: Movement | None) -> None:
        """Nothing to do: before a camera there is a person."""

    def close(self) -> None:
        """Release the device."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _opened(self) -> cv2.VideoCapture:
        settings = self._settings
        if settings.is_camera:
            check_device(settings.node)
        capture = cv2.VideoCapture(settings.device, cv2.CAP_V4L2 if settings.is_camera else cv2.CAP_ANY)
        if not capture.isOpened():
            capture.release()
            raise self._fault("cannot be opened", "check camera.device")
        if settings.is_camera:
            self._ask(capture)
        else:
            fps = capture.get(cv2.CAP_PROP_FPS)
            self._interval_s = 1 / fps if 0 < fps <= 240 else 1 / settings.fps
        self._note(capture)
        return capture

    def _ask(self, capture: cv2.VideoCapture) -> None:
        """Ask for the form; the pixel format first, since the others depend on it."""
        settings = self._settings
        if settings.fourcc:
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*settings.fourcc))
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, settings.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, settings.height)
        capture.set(cv2.CAP_PROP_FPS, settings.fps)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)

    def _note(self, capture: cv2.VideoCapture) -> None:
        """Read back what it gives, and say once where that is not what was asked for."""
        settings = self._settings
        width, height = (int(capture.get(name)) for name in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
        fourcc = int(capture.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little", signed=False).decode("ascii", "replace")
        form = f"{width}x{height} {fourcc} {capture.get(cv2.CAP_PROP_FPS):.0f} fps"
        is_asked = (width, height) == (settings.width, settings.height) and settings.fourcc in ("", fourcc)
        if settings.is_camera and form != self._form and not is_asked:
            asked = f"{settings.width}x{settings.height} {settings.fourcc}".strip()
            _log().warning("camera_form", asked=asked, given=form)
        self._form = form

    def _pace(self) -> None:
        """A file gives its pictures as fast as it is read; it is shown as fast as it was filmed."""
        if not self._interval_s:
            return
        wait_s = self._next_at - self._needs.monotonic()
        if wait_s > 0:
            self._needs.sleep(wait_s)
        self._next_at = self._needs.monotonic() + self._interval_s

    def _fault(self, problem: str, advice: str) -> CameraFault:
        return CameraFault(self._settings.node, problem, advice)


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.camera")
    return logger
