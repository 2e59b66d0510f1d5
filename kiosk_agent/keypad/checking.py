"""The check of `4auth-kiosk hardware` for keypads: each key is to be pressed, where somebody is asked."""

import sys
import time
from collections.abc import Callable, Mapping
from typing import Final

from kiosk_agent.errors import KeypadFault
from kiosk_agent.events import Key, KeyEvent, ModeShown, Step, Typed
from kiosk_agent.hardware import Finding, Options
from kiosk_agent.keypad import Keypad, open_keypad
from kiosk_agent.keypad.multitap import ACTIONS
from kiosk_agent.settings import KioskSettings

_PATIENCE_S: Final = 10.0
"""For one key."""


def check_keypad(settings: KioskSettings, options: Options) -> Finding:
    """Open the keypad and, where standard output is a terminal, ask for each of its keys."""
    del options
    keypad = open_keypad(settings.keypad, is_production=settings.environment == "production")
    try:
        facts = {"keys": ", ".join(f"{key.value}: {label}" for key, label in keypad.labels.items())}
        facts |= {"device": str(device)} if (device := getattr(keypad, "device", "")) else {}
        if keypad.state:
            return Finding(facts, (keypad.state,))
        if not sys.stdout.isatty() or settings.keypad.kind == "scripted":
            return Finding(facts | {"asked": "for no key: standard output is no terminal, or nobody is there to press"})
        return Finding(facts, ask_for_keys(keypad, print, time.monotonic))
    finally:
        keypad.close()


def ask_for_keys(keypad: Keypad, say: Callable[[str], None], monotonic: Callable[[], float]) -> tuple[str, ...]:
    """Ask for the digits and each key with an action, 10 s each; return what is wrong with them."""
    faults: list[str] = []
    for label, step, event in _wanted(keypad.labels):
        keypad.follow(step)
        say(f"  press {label}")
        try:
            if not _comes(keypad, event, monotonic):
                faults.append(f"key {label} was not seen within {_PATIENCE_S:g} s")
        except KeypadFault as error:
            return (*faults, str(error))
    return tuple(faults)


def _wanted(labels: Mapping[Key, str]) -> list[tuple[str, Step, KeyEvent]]:
    digits: list[tuple[str, Step, KeyEvent]] = [(digit, Step.CODE, Typed(digit)) for digit in "1234567890"]
    actions = [(label, Step.CODE, ACTIONS[key]) for key, label in labels.items() if key in ACTIONS]
    modes: list[tuple[str, Step, KeyEvent]] = [
        (label, Step.NAME, ModeShown("ABC")) for key, label in labels.items() if key is Key.MODE
    ]
    return [*digits, *actions, *modes]


def _comes(keypad: Keypad, wanted: KeyEvent, monotonic: Callable[[], float]) -> bool:
    ends_s = monotonic() + _PATIENCE_S
    while (left_s := ends_s - monotonic()) > 0:
        if keypad.read(left_s) == wanted:
            return True
    return False
