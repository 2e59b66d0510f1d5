"""Moving a store while servers use it: rows are copied page by page, and what changes meanwhile is noted and brought.

Notes are taken from before the first page, so whatever a page did not see, or saw before it changed, is brought after;
to bring it twice does no harm, and a run that was killed is gone on with. The target opens for nobody before it is
whole, since its canary is brought last, and the source takes no audit row any more from the moment on in which it is
closed; so no login is ever in one of them alone.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Final

from sqlalchemy import Connection, Table, delete, func, insert, select
from sqlalchemy.orm import Session

from auth_server.store import marks
from auth_server.store.batches import Batch, Key, highest, in_order, key_of, of_keys, page, put, wanted, with_parents
from auth_server.store.copying import TABLES, OnRows, go_on_counting
from auth_server.store.database import Database
from auth_server.store.models import ACCESS_LOGS, SITE

_NOTES: Final = "moving_changes"
_ACTS: Final = {"insert": ("NEW",), "update": ("OLD", "NEW"), "delete": ("OLD",)}
_BATCH: Final = 500
_TABLES: Final = {table.name: table for table in TABLES}


def note_changes(source: Session, token: str) -> None:
    """Let a store say that it is copied, and a SQLCipher file note the key of each row that changes from now on."""
    marks.leave(source, token)
    connection = source.connection()
    if connection.dialect.name != "sqlite":
        return
    # A line for each change, and never one for each row: a change of a row that is just being brought is told anew.
    connection.exec_driver_sql(f"CREATE TABLE IF NOT EXISTS {_NOTES} (id INTEGER PRIMARY KEY, place TEXT, row TEXT)")
    for name, act, table, rows in _triggers():
        notes = "; ".join(
            f"INSERT INTO {_NOTES} (place, row) VALUES ('{table.name}', json_array({_spelt(table, row)}))"  # noqa: S608
            for row in rows
        )
        connection.exec_driver_sql(
            f"CREATE TRIGGER IF NOT EXISTS {name} AFTER {act.upper()} ON {table.name} BEGIN {notes}; END"
        )


def stop_noting(source: Session) -> bool:
    """Let a store be as it was before a move began, and return whether one had."""
    connection = source.connection()
    if connection.dialect.name == "sqlite":
        for name, *_ in _triggers():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
        connection.exec_driver_sql(f"DROP TABLE IF EXISTS {_NOTES}")
    was_leaving = marks.token_of(source, marks.LEAVING) is not None
    source.execute(delete(SITE).where(SITE.c.key == marks.LEAVING))
    return was_leaving


def copy_pages(source: Database, target: Database, on_rows: OnRows) -> None:
    """Copy each table behind the target's highest key, a page in a read of its own; the notes say what that misses.

    Raises StoreError; each page is kept at once.
    """
    for table in TABLES:
        with target.read() as taking:
            end = highest(taking.connection(), table)
        while (batch := _page(source, target, table, end)).rows:
            with target.transaction() as taking:
                put(taking.connection(), [batch])
            end = key_of(table, batch.rows[-1])
            on_rows(len(batch.rows))


def bring(source: Database, target: Database, on_rows: OnRows) -> None:
    """Bring what is noted, in short reads, until a read finds few notes; the target then is as that read saw it.

    A note goes once what it tells is kept in the target. Raises StoreError.
    """
    found = _BATCH
    while found == _BATCH:
        with source.read() as giving:
            notes = _noted(giving.connection(), 0)
            batches = _told(giving.connection(), target, notes)
        with target.transaction() as taking:
            put(taking.connection(), batches)
        with source.transaction() as giving:
            last = notes[-1][0] if notes else 0
            giving.connection().exec_driver_sql(f"DELETE FROM {_NOTES} WHERE id <= ?", (last,))  # noqa: S608 - a constant
        found = len(notes)
        on_rows(found)


def bring_rest(source: Session, target: Database) -> str | None:
    """Bring all that the source's session sees noted, and return in which table one of that differs; None in none.

    The heads of the logs are compared too. Raises StoreError.
    """
    giving, last = source.connection(), 0
    while notes := _noted(giving, last):
        batches, last = _told(giving, target, notes), notes[-1][0]
        with target.transaction() as taking:
            put(taking.connection(), batches)
        with target.read() as taking:
            for batch in batches:
                kept = of_keys(taking.connection(), batch.table, _keys(batch))
                if kept != {key_of(batch.table, row): row for row in batch.rows}:
                    return batch.table.name
    with target.transaction() as taking:
        go_on_counting(taking.connection())
        is_same = _log_end(giving) == _log_end(taking.connection())
    return None if is_same else ACCESS_LOGS.name


def differing(source: Session, target: Session) -> str | None:
    """Return in which table the two differ in their numbers of rows, or None; all rows of both are counted."""
    for table in TABLES:
        counted = select(func.count()).select_from(wanted(table).subquery())
        if source.execute(counted).scalar_one() != target.execute(counted).scalar_one():
            return table.name
    return None


def make_whole(source: Session, target: Database) -> None:
    """Bring the canary, by which the target opens from now on."""
    canary = SITE.c.key == "canary"
    told = source.execute(select(SITE).where(canary)).one()
    with target.transaction() as session:
        session.execute(delete(SITE).where(canary))
        session.execute(insert(SITE).values(told._asdict()))


def stay(session: Session) -> None:
    """Let this transaction last as long as a copy does."""
    connection = session.connection()
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")


def _triggers() -> Iterator[tuple[str, str, Table, Sequence[str]]]:
    for table in TABLES:
        for act, rows in _ACTS.items():
            yield f"moving_{table.name}_{act}", act, table, rows


def _spelt(table: Table, row: str) -> str:
    return ", ".join(f"{row}.{column.name}" for column in table.primary_key.columns)


def _page(source: Database, target: Database, table: Table, end: Key | None) -> Batch:
    with source.read() as giving:
        batch = Batch(table, page(giving.connection(), table, end, _BATCH))
        if not table.foreign_keys:
            return batch
        with target.read() as taking:
            return with_parents(giving.connection(), taking.connection(), batch)


def _noted(giving: Connection, after: int) -> list[tuple[int, str, str]]:
    asked = f"SELECT id, place, row FROM {_NOTES} WHERE id > ? ORDER BY id LIMIT {_BATCH}"  # noqa: S608 - constants
    return [(number, place, row) for number, place, row in giving.exec_driver_sql(asked, (after,))]


def _told(giving: Connection, target: Database, notes: Sequence[tuple[int, str, str]]) -> list[Batch]:
    """What the source has now in the places of which notes tell."""
    keys: dict[Table, dict[Key, None]] = {}
    for _, place, row in notes:
        key = tuple(json.loads(row))
        if place != SITE.name or key[0] not in marks.MARKS:
            keys.setdefault(_TABLES[place], {})[key] = None
    batches = {}
    with target.read() as taking:
        for table, wanted_keys in keys.items():
            rows = of_keys(giving, table, wanted_keys)
            batch = Batch(table, list(rows.values()), [key for key in wanted_keys if key not in rows])
            batches[table] = with_parents(giving, taking.connection(), batch)
    return in_order(batches)


def _keys(batch: Batch) -> list[Key]:
    return [*batch.gone, *(key_of(batch.table, row) for row in batch.rows)]


def _log_end(connection: Connection) -> object:
    head = select(ACCESS_LOGS.c.id, ACCESS_LOGS.c.row_hash).order_by(ACCESS_LOGS.c.id.desc()).limit(1)
    return connection.execute(head).one_or_none()
