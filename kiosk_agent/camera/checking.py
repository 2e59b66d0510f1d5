"""The camera's part of `4auth-kiosk hardware --check`: some seconds of pictures, and what they are like."""

import time
from pathlib import Path
from typing import Final

import cv2

from kiosk_agent.camera import CameraNeeds, Image, open_camera
from kiosk_agent.camera.condition import LASTS_S
from kiosk_agent.errors import CameraFault
from kiosk_agent.hardware import Finding, Options
from kiosk_agent.settings import KioskSettings

_LOOK_S: Final = LASTS_S + 0.5
"""Long enough for a finding to be believed."""

_PICTURES_MAX: Final = 300
"""A source of files without a pace would give them by the thousand."""


def check_camera(settings: KioskSettings, options: Options) -> Finding:
    """Take pictures for some seconds, and keep the last where `options` say; raises CameraFault."""
    camera = open_camera(settings.camera, CameraNeeds(time.monotonic, time.sleep))
    try:
        camera.warm(True)
        camera.prepare()
        picture = camera.grab()
        began, count = time.monotonic(), 0
        while time.monotonic() - began < _LOOK_S and count < _PICTURES_MAX:
            picture, count = camera.grab(), count + 1
        rate = count / (time.monotonic() - began)
        facts = {"state": camera.state.value, "gives": camera.form, "frame_rate": f"{rate:.1f} a second"}
        fault = camera.fault
    finally:
        camera.close()
    if options.picture is not None:
        _save(picture, options.picture)
    return Finding(facts | facts_of(picture), () if fault is None else (fault,))


def facts_of(picture: Image) -> dict[str, str]:
    """Return what a picture is like: its size, how bright it is (0 to 255), and how sharp.

    Sharpness is the variance of the Laplacian: below about 20 a camera is out of focus, or sees a bare wall.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    return {
        "resolution": f"{picture.shape[1]}x{picture.shape[0]}",
        "brightness": f"{float(grey.mean()):.0f} of 255",
        "sharpness": f"{float(cv2.Laplacian(grey, cv2.CV_64F).var()):.0f}",
    }


def _save(picture: Image, path: Path) -> None:
    is_encoded, data = cv2.imencode(".jpg", picture)
    if not is_encoded:
        raise CameraFault("picture", "cannot be encoded as JPEG", "look at what the camera gives")
    try:
        path.write_bytes(data.tobytes())
    except OSError as error:
        raise CameraFault(f"picture {path}", str(error.strerror), "name a file that can be written") from error
