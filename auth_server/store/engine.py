"""SQLAlchemy over SQLCipher: how a connection is opened and a transaction begun."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import sqlcipher3
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import OperationalError

BUSY_TIMEOUT_S = 5.0
"""How long a writer waits for the one before it."""

READ_ONLY = "store_read_only"
"""The execution option of an engine whose transactions only read."""

NOT_OPENED = "file is not a database"
"""What SQLCipher says of a page that another key sealed, or that was changed."""

KeySource = Callable[[], Sequence[bytes]]
"""Gives the keys that may open the database now, the likeliest first."""

_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "foreign_keys = ON",
    "temp_store = MEMORY",
    "secure_delete = ON",  # what was replaced or deleted is overwritten: an account's data key above all
)


def cipher_engine(path: Path, keys: KeySource) -> Engine:
    """Return an engine on an existing database file; statements are never logged with their values.

    Each new connection asks for the keys again. They reach the driver alone: they stand in no URL and in no repr.
    """
    engine = create_engine(
        "sqlite://",
        module=sqlcipher3.dbapi2,
        creator=lambda: _connect(path, keys()),
        poolclass=QueuePool,
        pool_size=16,
        max_overflow=48,
        pool_timeout=BUSY_TIMEOUT_S,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin)
    return engine


def _connect(path: Path, keys: Sequence[bytes]) -> DBAPIConnection:
    """Open with the first key that fits: during a rotation it may be the second."""
    *first, last = keys
    for key in first:
        try:
            return connect(path, key)
        except sqlcipher3.dbapi2.DatabaseError as error:  # type: ignore[attr-defined]
            if not is_of_another_key(error):
                raise
    return connect(path, last)


def connect(path: Path, key: bytes) -> DBAPIConnection:
    """Open a connection as the store needs it. Raises the driver's DatabaseError, `NOT_OPENED`, for another key."""
    if len(key) != 32:
        raise ValueError("a database key has 32 bytes")
    connection: DBAPIConnection = sqlcipher3.dbapi2.connect(  # type: ignore[attr-defined]
        # mode=rw: a missing file is an error, never a new and empty database.
        f"{path.resolve().as_uri()}?mode=rw",
        uri=True,
        timeout=BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
    )
    try:
        cursor = connection.cursor()
        cursor.execute("PRAGMA cipher_log_level = NONE")
        cursor.execute(f"PRAGMA key = \"x'{key.hex()}'\"")
        for pragma in _PRAGMAS:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()
    except BaseException:
        connection.close()
        raise
    return connection


def is_of_another_key(error: BaseException) -> bool:
    """Whether a connection's key is not, or no longer, the one that the file is sealed by."""
    return NOT_OPENED in str(getattr(error, "orig", None) or error)


def _begin(connection: Connection) -> None:
    # Deferred transactions that read and then write lose updates to each other, or fail half way.
    driver: Any = connection.connection
    is_reader = connection.get_execution_options().get(READ_ONLY, False)
    try:
        driver.execute(f"PRAGMA query_only = {'ON' if is_reader else 'OFF'}")
        driver.execute("BEGIN" if is_reader else "BEGIN IMMEDIATE")
        # A reader's first page is read here, where a key that was changed meanwhile can still be noticed.
        driver.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchone()
    except sqlcipher3.dbapi2.Error as error:  # type: ignore[attr-defined]
        if driver.in_transaction:
            driver.execute("ROLLBACK")
        # SQLAlchemy wraps what its own statements raise, and not what this hook does.
        raise OperationalError("BEGIN", None, error) from error
