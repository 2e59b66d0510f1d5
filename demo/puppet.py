"""A portrait that moves as a person does: it turns, nods, shuts its eyes and comes closer.

The picture is bent over the shape of a head, so the nose moves against the eyes as it does on a solid
one, and noise like a camera's makes no two pictures the same. So every machine has somebody who can do
what the server asks for. It is also an honest threat: who feeds such pictures in place of a camera is
stopped by the kiosk's key and settings, not by the presence check.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from auth_contract.actions import Movement
from auth_contract.messages import FrameMark
from auth_vision.geometry import Picture
from auth_vision.sight import Sight
from demo.head import Head, Stance

AWAY: Final = {
    Movement.TURN_LEFT: Stance(yaw=30),
    Movement.TURN_RIGHT: Stance(yaw=-30),
    Movement.LOOK_UP: Stance(pitch=34),
    Movement.BLINK: Stance(blink=1.0),
    Movement.COME_CLOSER: Stance(scale=1.45),
}
"""How each movement looks when it is done."""

POSES: Final = (
    Stance(),
    Stance(yaw=14),
    Stance(yaw=-14),
    Stance(pitch=10),
    Stance(pitch=-8, yaw=3),
)
"""What an enrolment sees."""

_SWAY: Final = np.array([0.9, 0.7, 0.008, 2.0, 2.0])
"""Degrees to the side and up, size, pixels across and down, by which nobody stands still from picture to picture."""

_DRAWN_BACK: Final = 0.85
"""How much of it is left in the next picture."""

_NOISE: Final = 2.0
_LINES: Final = 14.0
"""Grey levels by which the fine lines of another day differ."""

_ARC: Final = (0.0, 0.35, 0.7, 1.0, 0.75, 0.3)
"""How much of a movement is to be seen in each of its pictures."""

_LID: Final = (0.0, 0.0, 1.0, 1.0, 0.0, 0.0)
"""The same for eyes, which are never half shut for long."""


@dataclass
class Puppet:
    """Somebody made of a portrait, BGR with one face; `seed` decides noise and sway."""

    head: Head
    seed: int = 0
    _chance: np.random.Generator = field(init=False, repr=False)
    _sway: NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._chance = np.random.default_rng(self.seed)
        self._sway = self._chance.normal(0, _SWAY)

    def picture(self, stance: Stance = Stance(), light: float = 1.0) -> Picture:  # noqa: B008 - frozen
        """The next picture, with the head so, and so much of the light."""
        self._sway = _DRAWN_BACK * self._sway + self._chance.normal(0, _SWAY)
        yaw, pitch, size, across, down = (float(number) for number in self._sway)
        moved = Stance(stance.yaw + yaw, stance.pitch + pitch, stance.scale + size, stance.blink, (across, down))
        seen = self.head.seen(moved).astype(np.float32) * light
        return np.clip(seen + self._chance.normal(0, _NOISE, seen.shape), 0, 255).astype(np.uint8)

    def rest(self, count: int = 8, light: float = 1.0) -> list[Picture]:
        """Looks straight into the camera."""
        return [self.picture(light=light) for _ in range(count)]

    def act(self, movement: Movement) -> list[Picture]:
        """Does a movement: six pictures from rest to the whole of it and back."""
        shares = _LID if movement is Movement.BLINK else _ARC
        return [self.picture(AWAY[movement].share(share)) for share in shares]

    def poses(self) -> list[Picture]:
        """Five pictures for an enrolment."""
        return [self.picture(stance) for stance in POSES]


def puppet_of(picture: Picture, sight: Sight, seed: int = 0) -> Puppet:
    """Make a puppet of a portrait. Raises ValueError where no face is seen."""
    faces = sight.faces(picture)
    if not faces:
        raise ValueError("nobody is to be seen in the portrait")
    return Puppet(Head(picture, faces[0].landmarks), seed)


def ada(models: Path, seed: int = 0, day: int = 0) -> Puppet:
    """NASA's portrait of the astronaut Eileen Collins, in the public domain, 640 x 480; on another day if not 0."""
    import skimage.data

    portrait = cv2.cvtColor(skimage.data.astronaut(), cv2.COLOR_RGB2BGR)[:384, :512]
    sized = cv2.resize(portrait, (640, 480), interpolation=cv2.INTER_CUBIC)
    return puppet_of(_on_another_day(np.asarray(sized, np.uint8), day), Sight(models), seed)


def _on_another_day(picture: Picture, day: int) -> Picture:
    """With other fine lines, as another light and another hair give: no two pictures of a person have the same.

    Without it whatever is made of one portrait is a copy of the enrolled picture, and refused as such.
    """
    if day == 0:
        return picture
    lines = cv2.GaussianBlur(np.random.default_rng(day).normal(0, 1, picture.shape[:2]), (0, 0), 1.0)
    return np.asarray(np.clip(picture + _LINES * (lines / lines.std())[..., None], 0, 255), np.uint8)


def record(
    puppet: Puppet, movements: Sequence[Movement], *, began_ms: int = 900, step_ms: int = 200
) -> tuple[tuple[bytes, ...], tuple[FrameMark, ...]]:
    """A recording as a kiosk sends it: three frontal pictures, five of each movement, two frontal ones."""
    parts = [puppet.rest(3), *(_thinned(puppet.act(movement)) for movement in movements), puppet.rest(2)]
    frames = tuple(jpeg(picture) for part in parts for picture in part)
    numbers = [number for number, part in enumerate(parts) for _ in part]
    return frames, tuple(FrameMark(at_ms=began_ms + step_ms * place, part=part) for place, part in enumerate(numbers))


def _thinned(pictures: list[Picture]) -> list[Picture]:
    return [pictures[place] for place in (0, 1, 2, 3, 5)]


def jpeg(picture: Picture, quality: int = 92) -> bytes:
    """A picture as a camera's JPEG."""
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def write(folder: Path, pictures: Sequence[Picture]) -> list[str]:
    """Write pictures into a folder and return their paths, as the replay camera takes them."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{place:03}.jpg" for place in range(len(pictures))]
    for path, picture in zip(paths, pictures, strict=True):
        path.write_bytes(jpeg(picture))
    return [str(path) for path in paths]
