"""What was deleted, which stays in older states of pages until these are cleared out."""

from pathlib import Path

import sqlcipher3

from auth_server.errors import StoreError
from auth_server.store.database import Database
from auth_server.store.postgres import vacuum


def clear_out(database: Database) -> bool:
    """Leave nothing in the store of what was deleted. Not inside a transaction.

    In a file the write-ahead log is moved in and cut to nothing; False when somebody read or wrote for 5 s without a
    pause, and then it empties itself later, at the latest when the server ends. PostgreSQL takes the rows out of its
    tables; False when somebody read an older state for 5 s, and then it does so later. Its own write-ahead log, its
    standbys and the space that rows leave in its pages are the operator's. Raises StoreError when the store fails.
    """
    if not isinstance(database.location, Path):
        return vacuum(database.location)
    connection = database.engine.raw_connection()
    try:
        is_busy, _, _ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlcipher3.dbapi2.Error as error:  # type: ignore[attr-defined]
        raise StoreError(f"the write-ahead log of {database.path} cannot be emptied: {error}") from error
    finally:
        connection.close()
    return not is_busy
