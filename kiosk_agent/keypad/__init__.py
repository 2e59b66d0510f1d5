"""The keypad: a Protocol, a table of backends, and one backend a file."""

from collections.abc import Mapping
from typing import Final, Protocol

from kiosk_agent.events import Key, KeyEvent, Step
from kiosk_agent.registry import load_backend
from kiosk_agent.settings.keypads import AnyKeypad


class Keypad(Protocol):
    """Gives key presses. No keypad shows what is typed: that is the screen's, which masks secrets.

    `labels` tells what its keys are called; what is not in it cannot be pressed.
    """

    @property
    def labels(self) -> Mapping[Key, str]:
        """What is printed on the keys."""

    @property
    def state(self) -> str:
        """What is wrong with the keypad, as a sentence; empty where nothing is."""

    def read(self, timeout_s: float) -> KeyEvent | None:
        """Return the next key, or None when none came in time; raises KeypadFault.

        A keypad that failed is read on: it opens itself again, with waits that grow, until it works.
        """

    def follow(self, step: Step) -> None:
        """Take note of where the session stands; called from another thread, at each new step."""

    def close(self) -> None:
        """Let go of the device and put it back as it was found."""


BACKENDS: Final[Mapping[str, str]] = {
    "gpio_matrix": "kiosk_agent.keypad.gpio_matrix:GpioMatrixBackend",
    "scripted": "kiosk_agent.keypad.scripted:ScriptedBackend",
    "terminal": "kiosk_agent.keypad.terminal:TerminalBackend",
    "usb": "kiosk_agent.keypad.usb:UsbBackend",
}


def open_keypad(settings: AnyKeypad, *, is_production: bool = True) -> Keypad:
    """Return the backend that the settings name; raises BackendRefused where it cannot be had.

    In production no key may end or stop the agent.
    """
    keypad: Keypad = load_backend("keypad", settings.kind, BACKENDS)(settings, is_production=is_production)
    return keypad
