"""A relay at a GPIO pin, which a process of its own holds: see `guard`. The agent itself never touches the pin.

When the agent dies, however it does, the pipe to that process ends, and the process turns the relay off.
"""

import atexit
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import structlog

from kiosk_agent.door.watch import GuardWatch
from kiosk_agent.errors import BackendRefused
from kiosk_agent.events import VerifiedAssertion
from kiosk_agent.settings.doors import GpioRelayDoor


def guard_command(settings: GpioRelayDoor) -> list[str]:
    """Return how the guard is started: isolated, so that neither environment nor folder change what it runs."""
    script = Path(__file__).with_name("guard.py")
    level = [] if settings.active_high else ["--active-low"]
    return [sys.executable, "-I", str(script), str(settings.pin), str(settings.pulse_s), *level]


class GpioRelayBackend:
    """Asks the guard for pulses. `command` lets tests start a guard with another pin."""

    def __init__(
        self,
        settings: GpioRelayDoor,
        *,
        kiosk_id: str = "",
        tell: Callable[[str], None] = lambda fault: None,
        command: Sequence[str] | None = None,
    ) -> None:
        """Start the guard, which turns the relay off; raises BackendRefused where it cannot hold the pin."""
        del kiosk_id  # a relay needs no name
        self._pulse_s = settings.pulse_s
        self._watch = GuardWatch(command or guard_command(settings), settings.pulse_s, tell)
        atexit.register(self.close)
        if not self._watch.start():
            self.close()
            raise BackendRefused(f"door.pin = {settings.pin}: the relay cannot be held: {self._watch.problem}")

    def open_for(self, assertion: VerifiedAssertion) -> None:
        """Turn the relay on for one pulse from now; a second one makes the first longer. Raises DoorFault."""
        self._watch.ask()
        structlog.get_logger("kiosk_agent.door").info(
            "door_opened", username=assertion.username, jti=assertion.jti, pulse_s=self._pulse_s
        )

    def settle(self) -> None:
        """Return when the relay is off again."""
        self._watch.settle()

    def close(self) -> None:
        """Turn the relay off and end the guard."""
        atexit.unregister(self.close)
        self._watch.close()
