"""Which frames of a recording a person is judged by, or why too few of them will do. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from auth_contract.actions import CaptureHint, Movement
from auth_server.face.glimpse import Glimpse, apart, pose_of
from auth_server.face.recording import Recording
from auth_vision import quality
from auth_vision.look import Pose

FRONTAL_MAX: Final = (3, 2)
"""Frontal frames of which a template is fused, from before the movements and after; more are not worth their time."""

FRONTAL_MIN: Final = 2
"""Good ones that must be left where some are bad."""

WITNESS_YAW_MAX: Final = 35.0
WITNESS_PITCH: Final = (-30.0, 15.0)
"""Degrees within which a turned face can be recognised. Measured on live-turning-1 and replay-phone-1, one man
each: distances to his frontal frames were at most 0.49 within, up to 0.67 outside."""

MOVING_MIN_SHARE: Final = 2 / 3
"""Of the frames of a movement, which must show a face, and good light."""

_ONLY_SEVERAL: Final = frozenset(quality.RULES) - {CaptureHint.SEVERAL_FACES}


@dataclass(frozen=True, slots=True)
class Unusable:
    """The most common hint of the frames that will not do, and the place of the first that has it."""

    hint: CaptureHint
    place: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Places of frames: the frontal ones to judge by, and of each movement one or two that bind it to their face."""

    frontal: tuple[int, ...]
    witnesses: tuple[int, ...] = ()


def choose(recording: Recording, glimpses: Sequence[Glimpse]) -> Choice | Unusable:
    """Return the frames to judge a person by, from both ends of a recording and each part of it."""
    for place, glimpse in enumerate(glimpses):
        if quality.hint_of(glimpse.look, allowed=_ONLY_SEVERAL) is CaptureHint.SEVERAL_FACES:
            return Unusable(CaptureHint.SEVERAL_FACES, place)
    frontal = _frontal(recording, glimpses)
    if isinstance(frontal, Unusable):
        return frontal
    witnesses: list[int] = []
    for number in range(1, len(recording.movements) + 1):
        found = _moving(recording, glimpses, number)
        if isinstance(found, Unusable):
            return found
        witnesses += found
    return Choice(frontal, tuple(witnesses))


def _frontal(recording: Recording, glimpses: Sequence[Glimpse]) -> tuple[int, ...] | Unusable:
    last = len(recording.movements) + 1
    ends = [recording.part(0), recording.part(last)] if recording.movements else [range(len(glimpses))]
    hints = {place: quality.hint_of(glimpses[place].look) for end in ends for place in end}
    good = [[place for place in end if hints[place] is None] for end in ends]
    if not all(good) or sum(map(len, good)) < min(FRONTAL_MIN, len(hints)):
        lacking = next((end for end, left in zip(ends, good, strict=True) if not left), [*hints])
        return _unusable({place: hints[place] for place in lacking})
    most = FRONTAL_MAX if len(good) > 1 else (sum(FRONTAL_MAX),)
    return tuple(place for left, limit in zip(good, most, strict=True) for place in _spread_out(left, limit))


def _moving(recording: Recording, glimpses: Sequence[Glimpse], number: int) -> list[int] | Unusable:
    """The first frame of a movement and the one that is turned farthest, of those in which a face can be recognised."""
    is_near = Movement.COME_CLOSER in recording.movements[:number]
    allowed = quality.MOVING | {CaptureHint.TOO_CLOSE} if is_near else quality.MOVING
    hints = {place: quality.hint_of(glimpses[place].look, allowed=allowed) for place in recording.part(number)}
    good = [place for place, hint in hints.items() if hint is None]
    if len(good) < MOVING_MIN_SHARE * len(hints):
        worst = _unusable(hints)
        # A face that leaves the picture in the middle of a movement is no reason to be asked again for nothing.
        return Unusable(CaptureHint.MOVEMENT, worst.place) if worst.hint is CaptureHint.NO_FACE else worst
    known = {place: pose for place in good if _is_known(pose := pose_of(glimpses[place]))}
    if not known:
        return Unusable(CaptureHint.MOVEMENT, good[0])
    first = next(iter(known))
    return sorted({first, max(known, key=lambda place: apart(known[first], known[place]))})


def _unusable(hints: dict[int, CaptureHint | None]) -> Unusable:
    wrong = {place: hint for place, hint in hints.items() if hint is not None}
    common = quality.most_common(list(wrong.values()))
    return Unusable(common, next(place for place, hint in wrong.items() if hint is common))


def _spread_out(places: list[int], limit: int) -> list[int]:
    """At most so many places, the first and the last among them."""
    if len(places) <= limit:
        return places
    return [places[round(step * (len(places) - 1) / (limit - 1))] for step in range(limit)]


def _is_known(pose: Pose) -> bool:
    return abs(pose.yaw) <= WITNESS_YAW_MAX and WITNESS_PITCH[0] <= pose.pitch <= WITNESS_PITCH[1]
