"""The door: a Protocol, a table of backends, and one backend a file."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from kiosk_agent.events import VerifiedAssertion
from kiosk_agent.registry import load_backend
from kiosk_agent.settings.doors import AnyDoor


class Door(Protocol):
    """Lets a person in. It is used by one thread, in which it may take its time."""

    def open_for(self, assertion: VerifiedAssertion) -> None:
        """Open for the person whom a verified assertion names; there is no other way to ask. Raises DoorFault."""

    def settle(self) -> None:
        """Return when the door is shut again, for a program that ends after one login."""

    def close(self) -> None:
        """Let go of the device; the door is then shut."""


Tell = Callable[[str], None]

BACKENDS: Final[Mapping[str, str]] = {
    "command": "kiosk_agent.door.command:CommandBackend",
    "gpio_relay": "kiosk_agent.door.gpio_relay:GpioRelayBackend",
    "log": "kiosk_agent.door.log:LogBackend",
    "webhook": "kiosk_agent.door.webhook:WebhookBackend",
}


def open_door(settings: AnyDoor, kiosk_id: str, tell: Tell = lambda fault: None) -> Door:
    """Return the backend that the settings name; raises BackendRefused.

    `tell` hears of a fault that comes while nobody is at the door, from any thread; an empty text ends it.
    """
    door: Door = load_backend("door", settings.kind, BACKENDS)(settings, kiosk_id=kiosk_id, tell=tell)
    return door
