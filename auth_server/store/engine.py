"""SQLAlchemy over SQLCipher: how a connection is opened and a transaction begun."""

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

_PRAGMAS = ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "temp_store = MEMORY")


def cipher_engine(path: Path, key: bytes) -> Engine:
    """Return an engine on an existing database file; statements are never logged with their values.

    The key reaches the driver alone: it stands in no URL and in no repr.
    """
    engine = create_engine(
        "sqlite://",
        module=sqlcipher3.dbapi2,
        creator=lambda: _connect(path, key),
        poolclass=QueuePool,
        pool_size=16,
        max_overflow=48,
        pool_timeout=BUSY_TIMEOUT_S,
        hide_parameters=True,
    )
    event.listen(engine, "begin", _begin)
    return engine


def _connect(path: Path, key: bytes) -> DBAPIConnection:
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


def _begin(connection: Connection) -> None:
    # Deferred transactions that read and then write lose updates to each other, or fail half way.
    driver: Any = connection.connection
    is_reader = connection.get_execution_options().get(READ_ONLY, False)
    try:
        driver.execute(f"PRAGMA query_only = {'ON' if is_reader else 'OFF'}")
        driver.execute("BEGIN" if is_reader else "BEGIN IMMEDIATE")
    except sqlcipher3.dbapi2.Error as error:  # type: ignore[attr-defined]
        # SQLAlchemy wraps what its own statements raise, and not what this hook does.
        raise OperationalError("BEGIN", None, error) from error
