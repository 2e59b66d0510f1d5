"""The camera `opencv` on a V4L2 camera that the kernel makes up (vivid): form, busy, pulled out and put back."""

import threading
import time
from pathlib import Path

import numpy as np
from checks import Checks, require, wait_for

from kiosk_agent.camera import Camera, CameraNeeds, open_camera
from kiosk_agent.errors import CameraFault
from kiosk_agent.settings import OpencvCamera

_DEVICE = Path("/dev/video0")
_DRIVER = Path("/sys/bus/platform/drivers/vivid")
_ASKED = OpencvCamera(kind="opencv", device=str(_DEVICE), width=640, height=470)
"""Vivid has 640x480 and no 640x470."""

_ROUNDS = 20


def run(checks: Checks) -> None:
    """Try it."""
    camera = _camera()
    try:
        with checks.check("it opens, and its pictures have the size that the camera chose") as seen:
            camera.prepare()
            height, width = camera.grab().shape[:2]
            require((width, height) == (640, 480), f"{width}x{height}")
            seen.append(f"asked {_ASKED.width}x{_ASKED.height}, has {width}x{height}")
        with checks.check("each picture is a new one"):
            first, second = camera.grab(), camera.grab()
            require(bool(np.any(first != second)), "two pictures were the same")
        with checks.check("a second program cannot open it meanwhile, and the first goes on") as seen:
            second_camera = _camera()
            seen.append(_fault(second_camera))
            second_camera.close()
            camera.grab()
        with checks.check("pulled out between two pictures: a fault, not a call that hangs") as seen:
            (_DRIVER / "unbind").write_text("vivid.0")
            seen.append(_fault(camera))
        with checks.check("while it is gone: a fault each time"):
            for _ in range(3):
                _fault(camera)
        with checks.check("put back: the next person is served"):
            (_DRIVER / "bind").write_text("vivid.0")
            wait_for(_DEVICE.exists, "no device")
            camera.prepare()
            camera.grab()
    finally:
        camera.close()
    with checks.check(f"opened and closed {_ROUNDS} times, with no thread left behind") as seen:
        for _ in range(_ROUNDS):
            camera = _camera()
            camera.prepare()
            camera.grab()
            camera.close()
        wait_for(lambda: threading.active_count() == 1, "threads are left")


def _camera() -> Camera:
    return open_camera(_ASKED, CameraNeeds(time.monotonic, time.sleep))


def _fault(camera: Camera) -> str:
    try:
        camera.prepare()
        camera.grab()
    except CameraFault as fault:
        return fault.problem
    require(False, "it gave a picture")
    return ""
