"""Encrypting a database file anew with another key, while others have it open.

It is one transaction: the pages go to the write-ahead log under the new key, and a crash leaves the
old one in force. Readers go on with the state that they began with, writers wait; then `Database`
notices in every process, and opens the file again.
"""

import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import sqlcipher3

from auth_server.errors import StoreError
from auth_server.store.backup import query
from auth_server.store.engine import NOT_OPENED, connect

_TURN_TIMEOUT_MS: Final = 30_000
"""How long to wait for the writers before."""

_BYTES_A_SECOND: Final = 40_000_000
"""A third of what was measured on two slow cores, for disks that are slower."""

_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Effort:
    """What a rekey takes: the bytes of the file, and the seconds at most in which nobody can write."""

    file_bytes: int
    seconds: float
    free_bytes: int

    @property
    def has_room(self) -> bool:
        """Whether the disk has room for the second copy of every page."""
        return self.free_bytes > self.file_bytes * 11 // 10


def effort(path: Path) -> Effort:
    """Return what encrypting a database anew will take."""
    size = sum(part.stat().st_size for part in (path, Path(f"{path}-wal")) if part.exists())
    return Effort(size, size / _BYTES_A_SECOND, shutil.disk_usage(path.parent).free)


def rekey(path: Path, before: bytes, after: bytes) -> None:
    """Encrypt every page with `after` instead of `before`, in one transaction.

    Raises StoreError, with nothing changed, when others write for 30 s without a pause, the disk is
    full, or `before` is not its key.
    """
    try:
        with closing(connect(path, before)) as opened:
            connection: Any = opened
            connection.execute(f"PRAGMA busy_timeout = {_TURN_TIMEOUT_MS}").fetchall()
            connection.execute(f"PRAGMA rekey = \"x'{after.hex()}'\"").fetchall()
    except sqlcipher3.dbapi2.Error as error:  # type: ignore[attr-defined]
        # SQLCipher gives one sentence for every cause, and it is about another mistake.
        why = "its key is another one" if NOT_OPENED in str(error) else "it is in use without a pause, or the disk full"
        raise StoreError(f"{path} was not encrypted anew, and is as it was: {why}") from None
    if not opens_now(path, after):
        raise StoreError(f"{path} was not encrypted anew: its old key still opens it")


def opens_now(path: Path, key: bytes) -> bool:
    """Whether a key opens a database that is in use, its write-ahead log included. Raises StoreError for another fault.

    Trying a wrong key harms nothing: SQLite moves the log into the file without looking into its pages.
    """
    try:
        with closing(connect(path, key)) as opened:
            connection: Any = opened
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlcipher3.dbapi2.Error as error:  # type: ignore[attr-defined]
        if NOT_OPENED in str(error):
            return False
        raise StoreError(f"{path} cannot be opened: {error}") from error
    return True


def pages_of_another_key(path: Path, key: bytes) -> list[str]:
    """Return what SQLCipher finds wrong with the pages as they lie in the file: nothing when `key` sealed them all.

    What is found while others write is looked at again, because a page may just be written.
    """
    found: list[str] = []
    for _ in range(_TRIES):
        fold(path, key)
        found = [str(row[0]) for row in query(path, key, "PRAGMA cipher_integrity_check")]
        if not found:
            break
    return found


def fold(path: Path, key: bytes) -> bool:
    """Move the write-ahead log into the file and empty it, so that no page of an older key is left in either.

    False when somebody read or wrote for 30 s without a pause; then a later one does it.
    """
    try:
        with closing(connect(path, key)) as opened:
            connection: Any = opened
            connection.execute(f"PRAGMA busy_timeout = {_TURN_TIMEOUT_MS}").fetchall()
            is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    except sqlcipher3.dbapi2.Error as error:  # type: ignore[attr-defined]
        raise StoreError(f"the write-ahead log of {path} cannot be emptied: {error}") from error
    return not is_busy
