"""Which light and which sound belong to which step. Pure.

Colours are never alone: a light that blinks is not green, for whoever cannot tell it from red.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from kiosk_agent.events import Step

Sound = tuple[float, ...]
"""Seconds on, off, on, ..."""

CLICK: Final[Sound] = (0.03,)
GRANTED: Final[Sound] = (0.12, 0.1, 0.12)
DENIED: Final[Sound] = (0.8,)


@dataclass(frozen=True, slots=True)
class Light:
    """Red, green and blue from 0 to 1; an LED of one colour is on where `is_lit`."""

    colour: tuple[float, float, float]
    is_blinking: bool = False

    @property
    def is_lit(self) -> bool:
        """Whether any of the three is on."""
        return any(self.colour)


DARK: Final = Light((0, 0, 0))
_GREEN: Final = Light((0, 1, 0))
_RED: Final = Light((1, 0, 0), is_blinking=True)
_BUSY: Final = Light((0, 0, 1), is_blinking=True)
_WHITE: Final = Light((1, 1, 1))

_LIGHTS: Final[Mapping[Step, Light]] = {
    Step.ATTRACT: DARK,
    Step.GRANTED: _GREEN,
    Step.DONE: _GREEN,
    Step.DENIED: _RED,
    Step.LOCKED: _RED,
    Step.TIMED_OUT: _RED,
    Step.OUT_OF_SERVICE: _RED,
    Step.SENDING: _BUSY,
    Step.CHECKING: _BUSY,
    Step.WAITING: _BUSY,
    Step.FACE: _WHITE,
    Step.ENROL: _WHITE,
}
_SOUNDS: Final[Mapping[Step, Sound]] = {
    Step.GRANTED: GRANTED,
    Step.DONE: GRANTED,
    Step.DENIED: DENIED,
    Step.LOCKED: DENIED,
}


def light_of(step: Step) -> Light:
    """Return the light of a step; where keys are typed there is none, the screen is bright enough."""
    return _LIGHTS.get(step, DARK)


def sound_of(step: Step) -> Sound:
    """Return the sound at the beginning of a step, empty where there is none."""
    return _SOUNDS.get(step, ())
