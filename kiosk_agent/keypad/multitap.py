"""Text on ten keys: the same key again gives its next letter; a mode key changes what keys give.

Pure, and shared by every pad of digits, whether of keys or on a screen: the caller passes the key and
when it was pressed. Where a code is typed or a menu is open, digits are digits at the first press.
"""

from collections import deque
from collections.abc import Mapping
from typing import Final

from kiosk_agent.events import (
    Cancelled,
    Cleared,
    Entered,
    Erased,
    Key,
    KeyEvent,
    ModeShown,
    MoreTime,
    Step,
    Typed,
)

LETTERS: Final = "abc"
CAPITALS: Final = "ABC"
NUMBERS: Final = "123"
SYMBOLS: Final = "#+="
MODES: Final = (LETTERS, CAPITALS, NUMBERS, SYMBOLS)
"""What the mode key goes through, by the names that the screen shows."""

_LETTERS: Final[Mapping[str, str]] = {
    "1": ".-_@,'!?1",
    "2": "abc2",
    "3": "def3",
    "4": "ghi4",
    "5": "jkl5",
    "6": "mno6",
    "7": "pqrs7",
    "8": "tuv8",
    "9": "wxyz9",
    "0": " 0",
}
_SYMBOLS: Final[Mapping[str, str]] = {
    "1": ".,?!",
    "2": "@#$%",
    "3": "&*+-",
    "4": "=/\\_",
    "5": "()[]",
    "6": "{}<>",
    "7": ":;'\"",
    "8": "^~`|",
    "9": "€£§°",
    "0": " ",
}
CHARACTERS: Final[Mapping[str, Mapping[str, str]]] = {
    LETTERS: _LETTERS,
    CAPITALS: {key: characters.upper() for key, characters in _LETTERS.items()},
    NUMBERS: {key: key for key in _LETTERS},
    SYMBOLS: _SYMBOLS,
}
"""What each key gives in each mode, press after press."""

ACTIONS: Final[Mapping[Key, KeyEvent]] = {
    Key.ENTER: Entered(),
    Key.BACKSPACE: Erased(),
    Key.CLEAR: Cleared(),
    Key.CANCEL: Cancelled(),
    Key.MORE: MoreTime(),
}
"""What the keys with an action give, in any mode."""

_TEXT_STEPS: Final = frozenset(
    {Step.ATTRACT, Step.NAME, Step.PERSON, Step.PERMISSION, Step.PASSWORD, Step.NEW_PASSWORD, Step.REPEAT}
)
"""Where letters are typed; at rest a letter begins a name."""


class Multitap:
    """What has been tapped. `follow` may be called from another thread than the rest."""

    def __init__(self, letter_s: float = 1.2) -> None:
        self._letter_s = letter_s
        self._moves: deque[Step] = deque()
        self._step: Step | None = None
        self._mode = ""
        self._key = ""
        self._taps = 0
        self._tapped_s = 0.0

    def follow(self, step: Step) -> None:
        """Take note of where the session stands."""
        self._moves.append(step)

    def due(self) -> list[KeyEvent]:
        """Return what the steps since the last call ask for: the mode in which an entry begins."""
        events: list[KeyEvent] = []
        while self._moves:
            events += self._enter(self._moves.popleft())
        return events

    def press(self, key: str, at_s: float) -> list[KeyEvent]:
        """Return what a digit or a `Key` gives, pressed at this monotonic time. Other names give nothing."""
        events = self.due()
        if key == Key.MODE:
            return events + self._turn_mode()
        if key in CHARACTERS[NUMBERS]:
            return events + self._tap(key, at_s)
        self._key = ""
        return events + [event for action, event in ACTIONS.items() if action == key]

    def _enter(self, step: Step) -> list[KeyEvent]:
        before, self._step = self._step, step
        if (before, step) == (Step.ATTRACT, Step.NAME):
            return []  # the name's first letter may still be turning into the next
        self._key = ""
        return self._show(LETTERS if step in _TEXT_STEPS else NUMBERS)

    def _turn_mode(self) -> list[KeyEvent]:
        self._key = ""
        if self._step not in _TEXT_STEPS:
            return []
        return self._show(MODES[(MODES.index(self._mode) + 1) % len(MODES)])

    def _show(self, mode: str) -> list[KeyEvent]:
        before, self._mode = self._mode, mode
        return [] if mode == before else [ModeShown(mode)]

    def _tap(self, key: str, at_s: float) -> list[KeyEvent]:
        choices = CHARACTERS[self._mode or NUMBERS][key]
        is_again = key == self._key and at_s - self._tapped_s <= self._letter_s and len(choices) > 1
        self._taps = self._taps + 1 if is_again else 0
        self._key, self._tapped_s = key, at_s
        typed = Typed(choices[self._taps % len(choices)])
        return [Erased(), typed] if is_again else [typed]
