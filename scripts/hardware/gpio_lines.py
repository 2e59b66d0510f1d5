"""The keypad `gpio_matrix` at a gpiochip, through gpiozero and lgpio as on a Pi; behind it is the model `cp2112`."""

import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from checks import Checks, require, wait_for
from cp2112 import Bridge, Contact
from gpiozero.devices import Device

from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, KeyEvent, ModeShown, MoreTime, Step, Typed
from kiosk_agent.keypad.gpio_matrix import GpioMatrixBackend
from kiosk_agent.settings.keypads import GpioMatrixKeypad

_ROWS, _COLUMNS = (4, 5, 6, 7), (0, 1, 2, 3)
"""GPIO 0 to 3 have pull-ups of their own, on a Pi too, so they are the columns."""

_KEYS: dict[str, KeyEvent] = {
    **{digit: Typed(digit) for digit in "0123456789"},
    "*": Erased(),
    "#": Entered(),
    "B": Cleared(),
    "C": MoreTime(),
    "D": Cancelled(),
}
_PAD = ("123A", "456B", "789C", "*0#D")
CHIP = Path("/dev/gpiochip0")


def run(checks: Checks) -> None:
    """Try it."""
    say_that_this_is_a_pi()
    bridge = Bridge()
    wait_for(CHIP.exists, "no gpiochip")
    settings = GpioMatrixKeypad(kind="gpio_matrix", rows=_ROWS, columns=_COLUMNS)
    keypad = GpioMatrixBackend(settings)
    with checks.check("gpiozero reads the pins by lgpio") as seen:
        factory = type(Device.pin_factory).__name__
        require(factory == "LGPIOFactory", factory)
        seen.append(factory)
    _strokes(checks, bridge, keypad)
    keypad.close()
    with checks.check("closed, every line is an input"):
        require(bridge.heights()[-1][0] == 0, "an output is left")
    if Device.pin_factory is not None:
        Device.pin_factory.close()
        Device.pin_factory = None
    bridge.pull_out()
    wait_for(lambda: not CHIP.exists(), "the gpiochip stays")


def _strokes(checks: Checks, bridge: Bridge, keypad: GpioMatrixBackend) -> None:
    keypad.follow(Step.CODE)
    bridge.heights()
    with checks.check("every key of a 4x4 pad gives its event, once") as seen:
        for key, event in _KEYS.items():
            bridge.close_contacts([_place(key)])
            _expect(keypad, [event])
            bridge.close_contacts([])
            _expect(keypad, [])
        seen.append(f"{len(_KEYS)} keys")
    with checks.check("a second key while one is down gives nothing, until both are up"):
        bridge.close_contacts([_place("1")])
        _expect(keypad, [Typed("1")])
        bridge.close_contacts([_place("1"), _place("5")])
        _expect(keypad, [])
        bridge.close_contacts([])
        _expect(keypad, [])
    with checks.check("three corners of a rectangle, which look like four keys, give nothing"):
        bridge.close_contacts([_place("1"), _place("2"), _place("4")])
        _expect(keypad, [])
        bridge.close_contacts([])
        _expect(keypad, [])
        bridge.close_contacts([_place("9")])
        _expect(keypad, [Typed("9")])
        bridge.close_contacts([])
        _expect(keypad, [])
    with checks.check("never were two rows outputs at once, nor was a column one") as seen:
        outputs = {outputs for outputs, _ in bridge.heights()}
        allowed = {0, *(1 << row for row in _ROWS)}
        require(outputs <= allowed, f"outputs were {sorted(outputs)}")
        seen.append(f"{len(outputs)} states")


def say_that_this_is_a_pi() -> None:
    """gpiozero asks which Pi it runs on, and knows none without an answer: a Pi 4."""
    if "Revision" in Path("/proc/cpuinfo").read_text():
        return
    facts = Path("/tmp/cpuinfo")  # noqa: S108 - the guest's own
    facts.write_text(Path("/proc/cpuinfo").read_text() + "Revision : c03115\n")
    subprocess.run(["mount", "--bind", str(facts), "/proc/cpuinfo"], check=True)  # noqa: S603, S607 - the guest's own


def _place(key: str) -> Contact:
    row = next(number for number, keys in enumerate(_PAD) if key in keys)
    return (_ROWS[row], _COLUMNS[_PAD[row].index(key)])


def _read(keypad: GpioMatrixBackend, timeout_s: float = 0.35) -> list[KeyEvent]:
    found: list[KeyEvent] = []
    ends_s = time.monotonic() + timeout_s
    while time.monotonic() < ends_s:
        event = keypad.read(0.05)
        found += [] if event is None or isinstance(event, ModeShown) else [event]
    return found


def _expect(keypad: GpioMatrixBackend, events: Iterable[KeyEvent]) -> None:
    wanted = list(events)
    found = _read(keypad)
    require(found == wanted, f"came {found}, was to come {wanted}")
    require(keypad.state == "", keypad.state)
