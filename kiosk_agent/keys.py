"""Reads the keypad for the agent, in a thread of its own, and tells while it cannot be read."""

from collections.abc import Callable
from threading import Event as Flag
from typing import Final

import structlog

from kiosk_agent.errors import KeypadFault
from kiosk_agent.events import Cause, Ending, Event, ServiceDown, ServiceUp
from kiosk_agent.health import Health
from kiosk_agent.keypad import Keypad

KEY_WAIT_S: Final = 0.2
"""How long one read waits; so soon the thread ends when it is told to."""

FAULT: Final = "The keypad of this kiosk does not work."


class KeyReader:
    """Keeps reading through faults: a keypad opens itself again when it is plugged in."""

    def __init__(self, keypad: Keypad, health: Health, put: Callable[[Event], None]) -> None:
        self._keypad = keypad
        self._health = health
        self._put = put
        self._is_down = False

    def run(self, stopped: Flag, give_up: Callable[[KeypadFault], None] | None = None) -> None:
        """Read until stopped. With `give_up`, it hears of the first fault, and that is the end."""
        while not stopped.is_set():
            try:
                self.read()
            except KeypadFault as error:
                if give_up is not None:
                    return give_up(error)
                # Said each time: a session that shows a result does not listen, and is at rest a moment later.
                self._put(ServiceDown(Ending.KEYPAD_FAULT, FAULT, Cause.KEYPAD))
                # Not every keypad waits before it fails again.
                stopped.wait(KEY_WAIT_S)

    def read(self) -> None:
        """Read once, and note how it went; raises KeypadFault."""
        try:
            key = self._keypad.read(KEY_WAIT_S)
        except KeypadFault as error:
            self._note(str(error))
            self._is_down = True
            raise
        self._note(self._keypad.state or None)
        if self._is_down:
            self._is_down = False
            if self._health.server_fault is None:  # else the heartbeat says when
                self._put(ServiceUp())
        if key is not None:
            self._put(key)

    def pass_on(self, event: Event) -> None:
        """Put what the heartbeat found; that the server is there is no news while nobody can press a key."""
        if not (self._is_down and isinstance(event, ServiceUp)):
            self._put(event)

    def _note(self, fault: str | None) -> None:
        if fault != self._health.keypad_fault:
            _log().warning("keypad_fault" if fault else "keypad_works", error=fault or "")
        self._health.keypad_fault = fault


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.keys")
    return logger
