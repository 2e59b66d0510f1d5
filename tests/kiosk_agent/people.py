"""Somebody before a kiosk's camera, who does what is asked: camera and guide in one, without a model."""

from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from auth_contract.actions import Movement
from auth_vision.geometry import Box
from auth_vision.look import Face, Features, Look, Pose

LEFT, RIGHT, UP, BLINK, CLOSER = Movement


def features(*, across=0.0, down=0.62, yaw=0.0, pitch=-12.0, size=1.0, shut=False, light=120.0) -> Features:
    """What is measured of a face; frontal and good unless told otherwise."""
    points = np.full((68, 2), 300.0)
    face = Face(Box(240, 180, 120 * size, 140 * size), points, points[:5], 0.99)
    eyes, ratio = ((0.0, 0.0), 0.12) if shut else ((1.0, 1.0), 0.3)
    return Features(face, Pose(yaw, pitch, 0.0), across, down, 53 * size, eyes, ratio, light, 0.3)


AWAY = {
    LEFT: features(across=0.22, yaw=14),
    RIGHT: features(across=-0.22, yaw=-14),
    UP: features(down=0.45, pitch=-1),
    BLINK: features(shut=True),
    CLOSER: features(size=1.35),
}
GOOD, DARK = features(), features(light=20.0)


@dataclass
class Person:
    """Knows what each picture shows.

    They do what is asked `reaction` pictures after they were asked, for `lasts` pictures, unless it is
    among `refuses`. At rest `at_rest` says what the picture of this number shows.
    """

    reaction: int = 2
    lasts: int = 3
    refuses: frozenset[Movement] = frozenset()
    at_rest: Callable[[int], Features | None] = lambda _count: GOOD
    shown: list[Features | None] = field(default_factory=list)
    asked: list[Movement | None] = field(default_factory=list)
    _since: int = 0

    def prepare(self) -> None:
        pass

    def follow(self, movement: Movement | None) -> None:
        self.asked.append(movement)
        self._since = len(self.shown)

    def grab(self) -> np.ndarray:
        now, past = self.asked[-1], len(self.shown) - self._since
        is_moving = now not in {None, *self.refuses} and self.reaction <= past < self.reaction + self.lasts
        self.shown.append(AWAY[now] if is_moving else self.at_rest(len(self.shown)))
        return self.picture(len(self.shown) - 1)

    def close(self) -> None:
        pass

    def look(self, _picture: np.ndarray) -> Look:
        seen = self.shown[-1]
        return Look(640, 480, () if seen is None else (seen.face.height,), seen)

    def picture(self, number: int) -> np.ndarray:
        """A picture whose colour is its number."""
        return np.full((48, 64, 3), (number % 16 * 16, number // 16 * 16, 0), np.uint8)

    def seen_in(self, frame: bytes) -> Features | None:
        """What a sent picture shows."""
        blue, green, _ = np.round(cv2.imdecode(np.frombuffer(frame, np.uint8), 1).mean(axis=(0, 1)) / 16).astype(int)
        return self.shown[green * 16 + blue]
