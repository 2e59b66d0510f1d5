"""A Raspberry Pi's own camera, through picamera2.

The library changes a form that it cannot give without a word, tells of a bad control at the next picture only, and
lends out its few buffers until each is given back; all three are looked after here.
"""

import os
from collections.abc import Mapping
from concurrent.futures import TimeoutError as JobTimeout
from typing import Any, Final

import libcamera
import numpy as np
import structlog
from picamera2.picamera2 import Picamera2
from picamera2.request import CompletedRequest

from auth_contract.actions import Movement
from kiosk_agent.camera.driver import CameraNeeds, Image
from kiosk_agent.errors import CameraFault
from kiosk_agent.settings.cameras import Picamera2Camera
from kiosk_agent.vocabulary import CameraState

FORMAT: Final = "RGB888"
"""Three bytes a pixel, in the order blue, green, red: libcamera names formats from the other end."""

_AF_CONTINUOUS, _AF_SCANNING, _AF_WAITING = 2, 1, 0
_AE_CONVERGED = 2
"""As libcamera's control_ids_core.yaml counts AfMode, AfState and AeState."""

_LATE: Final = 2
"""A picture that takes so many times as long as it was asked to is told of."""


class Picamera2Driver:
    """One camera at the ribbon."""

    is_live = True

    def __init__(self, settings: Picamera2Camera, needs: CameraNeeds, library: "type[Picamera2] | None" = None) -> None:
        """`library` lets tests stand in for the class that is opened."""
        self._settings = settings
        self._needs = needs
        self._library = library or TidyPicamera2
        self._camera: Picamera2 | None = None
        self._form = ""

    @property
    def form(self) -> str:
        """What the library said that it gives."""
        return self._form

    def open(self) -> None:
        """Start the stream where it does not run, and wait for exposure and focus; they need some pictures."""
        if self._camera is not None:
            return
        self._camera = camera = self._taken()
        try:
            self._start(camera)
            self._settle()
        except CameraFault:
            raise
        except Exception as error:  # it raises what libcamera does, which names no types
            raise self._fault("cannot be started", error) from error

    def read(self) -> Image:
        """Return the next picture."""
        return self._picture()[0]

    def follow(self, movement: Movement | None) -> None:
        """Nothing to do: before a camera there is a person."""

    def close(self) -> None:
        """Stop the stream, end the library's thread, and let go of the camera."""
        camera, self._camera = self._camera, None
        if camera is None:
            return
        try:
            camera.stop()
        finally:
            camera.close()

    def _taken(self) -> Picamera2:
        number = self._settings.camera_num
        try:
            if number >= len(self._library.global_camera_info()):
                raise CameraFault(
                    self._name, "is not there", "look at the ribbon, then restart the kiosk", CameraState.UNPLUGGED
                )
            return self._library(number)
        except (RuntimeError, IndexError, OSError) as error:
            raise self._fault("cannot be opened", error) from error

    def _start(self, camera: Picamera2) -> None:
        settings = self._settings
        asked = {"size": (settings.width, settings.height), "format": FORMAT}
        transform = libcamera.Transform(hflip=settings.hflip, vflip=settings.vflip)
        camera.configure(
            camera.create_video_configuration(main=dict(asked), transform=transform, controls=self._controls(camera))
        )
        given = camera.camera_configuration()["main"]
        self._form = f"{given['size'][0]}x{given['size'][1]} {given['format']}"
        if (tuple(given["size"]), given["format"]) != (asked["size"], asked["format"]):
            problem = f"gives {self._form} where {settings.width}x{settings.height} {FORMAT} was asked for"
            raise CameraFault(self._name, problem, "set camera.width and camera.height to what it can give")
        camera.start()

    def _controls(self, camera: Picamera2) -> dict[str, Any]:
        """Those that this camera has: one that it has not would fail with the first picture."""
        has = camera.camera_controls
        controls: dict[str, Any] = {}
        if "FrameDurationLimits" in has:
            controls["FrameRate"] = self._settings.fps
        if "AeEnable" in has:
            controls["AeEnable"] = True
        if "AfMode" in has and self._settings.autofocus:
            controls["AfMode"] = _AF_CONTINUOUS
        return controls

    def _settle(self) -> None:
        """Take pictures until exposure and focus stand, at most for `settle_s`, and see what the controls did."""
        ends = self._needs.monotonic() + self._settings.settle_s
        while not _is_settled(metadata := self._picture()[1], is_focused=self._settings.autofocus):
            if self._needs.monotonic() >= ends:
                _log().info("camera_unsettled", after_s=self._settings.settle_s)
                break
        took_us, asked_us = metadata.get("FrameDuration", 0), 1e6 / self._settings.fps
        if took_us > _LATE * asked_us:
            _log().warning("camera_slow", fps=round(1e6 / took_us, 1), asked=self._settings.fps)

    def _picture(self) -> tuple[Image, Mapping[str, Any]]:
        """The next picture and what the camera tells of it; its buffer goes back whatever happens."""
        if self._camera is None:
            raise CameraFault(self._name, "is not open", "open it first")
        request = self._request(self._camera)
        try:
            image, metadata = request.make_array("main"), request.get_metadata()
        finally:
            request.release()
        turned = np.rot90(image, k=-self._settings.rotation // 90) if self._settings.rotation else image
        return np.ascontiguousarray(turned, dtype=np.uint8), metadata

    def _request(self, camera: Picamera2) -> CompletedRequest:
        job = camera.capture_request(wait=False)
        try:
            return camera.wait(job, timeout=self._settings.read_timeout_s)
        except JobTimeout as error:
            camera.cancel_all_and_flush()
            problem = f"gave no picture in {self._settings.read_timeout_s:g} s"
            raise CameraFault(self._name, problem, "look at the ribbon, then restart the kiosk") from error
        except Exception as error:
            raise self._fault("gave no picture", error) from error

    @property
    def _name(self) -> str:
        return f"picamera2 {self._settings.camera_num}"

    def _fault(self, problem: str, error: BaseException) -> CameraFault:
        text = _told_by(error)
        if "busy" in text.lower():
            return CameraFault(self._name, f"is in use: {text}", "end the other program that uses it", CameraState.BUSY)
        return CameraFault(self._name, f"{problem}: {text}", "look at the ribbon, then restart the kiosk")


class TidyPicamera2(Picamera2):
    """The library's class, which where it cannot open leaves a pipe behind: some thousand tries would use up all."""

    def __init__(self, number: int) -> None:
        try:
            Picamera2.__init__(self, number)
        except BaseException:
            if self.is_open and self.camera is not None:
                self.camera.release()
            self.notifymeread.close()
            os.close(self.notifyme_w)
            raise


def _is_settled(metadata: Mapping[str, Any], *, is_focused: bool) -> bool:
    """Whether exposure stands, and focus where it is wanted; what a camera does not tell counts as standing."""
    is_exposed = bool(metadata.get("AeLocked", metadata.get("AeState", _AE_CONVERGED) == _AE_CONVERGED))
    is_seeking = metadata.get("AfState") in (_AF_WAITING, _AF_SCANNING)
    return is_exposed and not (is_focused and is_seeking)


def _told_by(error: BaseException) -> str:
    """What an error and those that it came from say; the library's own says little."""
    texts = []
    link: BaseException | None = error
    while link is not None:
        texts.append(str(link) or type(link).__name__)
        link = link.__cause__
    return " ".join(texts)[:200]


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.camera")
    return logger
