"""Removing the details of old audit rows: the rows, their hashes and the chain stay.

A detail goes with its salt, so that nobody can check a guess at what it said. Every removal has an
audit row of its own, which commits no later than the first detail goes.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, bindparam, func, or_, select, update
from sqlalchemy.orm import Session

from auth_server.audit import AuditLog
from auth_server.canonical import utc_text
from auth_server.domain import AuditEntry
from auth_server.store.database import Database
from auth_server.store.models import ACCESS_LOGS

ACTION: Final = "erase_details"
REASON: Final = "erased"
BATCH: Final = 200
"""Rows in one transaction: some milliseconds, in which nobody else can write."""

ROUND_MAX: Final = 20_000
"""Rows in one round of the server, which has other chores to do; the next round goes on."""

_ROW = ACCESS_LOGS.c
_HAS_DETAIL = or_(_ROW.detail.is_not(None), _ROW.detail_salt.is_not(None))
_STILL_THERE = select(_ROW.id).where(_ROW.id == bindparam("wanted"), _HAS_DETAIL)


@dataclass(frozen=True, slots=True)
class Target:
    """Rows whose details go: `count` of them, the first and the last by number, all from before a time."""

    first: int
    last: int
    count: int
    before: datetime
    username: str | None = None

    def detail(self) -> dict[str, object]:
        """What the audit row says of them."""
        return {
            "first_row": self.first,
            "last_row": self.last,
            "rows": self.count,
            "before": utc_text(self.before),
            "user": self.username,
        }


class Eraser:
    """Erases details. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def target(
        self, before: datetime, username: str | None = None, *, since: datetime | None = None, at_most: int = 2**63 - 1
    ) -> Target | None:
        """Return the oldest rows of before a time that still have details, None when there are none.

        `since` leaves out those of before another time, which are known to have none.
        """
        found = _of(before, username) if since is None else [*_of(before, username), _ROW.ts_utc >= since]
        wanted = select(_ROW.id).where(*found, _HAS_DETAIL).order_by(_ROW.id).limit(at_most).subquery()
        with self._database.long_read() as session:
            statement = select(func.min(wanted.c.id), func.max(wanted.c.id), func.count())
            first, last, count = session.execute(statement).one()
        return None if first is None else Target(first, last, count, before, username)

    def erase(self, target: Target, begin: Callable[[Session], None]) -> Iterator[int]:
        """Erase a target batch by batch, giving the number of rows after each.

        `begin` is called in the first batch's transaction, to write the row that tells of it. Nothing
        is done where another process is at the same rows.
        """
        after = target.first - 1
        while after < target.last:
            with self._database.transaction() as session:
                if after < target.first:
                    if session.execute(_STILL_THERE, {"wanted": target.first}).one_or_none() is None:
                        return
                    begin(session)
                last, count = _erase_batch(session, target, after)
            yield count
            after = last


def _erase_batch(session: Session, target: Target, after: int) -> tuple[int, int]:
    connection = session.connection()
    wanted = select(_ROW.id).where(
        _ROW.id > after, _ROW.id <= target.last, *_of(target.before, target.username), _HAS_DETAIL
    )
    ids = connection.execute(wanted.order_by(_ROW.id).limit(BATCH)).scalars().all()
    if not ids:
        return target.last, 0
    count = connection.execute(
        update(ACCESS_LOGS).where(_ROW.id.in_(ids)).values(detail=None, detail_salt=None)
    ).rowcount
    return ids[-1], count


def _of(before: datetime, username: str | None) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [_ROW.ts_utc < before]
    if username is not None:
        found.append(_ROW.username == username)
    return found


@dataclass(slots=True)
class Retention:
    """Erases the details of rows that are older than `keep_days`, some in each round."""

    database: Database
    audit: AuditLog
    keep_days: int
    _done_before: datetime | None = field(default=None, init=False)

    def run(self, now: datetime) -> int:
        """Do one round and return how many rows lost their detail. Raises StoreError when the store fails."""
        eraser, before = Eraser(self.database), now - timedelta(days=self.keep_days)
        # What this process has erased it does not look through again in every round.
        target = eraser.target(before, since=self._done_before, at_most=ROUND_MAX)
        count = 0
        if target is not None:
            detail = {**target.detail(), "keep_details_days": self.keep_days}
            count = sum(eraser.erase(target, lambda session: self._tell(session, detail, now)))
        if count < ROUND_MAX:
            self._done_before = before
        return count

    def _tell(self, session: Session, detail: Mapping[str, Any], now: datetime) -> None:
        entry = AuditEntry(
            action=ACTION,
            success=True,
            outcome_reason=REASON,
            username=None,
            kiosk_id=None,
            source_address=None,
            detail=detail,
        )
        self.audit.append(session, entry, now)
