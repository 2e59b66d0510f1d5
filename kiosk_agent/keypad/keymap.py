"""What the keys of a USB keyboard or number pad mean, by the names of linux/input-event-codes.h. Pure."""

from collections.abc import Mapping
from typing import Final, Protocol

from kiosk_agent.events import Key, KeyEvent, Step, Typed
from kiosk_agent.keypad.multitap import ACTIONS, Multitap

_ROWS: Final = {
    "1 2 3 4 5 6 7 8 9 0 MINUS EQUAL": ("1234567890-=", "!@#$%^&*()_+"),
    "Q W E R T Y U I O P LEFTBRACE RIGHTBRACE BACKSLASH": ("qwertyuiop[]\\", "QWERTYUIOP{}|"),
    "A S D F G H J K L SEMICOLON APOSTROPHE GRAVE": ("asdfghjkl;'`", 'ASDFGHJKL:"~'),
    "Z X C V B N M COMMA DOT SLASH SPACE": ("zxcvbnm,./ ", "ZXCVBNM<>? "),
    "KP1 KP2 KP3 KP4 KP5 KP6 KP7 KP8 KP9 KP0": ("1234567890", "1234567890"),
    "KPDOT KPSLASH KPASTERISK KPMINUS KPPLUS": ("./*-+", "./*-+"),
}
US: Final[Mapping[str, tuple[str, str]]] = {
    f"KEY_{name}": (plain[place], shifted[place])
    for names, (plain, shifted) in _ROWS.items()
    for place, name in enumerate(names.split())
}
"""What each key of a US keyboard types, without and with Shift."""

US_ACTIONS: Final[Mapping[str, Key]] = {
    "KEY_ENTER": Key.ENTER,
    "KEY_KPENTER": Key.ENTER,
    "KEY_BACKSPACE": Key.BACKSPACE,
    "KEY_DELETE": Key.CLEAR,
    "KEY_ESC": Key.CANCEL,
    "KEY_TAB": Key.MORE,
    **{f"KEY_F{number}": Key.MORE for number in range(1, 13)},
}
US_LABELS: Final[Mapping[Key, str]] = {
    Key.ENTER: "Enter",
    Key.BACKSPACE: "Backspace",
    Key.CLEAR: "Delete",
    Key.CANCEL: "Esc",
    Key.MORE: "Tab",
}

DIGIT_KEYS: Final[Mapping[str, str]] = {
    f"KEY_{prefix}{digit}": digit for prefix in ("", "KP") for digit in "1234567890"
}
"""The keys of a number pad that are digits, in whichever way it names them."""

_SIGNS: Final = {"DOT": ".", "SLASH": "/", "ASTERISK": "*", "MINUS": "-", "PLUS": "+", "ENTER": "Enter"}

UP, DOWN, REPEATED = 0, 1, 2
"""Values of a key event."""

_SHIFTS: Final = frozenset({"KEY_LEFTSHIFT", "KEY_RIGHTSHIFT"})
_SILENT: Final = frozenset({"KEY_LEFTCTRL", "KEY_RIGHTCTRL", "KEY_LEFTALT", "KEY_LEFTMETA", "KEY_RIGHTMETA"})
"""While one of these is down no key types: such combinations mean nothing to a session."""


class Keys(Protocol):
    """Turns what a device says of its keys into key events."""

    def feed(self, name: str, value: int, at_s: float) -> list[KeyEvent]:
        """Return what one key event of the device means; `value` is UP, DOWN or REPEATED."""

    def due(self) -> list[KeyEvent]:
        """Return what the steps since the last call ask for."""

    def follow(self, step: Step) -> None:
        """Take note of where the session stands; from any thread."""

    def reset(self) -> None:
        """Forget which keys are down: the device was lost, or events of it were."""


class Keyboard:
    """A US keyboard."""

    def __init__(self) -> None:
        self._held: set[str] = set()
        self._is_caps = False

    def feed(self, name: str, value: int, at_s: float) -> list[KeyEvent]:
        """Return what one key event means; only Backspace repeats."""
        del at_s  # each key types at once
        if name in _SHIFTS | _SILENT:
            (self._held.discard if value == UP else self._held.add)(name)
            return []
        if value == UP or (value == REPEATED and name != "KEY_BACKSPACE") or self._held & _SILENT:
            return []
        if name == "KEY_CAPSLOCK":
            self._is_caps = not self._is_caps
            return []
        if name in US_ACTIONS:
            return [ACTIONS[US_ACTIONS[name]]]
        return self._typed(name)

    def due(self) -> list[KeyEvent]:
        """A keyboard has no modes."""
        return []

    def follow(self, step: Step) -> None:
        """A keyboard types the same at every step."""

    def reset(self) -> None:
        """No key is down, and Caps Lock is off."""
        self._held.clear()
        self._is_caps = False

    def _typed(self, name: str) -> list[KeyEvent]:
        if name not in US:
            return []
        plain, shifted = US[name]
        is_shifted = bool(self._held & _SHIFTS) != (self._is_caps and plain.isalpha())
        return [Typed(shifted if is_shifted else plain)]


class NumberPad:
    """A number pad, text by multi-tap."""

    def __init__(self, actions: Mapping[str, Key], letter_s: float) -> None:
        self._keys = {**DIGIT_KEYS, **actions}
        self._text = Multitap(letter_s)
        self.follow, self.due = self._text.follow, self._text.due

    def feed(self, name: str, value: int, at_s: float) -> list[KeyEvent]:
        """Return what one key event means; only backspace repeats."""
        key = self._keys.get(name)
        if key is None or value == UP or (value == REPEATED and key != Key.BACKSPACE):
            return []
        return self._text.press(key, at_s)

    def reset(self) -> None:
        """No key of a number pad is held for another."""


def pad_labels(actions: Mapping[str, Key]) -> dict[Key, str]:
    """Return what the keys with an action are called; of several with the same, the first."""
    found: dict[Key, str] = {}
    for name, key in actions.items():
        short = name.removeprefix("KEY_").removeprefix("KP")
        found.setdefault(key, _SIGNS.get(short, short.capitalize()))
    return found
