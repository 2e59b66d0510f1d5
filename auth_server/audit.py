"""The audit log: rows that can be added and read, and never changed."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, insert, select, text, type_coerce
from sqlalchemy.orm import Session
from sqlalchemy.types import NullType

from auth_server.audit_anchors import Finding
from auth_server.audit_chain import GENESIS, AuditRow, Head, StoredRow, detail_hash, row_hash
from auth_server.audit_detail import detail_text, name_text
from auth_server.audit_filter import RowFilter, conditions, newest_first, time_bounds
from auth_server.audit_verify import ChainReport, verify_chain
from auth_server.canonical import utc_text
from auth_server.domain import AuditEntry
from auth_server.errors import StoreError
from auth_server.store.database import DRIVER_ERRORS, Database
from auth_server.store.models import ACCESS_LOGS

__all__ = ["AuditLog", "AuditRow", "ChainReport", "Finding", "Head", "RowFilter", "StoredRow", "verify_chain"]

SALT_BYTES: Final = 16
_PAGE = 1000

_COLUMNS = tuple(ACCESS_LOGS.c[name] for name in StoredRow._fields)
_AS_STORED = ", ".join(StoredRow._fields)
_HEAD = select(ACCESS_LOGS.c.id, ACCESS_LOGS.c.row_hash).order_by(ACCESS_LOGS.c.id.desc()).limit(1)
_HASH = select(ACCESS_LOGS.c.row_hash).where(ACCESS_LOGS.c.id == bindparam("wanted"))
_BEFORE = (
    select(ACCESS_LOGS.c.id, ACCESS_LOGS.c.row_hash)
    .where(ACCESS_LOGS.c.id < bindparam("wanted"))
    .order_by(ACCESS_LOGS.c.id.desc())
    .limit(1)
)
_ADD_ROW = insert(ACCESS_LOGS)
_ONE = select(*_COLUMNS).where(ACCESS_LOGS.c.id == bindparam("wanted"))
_NEXT_PAGE = text(f"SELECT {_AS_STORED} FROM access_logs WHERE id > :after AND id <= :last ORDER BY id LIMIT :rows")  # noqa: S608 - of constants
_MAX_ROW: Final = 2**63 - 1


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
        row = StoredRow(
            id=head.sequence + 1,
            ts_utc=utc_text(now),
            username=name_text(entry.username),
            kiosk_id=name_text(entry.kiosk_id),
            source_address=name_text(entry.source_address),
            action=name_text(entry.action) or "",
            success=int(entry.success),
            reason=name_text(entry.outcome_reason) or "",
            detail=detail,
            detail_salt=salt,
            detail_hash=detail_hash(salt, detail),
            row_hash="",
        )
        values = {**row._asdict(), "ts_utc": now, "success": entry.success}
        connection.execute(_ADD_ROW, {**values, "row_hash": row_hash(row, head.row_hash)})
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
        with self._database.read() as session:
            connection = session.connection()
            found = connection.execute(newest_first(connection, wanted or RowFilter(), *_COLUMNS)).all()
        yield from map(_audit_row, found)

    def head_before(self, row_id: int) -> Head:
        """Return the number and hash of the last row before this one."""
        with self._database.read() as session:
            return _head(session.connection().execute(_BEFORE, {"wanted": row_id}).one_or_none())

    def time_range(self, wanted: RowFilter) -> tuple[int, int] | None:
        """Return the first and last row of a time, None when it has none."""
        with self._database.read() as session:
            return time_bounds(session.connection(), wanted)

    def filtered(self, wanted: RowFilter, after: int, last: int) -> Iterator[tuple[StoredRow, str | None]]:
        """Give the wanted rows after one, up to `last`, the oldest first, each with the hash of the row before it."""
        before = ACCESS_LOGS.alias("before")
        bounds = self.time_range(wanted)
        while True:
            with self._database.read() as session:
                connection = session.connection()
                statement = (
                    select(*(type_coerce(column, NullType()) for column in _COLUMNS), before.c.row_hash)
                    .outerjoin(before, before.c.id == ACCESS_LOGS.c.id - 1)
                    .where(*conditions(connection, wanted, bounds), ACCESS_LOGS.c.id > after, ACCESS_LOGS.c.id <= last)
                    .order_by(ACCESS_LOGS.c.id)
                    .limit(_PAGE)
                )
                page: Sequence[Any] = connection.execute(statement).all()
            for row in page:
                yield StoredRow(*row[:-1]), row[-1]
            if len(page) < _PAGE:
                return
            after = page[-1][0]

    def chain(self, after: int = 0, last: int = _MAX_ROW) -> Iterator[StoredRow]:
        """Give every row after one, from the first on, up to `last`, for `verify_chain`.

        Each page is a transaction of its own, so that a long check holds nobody up. Where a page
        cannot be read it goes on row by row, so that the failure comes at the very row.
        """
        singles = 0
        while True:
            wanted = 1 if singles else _PAGE
            try:
                found = self._page(after, last, wanted)
            except StoreError:
                if singles:
                    raise
                singles = _PAGE
                continue
            yield from map(StoredRow._make, found)
            if len(found) < wanted:
                return
            after, singles = found[-1][0], max(0, singles - 1)

    def _page(self, after: int, last: int, rows: int) -> Sequence[Sequence[Any]]:
        # The driver's own rows, because a million of them pass here.
        with self._database.read() as session, _driver_errors():
            result: Any = session.connection().execute(_NEXT_PAGE, {"after": after, "last": last, "rows": rows})
            found: Sequence[Sequence[Any]] = result.cursor.fetchall()
            return found


@contextmanager
def _driver_errors() -> Iterator[None]:
    try:
        yield
    except DRIVER_ERRORS as error:
        raise StoreError(f"the audit log cannot be read: {type(error).__name__}: {error}") from error


def _head(row: Sequence[Any] | None) -> Head:
    return Head(0, GENESIS) if row is None else Head(row[0], row[1])


def _audit_row(row: Sequence[Any]) -> AuditRow:
    return AuditRow(*row)
