"""The door: a Protocol, a table of backends, and one backend a file."""

from collections.abc import Mapping
from typing import Final, Protocol

from kiosk_agent.events import VerifiedAssertion
from kiosk_agent.registry import load_backend
from kiosk_agent.settings.doors import AnyDoor


class Door(Protocol):
    """Lets a person in."""

    def open_for(self, assertion: VerifiedAssertion) -> None:
        """Open for the person whom a verified assertion names; there is no other way to ask."""

    def close(self) -> None:
        """Let go of the device; the door is then shut."""


BACKENDS: Final[Mapping[str, str]] = {"log": "kiosk_agent.door.log:LogBackend"}


def open_door(settings: AnyDoor) -> Door:
    """Return the backend that the settings name; raises BackendRefused."""
    door: Door = load_backend("door", settings.kind, BACKENDS)(settings)
    return door
