"""A portrait as a solid head: a height over each pixel, and what a camera sees when the head moves. Pure."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from auth_vision.geometry import Picture, Points

Field = NDArray[np.float32]

_ROUNDS: Final = 5
"""Of the fixed point that finds where a pixel came from; after five it moves by under a tenth of a pixel."""

_REACH: Final = 3.0
"""How far around the face's middle the person reaches, in distances between the eyes."""

_AXIS: Final = 0.35
"""How far behind the face's edge the neck stands, in distances between the eyes."""


@dataclass(frozen=True, slots=True)
class Stance:
    """How a head is held: degrees to the person's left and upwards, size, how far the eyes are shut, pixels aside."""

    yaw: float = 0.0
    pitch: float = 0.0
    scale: float = 1.0
    blink: float = 0.0
    shift: tuple[float, float] = (0.0, 0.0)

    def share(self, share: float) -> "Stance":
        """Return the stance at a part of the way from rest, 0 to 1."""
        return Stance(self.yaw * share, self.pitch * share, 1 + (self.scale - 1) * share, self.blink * share)


class Head:
    """A portrait with the 68 points of its one face."""

    def __init__(self, picture: Picture, landmarks: Points) -> None:
        self.picture = picture
        self._points = landmarks
        eyes = landmarks[36:42].mean(axis=0), landmarks[42:48].mean(axis=0)
        self._unit = float(np.linalg.norm(eyes[1] - eyes[0]))
        middle = (eyes[0] + eyes[1]) / 2 * 0.45 + landmarks[48:68].mean(axis=0) * 0.55
        self._centre = float(middle[0]), float(middle[1])
        rows, columns = picture.shape[:2]
        self._y, self._x = (axis.astype(np.float32) for axis in np.mgrid[0:rows, 0:columns])

    def seen(self, stance: Stance) -> Picture:
        """Return what a camera sees of the head in this stance."""
        source = self._with_lids(stance.blink) if stance.blink > 0 else self.picture
        across, down = self._zoomed(*self._from_where(stance), stance)
        seen = cv2.remap(source, across, down, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(seen, np.uint8)

    @cached_property
    def _height(self) -> Field:
        """Of each pixel over the axis of the neck: an ellipsoid with a nose."""
        x, y, unit = self._x, self._y, self._unit
        bridge, tip = self._points[27], self._points[30]
        far = ((x - self._centre[0]) / (1.25 * unit)) ** 2 + ((y - self._centre[1] + 0.15 * unit) / (1.75 * unit)) ** 2
        along = np.clip((y - bridge[1]) / (tip[1] - bridge[1] + 1e-6), 0, 1.25)
        ridge = np.where(along <= 1, along, np.clip(1 - (along - 1) * 4, 0, 1))
        axis = bridge[0] + (tip[0] - bridge[0]) * np.clip(along, 0, 1)
        width = unit * (0.16 + 0.10 * np.clip(along, 0, 1))
        nose = np.where(y < bridge[1], 0, 0.45 * ridge * np.exp(-(((x - axis) / width) ** 2)))
        skull = 1.1 * np.sqrt(np.clip(1 - far, 0, None)) + nose
        return _blurred(unit * skull, 0.05 * unit) - np.float32(_AXIS * unit)

    @cached_property
    def _edge(self) -> Field:
        """1 on the head, 0 around it, softly."""
        is_head = self._height > (1e-3 - _AXIS) * self._unit
        return _blurred(is_head.astype(np.float32), 0.12 * self._unit)

    def _from_where(self, stance: Stance) -> tuple[Field, Field]:
        """For each pixel of the turned head, the place in the portrait from which it came."""
        yaw, pitch = np.radians(stance.yaw), np.radians(stance.pitch)
        x, y, z = self._x - self._centre[0], self._y - self._centre[1], self._height
        moved_x = (self._edge * (x * (np.cos(yaw) - 1) + z * np.sin(yaw))).astype(np.float32)
        moved_y = (self._edge * (y * (np.cos(pitch) - 1) - z * np.sin(pitch))).astype(np.float32)
        across, down = self._x, self._y
        for _ in range(_ROUNDS):
            step_x, step_y = _sample(moved_x, across, down), _sample(moved_y, across, down)
            across, down = self._x - step_x, self._y - step_y
        return across, down

    def _zoomed(self, across: Field, down: Field, stance: Stance) -> tuple[Field, Field]:
        """The same from nearer by, or a step aside; what stands around the person stays where it is."""
        size = 1 + (stance.scale - 1) * self._near
        x = (self._x - self._centre[0] - stance.shift[0] * self._near) / size + self._centre[0]
        y = (self._y - self._centre[1] - stance.shift[1] * self._near) / size + self._centre[1]
        x, y = x.astype(np.float32), y.astype(np.float32)
        return _sample(across, x, y), _sample(down, x, y)

    @cached_property
    def _near(self) -> Field:
        """1 on the person, less and less around."""
        x, y = self._x - self._centre[0], self._y - self._centre[1]
        far = (x * x + y * y) / (_REACH * self._unit) ** 2
        return np.asarray(np.exp(-far * far), np.float32)

    def _with_lids(self, amount: float) -> Picture:
        """The portrait with skin drawn over its eyes, and lashes below."""
        seen: NDArray[Any] = self.picture.astype(np.float32)
        for start in (36, 42):
            eye = self._points[start : start + 6]
            x, y = eye.mean(axis=0)
            half = float(np.linalg.norm(eye[3] - eye[0])) * 0.62
            lid = amount * np.exp(-(((self._x - x) / half) ** 4 + ((self._y - y - 0.05 * half) / (0.6 * half)) ** 4))
            above = np.minimum(self._y, y + 0.3 * half) * 0.25 + 0.75 * (y - 0.55 * half) - 0.1 * half
            skin = cv2.remap(self.picture, self._x, above.astype(np.float32), cv2.INTER_LINEAR).astype(np.float32)
            seen = seen * (1 - lid[..., None]) + skin * lid[..., None]
            lashes = np.exp(-(((self._y - y - 0.3 * half) / (0.07 * half)) ** 2 + ((self._x - x) / (0.8 * half)) ** 4))
            seen *= 1 - 0.7 * amount * lashes[..., None]
        return np.asarray(np.clip(seen, 0, 255), np.uint8)


def _sample(values: Field, across: Field, down: Field) -> Field:
    return np.asarray(cv2.remap(values, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE), np.float32)


def _blurred(values: NDArray[Any], deviation: float) -> Field:
    return np.asarray(cv2.GaussianBlur(values.astype(np.float32), (0, 0), deviation), np.float32)
