"""A camera through OpenCV: V4L2 by number or path, or a video file while developing.

OpenCV says little: a missing or busy camera is `False`, a wedged one a call that never returns.
Both become a CameraFault here, and the next person's `prepare` opens the device anew.
"""

from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

import cv2
import numpy as np

from auth_contract.actions import Movement
from kiosk_agent.camera import CameraNeeds, Image
from kiosk_agent.camera.worker import DriverThread
from kiosk_agent.errors import CameraFault
from kiosk_agent.settings import OpencvCamera

_T = TypeVar("_T")

_ADVICE: Final = "check that it is plugged in, that no other program uses it, and that this user is in the group video"


class OpencvBackend:
    """Reads frames in a thread of its own, so that a wedged driver cannot stop the kiosk."""

    def __init__(self, settings: OpencvCamera, _needs: CameraNeeds) -> None:
        # OpenCV's own warnings would stand between the JSON lines of the log; faults are told by us.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
        self._settings = settings
        self._thread = DriverThread("camera")
        self._capture: cv2.VideoCapture | None = None

    def prepare(self) -> None:
        """Open the camera where it is not open, and drop the pictures that the driver kept."""
        self._call(self._open_and_discard)

    def grab(self) -> Image:
        """Return the next picture; raises CameraFault."""
        return self._call(self._read)

    def follow(self, movement: Movement | None) -> None:
        """Nothing to do: before a camera there is a person."""

    def close(self) -> None:
        """Release the device, unless the driver is stuck in it."""
        if not self._thread.is_stuck:
            with suppress(CameraFault):  # the process ends, and the kernel then takes the device back
                self._call(self._release)
        self._thread.close()

    def _call(self, function: Callable[[], _T]) -> _T:
        try:
            return self._thread.call(function, self._settings.read_timeout_s)
        except TimeoutError:
            problem = f"gave no answer in {self._settings.read_timeout_s} s"
            raise self._fault(problem, "unplug it and plug it in again, or restart the kiosk") from None
        except cv2.error as error:
            raise self._fault(f"gave no usable picture: {str(error)[:100]}") from error

    def _open_and_discard(self) -> None:
        if self._capture is None:
            self._capture = self._open()
        if self._settings.is_camera:
            for _ in range(self._settings.discard):
                self._read()

    def _open(self) -> cv2.VideoCapture:
        backend = cv2.CAP_V4L2 if self._settings.is_camera else cv2.CAP_ANY
        capture = cv2.VideoCapture(self._settings.device, backend)
        if not capture.isOpened():
            capture.release()
            raise self._fault("cannot be opened")
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._settings.width)
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._settings.height)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return capture

    def _read(self) -> Image:
        if self._capture is None:
            self._capture = self._open()
        is_read, image = self._capture.read()
        if not is_read:
            self._release()
            raise self._fault("gave no picture")
        return np.asarray(image, dtype=np.uint8)

    def _release(self) -> None:
        if self._capture is not None:
            self._capture.release()
            self._capture = None

    def _fault(self, problem: str, advice: str = _ADVICE) -> CameraFault:
        return CameraFault(str(self._settings.device), problem, advice)
