"""The keypad `usb` on a keyboard that the kernel makes up (uinput): keys, grab, pulled out and put back."""

import errno
import select
import time
from pathlib import Path
from typing import Any

from checks import Checks, require, wait_for
from evdev import InputDevice, UInput, ecodes

from kiosk_agent.errors import KeypadFault
from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, KeyEvent, ModeShown, MoreTime, Step, Typed
from kiosk_agent.keypad import Keypad, open_keypad
from kiosk_agent.keypad.usb import UsbBackend
from kiosk_agent.settings.keypads import UsbKeypad

_NAME = "4Auth pretended pad"
_PAD: dict[int, KeyEvent] = {
    **{getattr(ecodes, f"KEY_KP{digit}"): Typed(str(digit)) for digit in range(10)},
    ecodes.KEY_KPDOT: Erased(),
    ecodes.KEY_KPSLASH: Cleared(),
    ecodes.KEY_KPASTERISK: MoreTime(),
    ecodes.KEY_KPENTER: Entered(),
    ecodes.KEY_KPMINUS: Cancelled(),
}
_LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
_ACTIONS: dict[int, KeyEvent] = {
    ecodes.KEY_BACKSPACE: Erased(),
    ecodes.KEY_DELETE: Cleared(),
    ecodes.KEY_TAB: MoreTime(),
    ecodes.KEY_ENTER: Entered(),
    ecodes.KEY_ESC: Cancelled(),
}


def run(checks: Checks) -> None:
    """Try it."""
    pad = _plug_in()
    other = InputDevice(pad.device.path)
    keypad = UsbBackend(UsbKeypad(kind="usb", name=_NAME, layout="numpad"))
    try:
        with checks.check("a number pad is found by its name and opened") as seen:
            require(keypad.state == "", keypad.state)
            seen.append(keypad.device)
        with checks.check("every key of a number pad gives its event") as seen:
            keypad.follow(Step.CODE)
            for code, event in _PAD.items():
                _press(pad, code)
                _expect(keypad, event)
            seen.append(f"{len(_PAD)} keys")
        with checks.check("nobody else hears what is typed"):
            _press(pad, ecodes.KEY_KP1)
            _expect(keypad, Typed("1"))
            require(not _hears(other), "another reader of the device heard it")
        with checks.check("a second program cannot take it, and says why") as seen:
            try:
                other.grab()
            except OSError as error:
                require(error.errno == errno.EBUSY, str(error))
            second = UsbBackend(UsbKeypad(kind="usb", name=_NAME))
            second.close()
            require("another program holds it" in second.state, f"state is {second.state!r}")
            seen.append(second.state)
        with checks.check("pulled out, with a key down: a fault that says so, and no key") as seen:
            pad.write(ecodes.EV_KEY, ecodes.KEY_KP5, 1)
            pad.syn()
            _expect(keypad, Typed("5"))
            pad.close()
            wait_for(lambda: _fault(keypad), "no fault")
            seen.append(keypad.state)
        with checks.check("put back: it serves again by itself") as seen:
            pad = _plug_in()
            wait_for(lambda: not _fault(keypad), "still faulty")
            require(keypad.state == "", keypad.state)
            _press(pad, ecodes.KEY_KP7)
            _expect(keypad, Typed("7"))
        with checks.check("let go: others hear the keys again"):
            keypad.close()
            again = InputDevice(pad.device.path)
            _press(pad, ecodes.KEY_KP3)
            require(_hears(again), "nothing was heard")
            again.close()
    finally:
        keypad.close()
        other.close()
        pad.close()
    _keyboard(checks)


def _keyboard(checks: Checks) -> None:
    """A keyboard with letters, found by its path."""
    board = _plug_in()
    keypad = open_keypad(UsbKeypad(kind="usb", device=Path(str(board.device.path))))
    try:
        with checks.check("every letter and digit of a keyboard, small and capital, and its actions") as seen:
            for character in _LETTERS:
                code = getattr(ecodes, f"KEY_{character.upper()}")
                _press(board, code)
                _expect(keypad, Typed(character))
                if character.isalpha():
                    _press(board, ecodes.KEY_LEFTSHIFT, code)
                    _expect(keypad, Typed(character.upper()))
            for code, event in _ACTIONS.items():
                _press(board, code)
                _expect(keypad, event)
            seen.append(f"{26 + len(_LETTERS) + len(_ACTIONS)} strokes")
    finally:
        keypad.close()
        board.close()


def _plug_in() -> UInput:
    keys = sorted(
        {*range(ecodes.KEY_ESC, ecodes.KEY_KPDOT + 1), ecodes.KEY_KPENTER, ecodes.KEY_KPSLASH, ecodes.KEY_DELETE}
    )
    return UInput({ecodes.EV_KEY: keys}, name=_NAME)


def _press(pad: UInput, *codes: int) -> None:
    for value, order in ((1, codes), (0, tuple(reversed(codes)))):
        for code in order:
            pad.write(ecodes.EV_KEY, code, value)
            pad.syn()


def _expect(keypad: Keypad, *events: KeyEvent) -> None:
    found: list[KeyEvent] = []
    ends_s = time.monotonic() + 5
    while len(found) < len(events) and time.monotonic() < ends_s:
        event = keypad.read(0.2)
        found += [] if event is None or isinstance(event, ModeShown) else [event]
    # What is typed has no repr, so that no log shows it: how many came tells more.
    require(found == list(events), f"of {len(events)} came {len(found)}: {found}")


def _hears(device: Any) -> bool:
    return bool(select.select([device.fd], [], [], 0.3)[0])


def _fault(keypad: UsbBackend) -> bool:
    try:
        keypad.read(0.1)
    except KeypadFault:
        return True
    return False
