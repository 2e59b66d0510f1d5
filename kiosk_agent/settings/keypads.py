"""Settings of each keypad backend."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field, model_validator

from kiosk_agent.settings.section import Section
from kiosk_agent.vocabulary import Key

DIGITS: Final = "0123456789"

GpioPin = Annotated[int, Field(ge=0, le=27, description="GPIO number as the Broadcom chip counts, not the header")]

FOUR_PRESSES: Final[Mapping[str, Key]] = {
    "A": Key.MODE,
    "B": Key.CLEAR,
    "C": Key.MORE,
    "D": Key.CANCEL,
    "*": Key.BACKSPACE,
    "#": Key.ENTER,
}
"""What the keys of a 4x4 pad do."""

THREE_PRESSES: Final[Mapping[str, Key]] = {"*": Key.BACKSPACE, "#": Key.ENTER}
THREE_HOLDS: Final[Mapping[str, Key]] = {"*": Key.CLEAR, "#": Key.CANCEL, "0": Key.MORE, "1": Key.MODE}
"""What the keys of a 3x4 pad do, pressed shortly and held."""

NUMBER_PAD: Final[Mapping[str, Key]] = {
    "KEY_KPENTER": Key.ENTER,
    "KEY_BACKSPACE": Key.BACKSPACE,
    "KEY_KPDOT": Key.BACKSPACE,
    "KEY_KPSLASH": Key.CLEAR,
    "KEY_KPASTERISK": Key.MORE,
    "KEY_KPMINUS": Key.CANCEL,
    "KEY_KPPLUS": Key.MODE,
}
"""What the keys of a USB number pad do."""


class ScriptedKeypad(Section):
    """Keys from a file instead of a keypad; for development only."""

    kind: Literal["scripted"]
    script: Path = Field(description="File of JSON lines, or - for standard input; see keypad/scripted.py")


class TerminalKeypad(Section):
    """The keyboard of the terminal in which the agent runs; nothing typed is echoed."""

    kind: Literal["terminal"]


class GpioMatrixKeypad(Section):
    """A matrix of keys at the GPIO pins, text by multi-tap. The defaults are those of docs/hardware.md.

    `presses` and `holds` say what a key does when pressed shortly and when held for `hold_s`; left out, they
    are those of a 4x4 or a 3x4 pad. All ten digits and all six actions must be there.
    """

    kind: Literal["gpio_matrix"]
    keys: tuple[str, ...] = Field(default=("123A", "456B", "789C", "*0#D"), description="Rows of keys, as printed")
    rows: tuple[GpioPin, ...] = (5, 6, 13, 19)
    columns: tuple[GpioPin, ...] = (12, 16, 20, 21)
    presses: dict[str, Key] = Field(default_factory=dict, description="Key on the pad to action, pressed shortly")
    holds: dict[str, Key] = Field(default_factory=dict, description="Key on the pad to action, held")
    scan_s: float = Field(default=0.005, ge=0.001, le=0.05, description="Between two looks while a key is down")
    rest_s: float = Field(default=0.03, ge=0.001, le=0.1, description="Between two looks while none is")
    debounce_s: float = Field(default=0.015, ge=0.005, le=0.2, description="For which a contact must be still")
    hold_s: float = Field(default=0.8, ge=0.3, le=3, description="After which a key counts as held")
    stuck_s: float = Field(default=20.0, ge=5, le=300, description="After which a key counts as stuck")
    letter_s: float = Field(default=1.2, ge=0.3, le=10, description="In which the same key gives the next letter")

    @property
    def pressed(self) -> Mapping[str, Key]:
        """What keys do when pressed shortly, where they type no digit."""
        return self.presses or ({} if self.holds else self._usual[0])

    @property
    def held(self) -> Mapping[str, Key]:
        """What keys do when held."""
        return self.holds or ({} if self.presses else self._usual[1])

    @property
    def _usual(self) -> tuple[Mapping[str, Key], Mapping[str, Key]]:
        return (FOUR_PRESSES, {}) if "A" in "".join(self.keys) else (THREE_PRESSES, THREE_HOLDS)

    @model_validator(mode="after")
    def _pad_is_whole(self) -> "GpioMatrixKeypad":
        printed = "".join(self.keys)
        if len(self.keys) != len(self.rows) or {len(row) for row in self.keys} != {len(self.columns)}:
            raise ValueError(f"keys needs a row of {len(self.columns)} keys for each of the {len(self.rows)} rows")
        if len({*self.rows, *self.columns}) != len(self.rows) + len(self.columns):
            raise ValueError("a pin is named twice in rows and columns")
        if len(set(printed)) != len(printed):
            raise ValueError("a key is named twice in keys")
        if missing := sorted({*self.pressed, *self.held, *DIGITS} - set(printed)):
            raise ValueError(f"there is no key {', '.join(missing)} in keys")
        if both := sorted(set(self.pressed) & set(DIGITS)):
            raise ValueError(f"presses: {', '.join(both)} types a digit; it can do something else only when held")
        _check_complete({*self.pressed.values(), *self.held.values()})
        return self


def _pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"not a regular expression: {error}") from None
    return value


class UsbKeypad(Section):
    """A USB keyboard or number pad, which no other program then hears.

    Without `device` and `name` it is the first one with digit keys.
    """

    kind: Literal["usb"]
    device: Path | None = Field(default=None, description="As in /dev/input/by-id/...-event-kbd")
    name: Annotated[str, AfterValidator(_pattern)] | None = Field(
        default=None, max_length=200, description="Regular expression found in the device's name"
    )
    layout: Literal["us", "numpad"] = Field(default="us", description="Letters of a US keyboard, or text by multi-tap")
    roles: dict[Annotated[str, Field(pattern=r"^KEY_[A-Z0-9_]+$")], Key] = Field(
        default_factory=dict, description="What the keys of a number pad do, by their evdev names"
    )
    letter_s: float = Field(default=1.2, ge=0.3, le=10, description="In which the same key gives the next letter")

    @property
    def actions(self) -> Mapping[str, Key]:
        """What the keys of the number pad do, by their evdev names."""
        return self.roles or NUMBER_PAD

    @model_validator(mode="after")
    def _one_way_to_find_it(self) -> "UsbKeypad":
        if self.device is not None and self.name is not None:
            raise ValueError("device and name: only one of them can say which keypad it is")
        if self.roles and self.layout != "numpad":
            raise ValueError('roles: only for layout = "numpad"')
        _check_complete(set(self.actions.values()))
        return self


def _check_complete(actions: set[Key]) -> None:
    if missing := [key.value for key in Key if key not in actions]:
        raise ValueError(f"no key is left for {', '.join(missing)}")


AnyKeypad = Annotated[
    GpioMatrixKeypad | ScriptedKeypad | TerminalKeypad | UsbKeypad,
    Field(discriminator="kind"),
]
"""The settings of one keypad, of whatever kind."""
