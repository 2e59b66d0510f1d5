"""The camera `picamera2` on libcamera's virtual camera: form, pictures, busy, opened and closed many times."""

import gc
import logging
import sys
import threading
import time
from pathlib import Path

import numpy as np
from checks import Checks, Failed, require, wait_for
from no_pi import stand_in_for_heaps_and_sensor, stand_in_for_the_processor
from PIL import Image as Drawing

from kiosk_agent.camera import Camera, CameraNeeds, CameraState, open_camera
from kiosk_agent.errors import CameraFault
from kiosk_agent.settings.cameras import Picamera2Camera

_PICTURES = Path("/pictures")
_COLOURS = ((200, 60, 20), (20, 60, 200), (60, 200, 20), (120, 120, 120))
"""Red, green, blue of each picture."""

_OURS = Picamera2Camera(kind="picamera2", width=640, height=480, fps=30, settle_s=0)


def main(rounds: int) -> int:
    """Return 0 when all checks are good."""
    for number, colour in enumerate(_COLOURS):
        Drawing.new("RGB", (640, 480), colour).save(_PICTURES / f"{number}.jpg", quality=95)
    logging.disable(logging.ERROR)  # what the library says of what it then raises
    checks = Checks("picamera2")
    stand_in_for_heaps_and_sensor()
    with checks.check("a form that the camera changed without a word is read back and refused") as seen:
        camera = _camera()
        seen.append(_fault(camera).problem)
        camera.close()
    stand_in_for_the_processor()
    camera = _camera()
    with checks.check("it opens, and gives pictures of the size that was asked for, blue first") as seen:
        camera.prepare()
        found = {_colour(camera) for _ in range(60)}
        require(found >= set(_COLOURS), f"saw {sorted(found)}")
        seen += [camera.form, f"{len(found)} colours"]
    with checks.check("a second program is told that it is in use, and the first goes on") as seen:
        second = _camera()
        fault = _fault(second)
        require(fault.state is CameraState.BUSY, str(fault))
        seen.append(f"{fault.state}: {fault.problem}")
        second.close()
        camera.grab()
    with checks.check("after that it can be opened again"):
        camera.close()
        camera = _camera()
        camera.prepare()
        camera.grab()
        camera.close()
    with checks.check(f"opened, three pictures, closed: {rounds} times, no thread and no file left behind") as seen:
        files, threads = _files(), threading.active_count()
        for _ in range(rounds):
            _round()
        wait_for(lambda: threading.active_count() <= threads, f"{threading.active_count()} threads, were {threads}")
        gc.collect()  # picamera2 leaves the selector of each opening to it
        require(_files() <= files, f"{_files()} files are open, were {files}")
        seen.append(f"{rounds} of {rounds} good")
    print(f"{checks.failed} failed" if checks.failed else "all good", flush=True)
    return min(checks.failed, 1)


def _camera() -> Camera:
    return open_camera(_OURS, CameraNeeds(time.monotonic, time.sleep))


def _round() -> None:
    camera = _camera()
    camera.prepare()
    for _ in range(3):
        require(camera.grab().shape == (480, 640, 3), "another size")
    camera.close()


def _colour(camera: Camera) -> tuple[int, int, int]:
    """The drawn colour that is nearest to the middle of the next picture."""
    blue, green, red = (int(value) for value in camera.grab()[240, 320])
    return min(_COLOURS, key=lambda drawn: float(np.abs(np.subtract(drawn, (red, green, blue))).sum()))


def _fault(camera: Camera) -> CameraFault:
    try:
        camera.prepare()
    except CameraFault as fault:
        return fault
    raise Failed("it opened")


def _files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
