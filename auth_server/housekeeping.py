"""What a worker does between requests: sign a checkpoint, forget what has expired."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Thread

import structlog

from auth_server.attempts import Attempts
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.errors import StoreError
from auth_server.incidents import report_incident
from auth_server.lockouts import Lockouts
from auth_server.timesource import TimeSource

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """Runs at the start, every `every_s` seconds, and at the end, so that a clean end is checkpointed."""

    audit: AuditLog
    checkpoints: Checkpoints
    attempts: Attempts
    lockouts: Lockouts
    time: TimeSource
    every_s: float
    _stop: Event = field(default_factory=Event)
    _threads: list[Thread] = field(default_factory=list)

    def start(self) -> None:
        """Begin the rounds in the background."""
        thread = Thread(target=self._rounds, name="housekeeping", daemon=True)
        self._threads.append(thread)
        thread.start()

    def stop(self) -> None:
        """End the rounds after a last one; returns when it is done."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def run(self) -> None:
        """One round. A chore that fails is logged, the others are done, and the next round tries again."""
        now = self.time.now()
        chores: dict[str, Callable[[], object]] = {
            "checkpoint": lambda: self._checkpoint(now),
            "attempts": lambda: self.attempts.prune(now),
            "lockouts": lambda: self.lockouts.prune(now),
        }
        for name, chore in chores.items():
            try:
                chore()
            except Exception as error:  # whatever it was, logins go on
                report_incident(log, error, chore=name)

    def _checkpoint(self, now: datetime) -> None:
        try:
            self.checkpoints.write(self.audit.head(), now)
        except StoreError:
            # Another worker may have signed a newer row since we looked. If the log was cut, this fails too.
            self.checkpoints.write(self.audit.head(), now)

    def _rounds(self) -> None:
        self.run()
        while not self._stop.wait(self.every_s):
            self.run()
        self.run()
