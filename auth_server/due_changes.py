"""Putting in force what waited for time alone. Any number of workers may do so; each change is put in force once."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from auth_contract.actions import Reason
from auth_server.audit import AuditLog
from auth_server.changes import Change, Changes
from auth_server.domain import AuditEntry
from auth_server.enforcement import EffectRefused, Enforcement
from auth_server.errors import StoreError
from auth_server.store.database import Database

IN_FORCE = "in_force"


@dataclass(frozen=True, slots=True)
class DueChanges:
    """The changes whose cooling-off time has ended."""

    database: Database
    changes: Changes
    enforcement: Enforcement
    audit: AuditLog

    def put_in_force(self, now: datetime) -> int:
        """Put each in force, with its row, in a transaction of its own; returns how many were.

        Raises StoreError when one failed, after all others were done: one that cannot be read holds nobody up.
        """
        done, faults = 0, list[StoreError]()
        for username in self.changes.due(now):
            try:
                done += self._put_in_force(username, now)
            except StoreError as error:
                faults.append(error)
        if faults:
            raise faults[0]
        return done

    def _put_in_force(self, username: str, now: datetime) -> bool:
        looked = self.enforcement.look(self.changes.pending(username))
        with self.database.transaction() as session:
            # Looked for again under the write lock: another worker was first, or it was cancelled.
            change = self.changes.find(session, username)
            if change is None or not change.is_due(now):
                return False
            try:
                with session.begin_nested():
                    more = self.enforcement.put_in_force(session, change, now, looked)
            except EffectRefused as error:
                self.changes.drop(session, username)
                more = {**self.enforcement.tell_refusal(session, error, now), "why": error.refusal.why}
                self.audit.append(session, _entry(change, error.refusal.reason, more), now)
                return False
            self.audit.append(session, _entry(change, None, more), now)
            return True


def _entry(change: Change, reason: Reason | None, more: Mapping[str, object]) -> AuditEntry:
    detail = {"id": change.change_id, "action": change.action.value, "approved_by": change.approved_by}
    return AuditEntry(
        action="change_in_force",
        success=reason is None,
        outcome_reason=IN_FORCE if reason is None else reason.value,
        username=change.username,
        kiosk_id=change.kiosk_id,
        source_address=None,
        detail={"change": detail, **more},
    )
