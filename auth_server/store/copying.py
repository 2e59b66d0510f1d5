"""Copying a whole store into another of any kind, row by row: one state of it, and nothing of what comes later."""

from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Table, delete, func, insert, select
from sqlalchemy.orm import Session

from auth_server.keyring import Keyring
from auth_server.store.database import Database, create_database
from auth_server.store.models import Base

OnRows = Callable[[int], None]
"""Told how many rows more are copied."""

TABLES: Final = tuple(Base.metadata.sorted_tables)
"""All tables, those first to which others refer."""

_BATCH: Final = 500


def copy_store(source: Database, target: Database, on_rows: OnRows) -> None:
    """Put one state of a store in the place of all that another holds; others may write to the first meanwhile.

    Raises StoreError; the target then is as it was.
    """
    with target.transaction() as taking:
        # The reader ends first: it would not outlive the COMMIT of a large copy.
        with source.read() as giving:
            copy_rows(giving, taking, on_rows)


def copy_to_file(source: Database, path: Path, keyring: Keyring, on_rows: OnRows) -> None:
    """Copy one state of a store to a new SQLCipher file. Raises StoreError."""
    with closing(create_database(path, keyring)) as target:
        copy_store(source, target, on_rows)


def copy_rows(source: Session, target: Session, on_rows: OnRows) -> None:
    """Put every row of one store in the place of all that another holds, within both callers' transactions.

    Both have this program's schema. Values are copied as they are stored, sealed ones too: a copy has the same
    chain, and opens with the same keys.
    """
    taking, giving = target.connection(), source.connection()
    empty(taking)
    for table in TABLES:
        for batch in _batches(giving, table):
            taking.execute(insert(table), batch)
            on_rows(len(batch))
    go_on_counting(taking)


def empty(connection: Connection) -> None:
    """Remove every row of a store; in PostgreSQL without going through them."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"TRUNCATE {', '.join(table.name for table in TABLES)}")
        return
    for table in reversed(TABLES):
        connection.execute(delete(table))


def _batches(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    wanted = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=_BATCH)
    found = connection.execute(wanted)
    for page in found.partitions(_BATCH):
        yield [row._asdict() for row in page]


def go_on_counting(connection: Connection) -> None:
    """Let the numbers that the database itself gives out go on behind those that were copied."""
    if connection.dialect.name != "postgresql":
        return
    for table in TABLES:
        column = table.autoincrement_column
        if column is not None:
            highest = select(func.coalesce(func.max(column), 0) + 1).scalar_subquery()
            sequence = func.pg_get_serial_sequence(table.name, column.name)
            connection.execute(select(func.setval(sequence, highest, False)))
