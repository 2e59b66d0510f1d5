"""The camera `opencv` on a V4L2 camera that the kernel makes up (vivid): form, busy, pulled out and put back."""

import threading
import time
from pathlib import Path

import numpy as np
from checks import Checks, Failed, require, wait_for

from kiosk_agent.camera import Camera, CameraNeeds, CameraState, open_camera
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
        with checks.check("it opens, and tells the form that the camera chose") as seen:
            camera.prepare()
            height, width = camera.grab().shape[:2]
            require((width, height) == (640, 480) and camera.form.startswith("640x480"), camera.form)
            seen += [f"asked {_ASKED.width}x{_ASKED.height}", camera.form]
        with checks.check("each picture is a new one"):
            first, second = camera.grab(), camera.grab()
            require(bool(np.any(first != second)), "two pictures were the same")
        with checks.check("a second program is told that it is in use, and the first goes on") as seen:
            second_camera = _camera()
            seen.append(_fault(second_camera, CameraState.BUSY))
            second_camera.close()
            camera.grab()
        with checks.check("warm, it streams for the preview") as seen:
            camera.warm(True)
            wait_for(lambda: camera.latest() is not None, "no picture")
        with checks.check("pulled out in mid-stream: told as that, at once") as seen:
            (_DRIVER / "unbind").write_text("vivid.0")
            wait_for(lambda: camera.state is CameraState.UNPLUGGED, f"state {camera.state}")
            seen.append(_fault(camera, CameraState.UNPLUGGED))
            require(camera.latest() is None, "the last picture is still shown")
        with checks.check("put back: it streams again by itself") as seen:
            (_DRIVER / "bind").write_text("vivid.0")
            wait_for(lambda: camera.latest() is not None, "no picture")
            require(camera.state is CameraState.OK, f"state {camera.state}")
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


def _fault(camera: Camera, state: CameraState) -> str:
    """What the next person's picture fails with, and as what it is told."""
    try:
        camera.prepare()
        camera.grab()
    except CameraFault as fault:
        require(fault.state is state, f"{fault.state}: {fault}")
        return f"{fault.state}: {fault.problem}"
    raise Failed("it gave a picture")
