"""Keys on a touch screen: ten digits, in their order or scrambled anew for each step, and the keys with an action.

The page knows where a finger was and not what it meant: it sends the place, and the agent, which drew the
order, says what lies there. Traces of fingers on the glass then tell nobody a code.
"""

import random
import time
from collections.abc import Callable
from threading import Lock
from typing import Any, Final

from kiosk_agent.events import Key, KeyEvent
from kiosk_agent.keypad.multitap import Multitap
from kiosk_agent.vocabulary import Step

_DIGITS: Final = "1234567890"
_CHANCE: Final = random.SystemRandom()


class TouchPad:
    """The keys of one screen; methods may be called from any thread. `shuffle` and `monotonic` are chance and time."""

    def __init__(
        self,
        *,
        is_scrambled: bool,
        shuffle: Callable[[list[str]], None] = _CHANCE.shuffle,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_scrambled = is_scrambled
        self._shuffle = shuffle
        self._monotonic = monotonic
        self._lock = Lock()
        self._text = Multitap()
        self._digits = list(_DIGITS)
        self._round = 0
        self._step: Step | None = None

    def follow(self, step: Step) -> None:
        """Take note of where the session stands; each step has an order of its own."""
        with self._lock:
            if step is self._step:
                return
            self._step = step
            self._text.follow(step)
            self._round += 1
            if self._is_scrambled:
                self._shuffle(self._digits)

    def members(self) -> dict[str, Any]:
        """What the page draws: the digits in their places, and the number of this order."""
        with self._lock:
            return {"digits": list(self._digits), "round": self._round}

    def press(self, pressed: str, number: int) -> list[KeyEvent]:
        """Return what a place, "0" to "9", or a key's name gives; nothing for an order that is gone."""
        with self._lock:
            if number != self._round:
                return []
            if pressed in set(_DIGITS):
                pressed = self._digits[int(pressed)]
            elif pressed not in {key.value for key in Key}:
                return []
            return self._text.press(pressed, self._monotonic())
