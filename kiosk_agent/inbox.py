"""Where all that happens to a session waits in line, from whatever thread it comes."""

from queue import Empty, SimpleQueue
from typing import Protocol

from kiosk_agent.events import Event


class Inbox(Protocol):
    """A queue of events. None in it stands for nothing: it only wakes the reader."""

    def put(self, event: Event | None) -> None:
        """Add an event; safe from any thread and from a signal handler."""

    def get(self, timeout_s: float) -> Event | None:
        """Return the next event, or None when none came in time."""


class ThreadInbox:
    """The queue of a running agent."""

    def __init__(self) -> None:
        self._events: SimpleQueue[Event | None] = SimpleQueue()

    def put(self, event: Event | None) -> None:
        """Add an event."""
        self._events.put(event)

    def get(self, timeout_s: float) -> Event | None:
        """Return the next event, or None when none came in time."""
        try:
            return self._events.get(timeout=timeout_s)
        except Empty:
            return None
