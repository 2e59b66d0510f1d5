"""Rows from one store to another in batches, each of one state of the first; whatever the second has of them before.

The tables may be at different states while a copy is under way, so a row may come before the one that it refers to,
or while another still holds what it alone may have. Both are mended by what the change that is still missing will say.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Table, UniqueConstraint, delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite

from auth_server.store.copying import TABLES
from auth_server.store.marks import MARKS
from auth_server.store.models import SITE

Key = tuple[Any, ...]
Rows = list[dict[str, Any]]

_INSERTS: Final[dict[str, Any]] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one table as one state of the source has them, the keys that it has no more, and what they refer to."""

    table: Table
    rows: Rows
    gone: Sequence[Key] = ()
    parents: Sequence[tuple[Table, Rows]] = ()


def wanted(table: Table) -> Any:
    """Select what is copied of a table: all but the marks, of which each store has its own."""
    return select(table) if table is not SITE else select(table).where(SITE.c.key.not_in(MARKS))


def highest(connection: Connection, table: Table) -> Key | None:
    """The highest key of a table, up to which a copy has come; None of an empty one."""
    keys = list(table.primary_key.columns)
    found = connection.execute(wanted(table).order_by(*(key.desc() for key in keys)).limit(1)).one_or_none()
    return None if found is None else tuple(found._mapping[key.name] for key in keys)


def page(giving: Connection, table: Table, after: Key | None, size: int) -> Rows:
    """The next rows of a table behind a key, in the order of their keys."""
    keys = list(table.primary_key.columns)
    row_key: Any = tuple_(*keys)
    statement = wanted(table).order_by(*keys).limit(size)
    found = giving.execute(statement if after is None else statement.where(row_key > after))
    return [row._asdict() for row in found]


def key_of(table: Table, row: dict[str, Any]) -> Key:
    """The key of a row."""
    return tuple(row[column.name] for column in table.primary_key.columns)


def of_keys(connection: Connection, table: Table, keys: Collection[Key]) -> dict[Key, dict[str, Any]]:
    """The rows that have these keys, by them."""
    if not keys:
        return {}
    found = connection.execute(wanted(table).where(_among(list(table.primary_key.columns), keys)))
    return {key_of(table, row): row for row in (one._asdict() for one in found)}


def with_parents(giving: Connection, taking: Connection, batch: Batch) -> Batch:
    """The same with the rows that its own refer to and the target lacks."""
    return Batch(batch.table, batch.rows, batch.gone, list(_lacking(giving, taking, batch)))


def put(taking: Connection, batches: Sequence[Batch]) -> None:
    """Bring batches of one state of the source, in the order of the tables, into the target."""
    for batch in reversed(batches):
        if batch.gone:
            taking.execute(delete(batch.table).where(_among(list(batch.table.primary_key.columns), batch.gone)))
    for batch in batches:
        for parent, rows in batch.parents:
            _upsert(taking, parent, rows)
        _upsert(taking, batch.table, batch.rows)


def in_order(batches: dict[Table, Batch]) -> list[Batch]:
    """Batches, those first to which others refer."""
    return [batches[table] for table in TABLES if table in batches]


def _lacking(giving: Connection, taking: Connection, batch: Batch) -> Iterator[tuple[Table, Rows]]:
    for foreign in batch.table.foreign_keys:
        key = foreign.column
        needed = {row[foreign.parent.name] for row in batch.rows}
        there = set(taking.scalars(select(key).where(key.in_(needed))))
        if lacking := needed - there:
            yield key.table, [row._asdict() for row in giving.execute(select(key.table).where(key.in_(lacking)))]


def _upsert(taking: Connection, table: Table, rows: Rows) -> None:
    if not rows:
        return
    keys = list(table.primary_key.columns)
    _make_room(taking, table, rows)
    insert = _INSERTS[taking.dialect.name](table)
    changed = {column.name: insert.excluded[column.name] for column in table.columns if not column.primary_key}
    taking.execute(
        insert.on_conflict_do_update(index_elements=keys, set_=changed)
        if changed
        else insert.on_conflict_do_nothing(index_elements=keys),
        rows,
    )


def _make_room(taking: Connection, table: Table, rows: Rows) -> None:
    """Remove whoever still holds what one of the rows alone may have: the source has changed that row since."""
    keys = [key_of(table, row) for row in rows]
    for constraint in table.constraints:
        if isinstance(constraint, UniqueConstraint):
            columns = list(constraint.columns)
            values = [tuple(row[column.name] for column in columns) for row in rows]
            mine = _among(list(table.primary_key.columns), keys)
            taking.execute(delete(table).where(_among(columns, values), ~mine))


def _among(columns: Sequence[Any], values: Collection[Key]) -> Any:
    if len(columns) == 1:
        return columns[0].in_([value for (value,) in values])
    return tuple_(*columns).in_(list(values))
