"""The audit log: rows that can be added and read, and never changed."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Executable, bindparam, insert, select
from sqlalchemy.orm import Session

from auth_server.audit_chain import GENESIS, AuditRow, Head, detail_hash, row_hash
from auth_server.audit_detail import detail_text, name_text
from auth_server.audit_verify import ChainReport, Finding, verify_chain
from auth_server.domain import AuditEntry
from auth_server.errors import StoreError
from auth_server.store.database import Database
from auth_server.store.models import ACCESS_LOGS

__all__ = ["AuditLog", "AuditRow", "ChainReport", "Finding", "Head", "RowFilter", "verify_chain"]

SALT_BYTES: Final = 16
_PAGE = 1000

_COLUMNS = (
    ACCESS_LOGS.c.id,
    ACCESS_LOGS.c.ts_utc,
    ACCESS_LOGS.c.username,
    ACCESS_LOGS.c.kiosk_id,
    ACCESS_LOGS.c.source_address,
    ACCESS_LOGS.c.action,
    ACCESS_LOGS.c.success,
    ACCESS_LOGS.c.reason,
    ACCESS_LOGS.c.detail,
    ACCESS_LOGS.c.detail_salt,
    ACCESS_LOGS.c.detail_hash,
    ACCESS_LOGS.c.row_hash,
)
_HEAD = select(ACCESS_LOGS.c.id, ACCESS_LOGS.c.row_hash).order_by(ACCESS_LOGS.c.id.desc()).limit(1)
_HASH = select(ACCESS_LOGS.c.row_hash).where(ACCESS_LOGS.c.id == bindparam("wanted"))
_APPEND = insert(ACCESS_LOGS)
_ONE = select(*_COLUMNS).where(ACCESS_LOGS.c.id == bindparam("wanted"))
_NEXT_PAGE = (
    select(*_COLUMNS).where(ACCESS_LOGS.c.id > bindparam("after")).order_by(ACCESS_LOGS.c.id).limit(bindparam("rows"))
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows to show; what is None does not matter. `before_id` goes on where a page ended."""

    username: str | None = None
    action: str | None = None
    success: bool | None = None
    kiosk_id: str | None = None
    before_id: int | None = None
    limit: int = 100


class AuditLog:
    """The site's `access_logs`. Methods raise StoreError when the store fails."""

    def __init__(
        self, database: Database, new_salt: Callable[[], bytes] = lambda: secrets.token_bytes(SALT_BYTES)
    ) -> None:
        self._database = database
        self._new_salt = new_salt

    def append(self, session: Session, entry: AuditEntry, now: datetime) -> int:
        """Add a row within the caller's transaction and return its number."""
        connection = session.connection()
        head = _head(connection.execute(_HEAD).one_or_none())
        salt, detail = self._new_salt(), detail_text(entry.detail)
        row = AuditRow(
            id=head.sequence + 1,
            ts_utc=now,
            username=name_text(entry.username),
            kiosk_id=name_text(entry.kiosk_id),
            source_address=name_text(entry.source_address),
            action=name_text(entry.action) or "",
            success=entry.success,
            reason=name_text(entry.outcome_reason) or "",
            detail=detail,
            detail_salt=salt,
            detail_hash=detail_hash(salt, detail),
            row_hash="",
        )
        values = {name: getattr(row, name) for name in AuditRow.__slots__}
        connection.execute(_APPEND, {**values, "row_hash": row_hash(row, head.row_hash)})
        return row.id

    def record(self, entry: AuditEntry, now: datetime) -> int:
        """Add a row in a transaction of its own and return its number."""
        with self._database.transaction() as session:
            return self.append(session, entry, now)

    def head(self) -> Head:
        """Return the newest row's number and hash."""
        with self._database.read() as session:
            return _head(session.connection().execute(_HEAD).one_or_none())

    def hash_at(self, row_id: int) -> str | None:
        """Return a row's hash, None where there is no such row; before the first row stands GENESIS."""
        if row_id == 0:
            return GENESIS
        with self._database.read() as session:
            return session.connection().execute(_HASH, {"wanted": row_id}).scalar_one_or_none()

    def show(self, row_id: int) -> AuditRow | None:
        """Return one row whole, or None."""
        with self._database.read() as session:
            row = session.connection().execute(_ONE, {"wanted": row_id}).one_or_none()
        return None if row is None else _audit_row(row)

    def rows(self, wanted: RowFilter | None = None) -> Iterator[AuditRow]:
        """Give the newest rows first, at most `wanted.limit` of them."""
        wanted = wanted or RowFilter()
        with self._database.read() as session:
            found = session.connection().execute(_filtered(wanted)).all()
        yield from map(_audit_row, found)

    def chain(self) -> Iterator[AuditRow]:
        """Give every row from the first on, a page at a time, for `verify_chain`.

        Each page is a transaction of its own, so that a long check holds nobody up. Where a page
        cannot be read it goes on row by row, so that the failure comes at the very row.
        """
        after, wanted = 0, _PAGE
        while True:
            try:
                page = self._page(after, wanted)
            except StoreError:
                if wanted == 1:
                    raise
                wanted = 1
                continue
            yield from map(_audit_row, page)
            if len(page) < wanted:
                return
            after = page[-1][0]

    def _page(self, after: int, rows: int) -> Sequence[Sequence[Any]]:
        with self._database.read() as session:
            return session.connection().execute(_NEXT_PAGE, {"after": after, "rows": rows}).all()


def _head(row: Sequence[Any] | None) -> Head:
    return Head(0, GENESIS) if row is None else Head(row[0], row[1])


def _audit_row(row: Sequence[Any]) -> AuditRow:
    return AuditRow(*row)


def _filtered(wanted: RowFilter) -> Executable:
    statement = select(*_COLUMNS).order_by(ACCESS_LOGS.c.id.desc()).limit(wanted.limit)
    for column in (ACCESS_LOGS.c.username, ACCESS_LOGS.c.action, ACCESS_LOGS.c.success, ACCESS_LOGS.c.kiosk_id):
        value = getattr(wanted, column.name)
        if value is not None:
            statement = statement.where(column == value)
    if wanted.before_id is not None:
        statement = statement.where(ACCESS_LOGS.c.id < wanted.before_id)
    return statement
