"""A screen that is chosen for one run, in the place of the one that the settings name."""

from typing import Any, Final

from kiosk_agent.settings import KioskSettings, parse_settings

_OF_THE_PLACE: Final = ("language", "contact")
"""What holds for any kind of screen that stands there."""

_READS_A_TERMINAL: Final = frozenset({"terminal"})
"""The kinds of keypad that do."""


def with_screen(settings: KioskSettings, kind: str) -> KioskSettings:
    """Return the settings with a screen of this kind, with its defaults where they name one of another kind.

    Raises SettingsRefused where a screen of this kind has no defaults, or these settings forbid it.
    """
    members = settings.model_dump(exclude_unset=True)
    if kind != settings.screen.kind:
        screen: dict[str, Any] = members.get("screen", {})
        members["screen"] = {name: screen[name] for name in _OF_THE_PLACE if name in screen} | {"kind": kind}
    return parse_settings(members, source=f"--screen {kind}")


def at_terminal(settings: KioskSettings) -> KioskSettings:
    """Return the settings of a terminal client: screen and keypad are the terminal, QR codes are pictures too.

    A setting of a terminal screen that says `qr_picture = false` holds.
    """
    members = with_screen(settings, "terminal").model_dump(exclude_unset=True)
    members["screen"] = {"qr_picture": True, "kind": "terminal"} | members.get("screen", {})
    if settings.keypad.kind not in _READS_A_TERMINAL:
        members["keypad"] = {"kind": "terminal"}
    return parse_settings(members, source="--screen terminal")
