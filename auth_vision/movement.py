"""The movements a person may be asked to do, and when one was seen. Pure.

Kiosk and server judge by the same rules: the kiosk to show the next one, the server to decide.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from auth_contract.actions import Movement
from auth_vision.look import Features

TURN_ACROSS: Final = 0.12
"""How far the nose must move across, in distances between the eyes. A flat picture that is turned by 45 degrees,
40 cm from the camera, moves it by 0.03 (perspective); a head that turns by 15 degrees by 0.15."""

TURN_YAW: Final = 7.0
"""Degrees that the pose model must have seen as well."""

UP_DOWN: Final = 0.10
"""How far the nose must rise between mouth and eyes; a head that nods by 15 degrees raises it by 0.2."""

UP_PITCH: Final = 5.0

CLOSER_RATIO: Final = 1.15
"""How much larger face and distance between the eyes must become: 60 cm to 52."""

SHUT_RATIO: Final = 0.82
"""Of the eyes' height while open, when the eye model sees them shut as well; without it `SURELY_SHUT_RATIO`."""

SURELY_SHUT_RATIO: Final = 0.6
OPEN_RATIO: Final = 0.9
"""From which on eyes count as open whatever the eye model says of them."""

SHUT_MAX: Final = 0.3
OPEN_MIN: Final = 0.5
"""Probabilities of open eyes, of the eye that is surer."""


REST_YAW: Final = 15.0
"""Degrees within which a face is at rest. A bent print of a face that is turned by 18 already moved its nose by
0.25 when it was turned; that of a frontal face by 0.13. Round a bottle, which is as deep as a head, it passes."""


@dataclass(frozen=True, slots=True)
class Rest:
    """How a face looked before it moved: medians over frontal pictures of one recording."""

    across: float
    down: float
    yaw: float
    pitch: float
    face_height: float
    eye_distance: float
    eye_ratio: float
    eyes_open: float

    @property
    def is_frontal(self) -> bool:
        """Whether turns can be measured from it."""
        return abs(self.yaw) <= REST_YAW


def rest_of(frontal: Sequence[Features]) -> Rest:
    """Return the medians of frontal pictures. Raises ValueError without any."""
    if not frontal:
        raise ValueError("there is no frontal picture to measure movements from")
    rows = [
        (one.nose_across, one.nose_down, one.pose.yaw, one.pose.pitch, one.face.height, one.eye_distance_px,
         one.eye_ratio, max(one.eyes_open))
        for one in frontal
    ]  # fmt: skip
    return Rest(*(float(number) for number in np.median(rows, axis=0)))


def is_done(movement: Movement, rest: Rest, seen: Sequence[Features]) -> bool:
    """Return whether a movement was made in pictures of one part of a recording, in their order.

    It must be made in them: a first picture that shows it already does not count.
    """
    return bool(seen) and _RULES[movement](rest, seen)


def _turned(rest: Rest, one: Features, side: int, share: float = 1.0) -> bool:
    across = side * (one.nose_across - rest.across)
    yaw = side * (one.pose.yaw - rest.yaw)
    return across >= share * TURN_ACROSS and yaw >= share * TURN_YAW


def _looks_up(rest: Rest, one: Features, share: float = 1.0) -> bool:
    is_level = abs(one.nose_across - rest.across) < 2 * TURN_ACROSS
    return (
        is_level
        and rest.down - one.nose_down >= share * UP_DOWN
        and one.pose.pitch - rest.pitch >= share * UP_PITCH
    )  # fmt: skip


def _turn(side: int) -> Callable[[Rest, Sequence[Features]], bool]:
    def rule(rest: Rest, seen: Sequence[Features]) -> bool:
        return (
            rest.is_frontal and not _turned(rest, seen[0], side) and any(_turned(rest, one, side) for one in seen[1:])
        )

    return rule


def _look_up(rest: Rest, seen: Sequence[Features]) -> bool:
    return not _looks_up(rest, seen[0]) and any(_looks_up(rest, one) for one in seen[1:])


def _come_closer(_rest: Rest, seen: Sequence[Features]) -> bool:
    first = seen[0]
    return any(
        min(one.face.height / first.face.height, one.eye_distance_px / first.eye_distance_px) >= CLOSER_RATIO
        for one in seen[1:]
    )


def _is_shut(rest: Rest, one: Features) -> bool:
    share = one.eye_ratio / max(rest.eye_ratio, 1e-6)
    is_seen_shut = rest.eyes_open >= OPEN_MIN and max(one.eyes_open) <= SHUT_MAX
    return share <= (SHUT_RATIO if is_seen_shut else SURELY_SHUT_RATIO)


def _is_open(rest: Rest, one: Features) -> bool:
    return max(one.eyes_open) >= OPEN_MIN or one.eye_ratio >= OPEN_RATIO * rest.eye_ratio


def _blink(rest: Rest, seen: Sequence[Features]) -> bool:
    """Open, shut, and open again, while the face is level: seen from below, open eyes look shut."""
    level = [
        one
        for one in seen
        if rest.down - one.nose_down < UP_DOWN and abs(one.nose_across - rest.across) < 2 * TURN_ACROSS
    ]
    step = 0
    for one in level:
        is_next = _is_shut(rest, one) if step == 1 else _is_open(rest, one) and not _is_shut(rest, one)
        step += is_next
    return step >= 3


_RULES: Final[Mapping[Movement, Callable[[Rest, Sequence[Features]], bool]]] = MappingProxyType(
    {
        Movement.TURN_LEFT: _turn(1),
        Movement.TURN_RIGHT: _turn(-1),
        Movement.LOOK_UP: _look_up,
        Movement.BLINK: _blink,
        Movement.COME_CLOSER: _come_closer,
    }
)
