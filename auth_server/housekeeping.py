"""What a worker does between requests: sign a checkpoint, forget what has expired."""

from dataclasses import dataclass, field
from threading import Event, Thread

import structlog

from auth_server.attempts import Attempts
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.incidents import report_incident
from auth_server.lockouts import Lockouts
from auth_server.timesource import TimeSource

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """Runs every `every_s` seconds, and once more when stopped, so that a clean end is checkpointed."""

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
        """One round. A fault is logged and the next round tries again."""
        now = self.time.now()
        try:
            self.checkpoints.write(self.audit.head(), now)
            self.attempts.prune(now)
            self.lockouts.prune(now)
        except Exception as error:  # whatever it was, logins go on and the next round tries again
            report_incident(log, error, during="housekeeping")

    def _rounds(self) -> None:
        while not self._stop.wait(self.every_s):
            self.run()
        self.run()
