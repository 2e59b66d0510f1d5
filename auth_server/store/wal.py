"""The write-ahead log, where older states of pages stay until it is moved into the database file."""

import sqlcipher3

from auth_server.errors import StoreError
from auth_server.store.database import Database


def empty_wal(database: Database) -> bool:
    """Move the log into the file and cut it to nothing, so that no older state of a page is left.

    False when somebody read or wrote for 5 s without a pause; then the log empties itself later, at
    the latest when the server ends. Raises StoreError when the store fails. Not inside a transaction.
    """
    connection = database.engine.raw_connection()
    try:
        is_busy, _, _ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlcipher3.dbapi2.Error as error:  # type: ignore[attr-defined]
        raise StoreError(f"the write-ahead log of {database.path} cannot be emptied: {error}") from error
    finally:
        connection.close()
    return not is_busy
