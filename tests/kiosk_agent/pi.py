"""A Raspberry Pi's camera for tests: the library's real class, with stand-ins for what it needs of the system.

Every call is held to the real signatures; behind them is a camera that adjusts forms, settles, lends out its
buffers, and can be absent, busy or silent.
"""

import sys
import types
from collections.abc import Iterator
from concurrent.futures import TimeoutError as JobTimeout
from contextlib import contextmanager
from typing import Any, ClassVar
from unittest.mock import MagicMock, create_autospec

import numpy as np

SYSTEM = ("libcamera", "pidng", "pidng.camdefs", "pidng.core", "piexif", "prctl", "pykms", "simplejpeg", "videodev2")
BUFFERS = 6


class Transform:
    """libcamera's, which has these members."""

    def __init__(self, hflip: bool = False, vflip: bool = False, transpose: bool = False) -> None:
        self.hflip, self.vflip, self.transpose = hflip, vflip, transpose


class StandIn(types.ModuleType):
    """A module that has whatever is asked of it."""

    __path__: ClassVar[list[str]] = []

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = MagicMock(name=f"{self.__name__}.{name}")
        setattr(self, name, made)
        return made


@contextmanager
def pi_library() -> Iterator[None]:
    """Let picamera2 and the driver be imported, and forget them afterwards."""
    before = set(sys.modules)
    for name in SYSTEM:
        sys.modules[name] = StandIn(name)
    sys.modules["libcamera"].Transform = Transform  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for name in set(sys.modules) - before | set(SYSTEM):
            if name.startswith(("picamera2", "kiosk_agent.camera.picamera2", *SYSTEM)):
                sys.modules.pop(name, None)


class PiCamera:
    """What is behind the library. `library` stands for its class."""

    def __init__(self) -> None:
        from picamera2.picamera2 import Picamera2
        from picamera2.request import CompletedRequest

        self._request = create_autospec(CompletedRequest)
        self.library = create_autospec(Picamera2)
        self.library.global_camera_info.return_value = [{"Num": 0}]
        self.opened = self.library.return_value
        self.controls = {"FrameDurationLimits": (100, 1, 1), "AeEnable": (False, True, True), "AfMode": (0, 2, 0)}
        self.metadata: list[dict[str, Any]] = [{"FrameDuration": 66_666, "AeLocked": True, "AfState": 2}]
        self.picture = np.zeros((960, 1280, 3), np.uint8)
        self.adjusts: dict[str, Any] = {}
        self.is_silent = False
        self.lent, self.config, self.is_running = 0, {}, False
        self._wire()

    def _wire(self) -> None:
        opened = self.opened
        opened.camera_controls = self.controls
        opened.create_video_configuration.side_effect = lambda main, transform, controls: {
            "main": main,
            "transform": transform,
            "controls": controls,
        }
        opened.configure.side_effect = self._configure
        opened.camera_configuration.side_effect = lambda: self.config
        opened.start.side_effect = lambda: setattr(self, "is_running", True)
        opened.stop.side_effect = lambda: setattr(self, "is_running", False)
        opened.capture_request.side_effect = lambda wait: "job"
        opened.wait.side_effect = self._complete

    def _configure(self, config: dict[str, Any]) -> None:
        unknown = set(config["controls"]) - {*self.controls, "FrameRate"}
        assert not unknown, f"{unknown}: would fail at the next capture"
        self.config = config | {"main": config["main"] | self.adjusts}

    def _complete(self, job: str, timeout: float) -> Any:
        assert (job, self.is_running) == ("job", True)
        if self.is_silent:
            raise JobTimeout
        assert self.lent < BUFFERS, "all buffers are lent out: it would wait for ever"
        self.lent += 1
        request = self._request.return_value
        request.make_array.side_effect = lambda name: self.picture
        request.get_metadata.return_value = self.metadata[0]
        request.release.side_effect = self._give_back
        if len(self.metadata) > 1:
            self.metadata.pop(0)
        return request

    def _give_back(self) -> None:
        self.lent -= 1
