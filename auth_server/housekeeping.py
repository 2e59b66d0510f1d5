"""What a worker does between requests: sign a checkpoint, forget what has expired."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Thread

import structlog

from auth_contract.actions import Reason
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry
from auth_server.errors import KeyringRefused, LogRolledBack, StoreError, Unavailable
from auth_server.incidents import report_incident
from auth_server.metrics import INCIDENTS
from auth_server.row_budget import RowBudget
from auth_server.timesource import TimeSource

log = structlog.get_logger(__name__)

Chore = Callable[[datetime], object]
"""Something to be done in each round; it is given the time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Housekeeping:
    """Runs at the start, every `every_s` seconds, and at the end, so that a clean end is checkpointed.

    `whole_log_chores` rest while the log has a fault: what an older copy of the database holds may have
    been cancelled since.
    """

    audit: AuditLog
    checkpoints: Checkpoints
    chores: Mapping[str, Chore]
    whole_log_chores: Mapping[str, Chore]
    row_budget: RowBudget
    time: TimeSource
    every_s: float
    _stop: Event = field(default_factory=Event)
    _threads: list[Thread] = field(default_factory=list)
    _faults: dict[str, str] = field(default_factory=dict)

    @property
    def log_fault(self) -> str | None:
        """Why the log is known not to be the one that was signed, as of the last round; else None."""
        return self._faults.get("audit")

    @property
    def keys_fault(self) -> str | None:
        """Why this server's keys are known not to be those of the others, as of the last round; else None."""
        return self._faults.get("keys")

    @property
    def faults(self) -> Mapping[str, str]:
        """What the last round found wrong, by part: `audit` and `keys` close the doors, `checkpoints` does not."""
        return dict(self._faults)

    def require_signed_log(self) -> None:
        """Raise Unavailable while the log has a fault: codes are unused and accounts enabled in it that must not be.

        So it does while the keys have one: nobody else would open what is sealed by them.
        """
        later_s = max(1, int(self.every_s))
        if self.log_fault is not None:
            raise Unavailable("the audit log is not the one that was signed", retry_after_s=later_s)
        if self.keys_fault is not None:
            raise Unavailable("the keys are not those of the other servers", retry_after_s=later_s)

    def start(self) -> None:
        """Look at the log once, then begin the rounds in the background."""
        self._do("checkpoint", self._checkpoint, self.time.now())
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
        self._do("strangers", self._write_unwritten, now)
        self._do("checkpoint", self._checkpoint, now)
        for name, chore in self.chores.items():
            self._do(name, chore, now)
        if self.log_fault is None:
            for name, chore in self.whole_log_chores.items():
                self._do(name, chore, now)

    def _do(self, name: str, chore: Chore, now: datetime) -> None:
        try:
            chore(now)
        except Exception as error:  # whatever it was, the other chores are done
            INCIDENTS.inc()
            if isinstance(error, KeyringRefused):
                self._faults["keys"] = str(error)  # until the next start, which reads the files again
            why = {"why": str(error)} if isinstance(error, LogRolledBack | KeyringRefused) else {}
            report_incident(log, error, chore=name, **why)

    def _checkpoint(self, now: datetime) -> None:
        """Sign what was written. A fault of the log is remembered until a round finds it whole."""
        try:
            self.checkpoints.write(self.audit, now)
        except LogRolledBack as error:
            self._faults["audit"] = str(error)
            raise
        except StoreError as error:
            self._faults["checkpoints"] = str(error)
            raise
        for part in ("audit", "checkpoints"):
            self._faults.pop(part, None)

    def _write_unwritten(self, now: datetime) -> None:
        """A row for each source whose refusals went beyond its budget, with their number."""
        for source, count in self.row_budget.drain().items():
            detail = {"why": f"{count} more refusals of this source have no rows of their own", "unwritten": count}
            entry = AuditEntry(
                action="refusals",
                success=False,
                outcome_reason=Reason.KIOSK_REFUSED.value,
                username=None,
                kiosk_id=None,
                source_address=source,
                detail=detail,
            )
            self.audit.record(entry, now)

    def _rounds(self) -> None:
        self.run()
        while not self._stop.wait(self.every_s):
            self.run()
        self.run()
