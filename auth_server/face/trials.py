"""Footage held before a kiosk that asks for drawn movements: what it would have sent.

The kiosk of a trial takes eight pictures a second, shows each movement until it is seen or its patience ends,
and sends what it has then. Footage goes on meanwhile, whatever is asked, and begins again at its end.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import cv2

from auth_contract.actions import Movement
from auth_contract.limits import FRAMES_MAX
from auth_contract.messages import FrameMark
from auth_server.face.glimpse import Glimpse, Portrait
from auth_server.face.looker import Looking
from auth_server.face.recording import Recording
from auth_vision import movement, quality
from auth_vision.geometry import Picture
from auth_vision.look import Features

STEP_MS: Final = 125
FRONTAL: Final = (3, 2)
"""Pictures before the first movement and after the last."""

PATIENCE_S: Final = 6.0
"""How long one thing is asked for; a site may set up to ten seconds."""

_BEGAN_MS: Final = 1000
_MOVEMENT_MIN: Final = 4
"""Pictures of a movement: nobody is believed to have read and done it in less than half a second."""


class Remembering:
    """Somebody who looks at frames and remembers what was seen: a trial shows the same ones again and again."""

    def __init__(self, looker: Looking) -> None:
        self._looker = looker
        self._glimpses: dict[bytes, Glimpse] = {}
        self._portraits: dict[bytes, Portrait] = {}

    def glimpses(self, frames: Sequence[bytes], field: str) -> list[Glimpse]:
        """Return the glimpse of each frame, as `Looking` says."""
        new = list(dict.fromkeys(frame for frame in frames if frame not in self._glimpses))
        self._glimpses.update(zip(new, self._looker.glimpses(new, field), strict=True))
        return [self._glimpses[frame] for frame in frames]

    def portraits(self, frames: Sequence[bytes], glimpses: Sequence[Glimpse]) -> list[Portrait]:
        """Return the largest face of each frame, as `Looking` says."""
        new = {
            frame: glimpse
            for frame, glimpse in zip(frames, glimpses, strict=True)
            if frame not in self._portraits
        }  # fmt: skip
        self._portraits.update(zip(new, self._looker.portraits(list(new), list(new.values())), strict=True))
        return [self._portraits[frame] for frame in frames]


@dataclass(frozen=True)
class Footage:
    """A video, or one picture: BGR, all of one size, so many a second; `looker` looks at it for the kiosk.

    `jpegs` holds what the kiosk's camera made of each picture that was shown so far.
    """

    pictures: Sequence[Picture] = field(repr=False)
    fps: float
    looker: Looking = field(repr=False)
    jpegs: dict[int, bytes] = field(default_factory=dict, repr=False)

    def jpeg(self, place: int) -> bytes:
        """Return the picture at a place as a kiosk sends it."""
        if place not in self.jpegs:
            picture = cv2.imencode(".jpg", self.pictures[place], [cv2.IMWRITE_JPEG_QUALITY, 90])[1]
            self.jpegs[place] = picture.tobytes()
        return self.jpegs[place]


def trial(
    footage: Footage, movements: Sequence[Movement], *, offset: int = 0, patience_s: float = PATIENCE_S
) -> Recording:
    """Return the recording that a kiosk makes of footage which begins at a picture when it begins."""
    kiosk = _Kiosk(footage, offset, round(patience_s * 1000 / STEP_MS))
    kiosk.look(0, FRONTAL[0], _are_frontal)
    rest = movement.rest_of(kiosk.features(0)) if kiosk.features(0) else None
    for number, asked in enumerate(movements, start=1):
        kiosk.look(number, _MOVEMENT_MIN, _is_seen(asked, rest))
    kiosk.look(len(movements) + 1, FRONTAL[1], _are_frontal)
    return kiosk.recording(tuple(movements))


_Shots = list[tuple[int, Glimpse]]
"""Steps of the kiosk's clock, and what was seen at each."""


class _Kiosk:
    def __init__(self, footage: Footage, offset: int, patience: int) -> None:
        self._footage, self._offset, self._patience = footage, offset, patience
        self._step = 0
        self._parts: dict[int, _Shots] = {}
        self._rules: dict[int, Callable[[_Shots], bool]] = {}

    def look(self, part: int, at_least: int, is_over: Callable[[_Shots], bool]) -> None:
        """Take the pictures of a part until it is over; of frontal parts the last ones are kept."""
        shots = self._parts.setdefault(part, [])
        for _ in range(self._patience):
            shots.append((self._step, self._footage.looker.glimpses([self._jpeg(self._step)], "frames")[0]))
            self._step += 1
            if len(shots) >= at_least and is_over(shots):
                break
        if at_least == _MOVEMENT_MIN:
            self._rules[part] = is_over
        else:
            del shots[:-at_least]

    def features(self, part: int) -> list[Features]:
        return _faces(self._parts[part])

    def recording(self, movements: tuple[Movement, ...]) -> Recording:
        most = (FRAMES_MAX - sum(FRONTAL)) // max(len(movements), 1)
        sent = [
            (step, part)
            for part, shots in self._parts.items()
            for step, _ in _thinned(shots, most, self._rules.get(part, _always))
        ]
        marks = tuple(FrameMark(at_ms=_BEGAN_MS + STEP_MS * step, part=part) for step, part in sent)
        return Recording(tuple(self._jpeg(step) for step, _ in sent), marks, movements)

    def _jpeg(self, step: int) -> bytes:
        shown = self._offset + round(step * STEP_MS / 1000 * self._footage.fps)
        return self._footage.jpeg(shown % len(self._footage.pictures))


def _always(_shots: _Shots) -> bool:
    return True


def _faces(shots: _Shots) -> list[Features]:
    return [glimpse.look.features for _, glimpse in shots if glimpse.look.features is not None]


def _are_frontal(shots: _Shots) -> bool:
    """Whether the last pictures can be judged."""
    return all(quality.hint_of(glimpse.look) is None for _, glimpse in shots[-FRONTAL[1] :])


def _is_seen(asked: Movement, rest: movement.Rest | None) -> Callable[[_Shots], bool]:
    def is_seen(shots: _Shots) -> bool:
        # One more is taken after the picture that shows it, as a kiosk does.
        return rest is not None and movement.is_done(asked, rest, _faces(shots[:-1]))

    return is_seen


def _thinned(shots: _Shots, most: int, is_seen: Callable[[_Shots], bool]) -> _Shots:
    """At most so many, the first and the last among them: those go that leave the shortest gaps, and no movement."""
    kept = list(shots)
    was_seen = is_seen(kept)
    while len(kept) > most:
        by_gap = sorted(range(1, len(kept) - 1), key=lambda place: kept[place + 1][0] - kept[place - 1][0])
        fewer = (kept[:place] + kept[place + 1 :] for place in by_gap)
        kept = next((left for left in fewer if is_seen(left) or not was_seen), kept[:-1])
    return kept
