"""A database file as a whole: copied while others write, checked page by page, and taken out of use.

SQLite's own backup copies one state of the store: a read transaction is held open over all of it, so
that writers go on and nothing of theirs gets in. Source and copy are SQLCipher files; what passes
from one to the other is never on the disk in plain.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import sqlcipher3

from auth_server.errors import StoreError
from auth_server.store.engine import BUSY_TIMEOUT_S
from auth_server.store.in_use import OpenElsewhere

OnPages = Callable[[int, int], None]
"""Told the pages that are done and how many there are."""

_PAGES_A_STEP: Final = 256
_FINDINGS_MAX: Final = 10


def copy_database(source: Path, key: bytes, target: Path, target_key: bytes, on_pages: OnPages) -> None:
    """Copy one state of `source` to the new and empty file `target`, encrypted by `target_key`.

    Any number of processes may read and write the source meanwhile. A target that is left half
    written by an error is worthless: remove it. Raises StoreError when either fails or is full.
    """
    with _reported(f"{source} cannot be copied to {target}"):
        with closing(_connect(source, key)) as reader, closing(_connect(target, target_key)) as writer:
            # The copy is in nobody's use until it is whole, so a rollback journal would be for nothing.
            for pragma in ("journal_mode = OFF", "synchronous = OFF"):
                writer.execute(f"PRAGMA {pragma}").fetchall()
            # Held open, or a write of another process would make the copy begin anew.
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM sqlite_schema").fetchone()
            reader.backup(writer, pages=_PAGES_A_STEP, progress=lambda _, left, all_: on_pages(all_ - left, all_))
            reader.execute("ROLLBACK")


def opens_with(path: Path, key: bytes) -> bool:
    """Whether a key opens a database file; nothing is written, and whatever lies beside it stays untouched."""
    try:
        # Opened in any other way, SQLite removes the log of a file that it takes for damaged.
        with closing(_connect(path, key, "mode=ro&immutable=1")) as connection:
            tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    except sqlcipher3.dbapi2.Error:  # type: ignore[attr-defined]
        return False
    return bool(tables > 0)  # an empty file opens with every key


def page_findings(path: Path, key: bytes) -> list[str]:
    """Return what is wrong with a file's pages, indexes and references: nothing when it is sound."""
    found: list[str] = []
    try:
        with closing(_connect(path, key)) as connection:
            # SQLCipher authenticates each page as it lies on the disk; SQLite looks at what is in them.
            found += [str(row[0]) for row in connection.execute("PRAGMA cipher_integrity_check")]
            found += [str(row[0]) for row in connection.execute("PRAGMA integrity_check") if row[0] != "ok"]
            found += [
                f"a row of {row[0]} refers to a missing row of {row[2]}"
                for row in connection.execute("PRAGMA foreign_key_check")
            ]
    except sqlcipher3.dbapi2.Error as error:  # type: ignore[attr-defined]
        found.append(f"{path.name} cannot be read to its end: {error}")
    return found[:_FINDINGS_MAX]


def fold_log(path: Path, key: bytes) -> None:
    """Move the write-ahead log into its file, so that the file alone is the whole database.

    Raises OpenElsewhere when anybody else has it open, whatever program that is; StoreError when it fails.
    """
    with _reported(f"{path} cannot be made one file"), closing(_connect(path, key)) as connection:
        try:
            # SQLite leaves the mode of a log only when no other connection is there, and then removes the log.
            connection.execute("PRAGMA journal_mode = DELETE").fetchone()
        except sqlcipher3.dbapi2.OperationalError as error:  # type: ignore[attr-defined]
            if "locked" in str(error):
                raise OpenElsewhere(path) from None
            raise


def query(path: Path, key: bytes, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the rows of one statement on a file of any schema. Raises StoreError when it fails."""
    with _reported(f"{path} cannot be read"), closing(_connect(path, key)) as connection:
        return [tuple(row) for row in connection.execute(statement, values)]


@contextmanager
def _reported(what: str) -> Iterator[None]:
    try:
        yield
    except sqlcipher3.dbapi2.Error as error:  # type: ignore[attr-defined]
        raise StoreError(f"{what}: {error}") from error


def _connect(path: Path, key: bytes, how: str = "mode=rw") -> Any:
    """A connection that sets nothing in the file, unlike the store's own, which asks for a write-ahead log."""
    connection = sqlcipher3.dbapi2.connect(  # type: ignore[attr-defined]
        f"{path.resolve().as_uri()}?{how}", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
    )
    try:
        connection.execute("PRAGMA cipher_log_level = NONE").fetchall()
        connection.execute(f"PRAGMA key = \"x'{key.hex()}'\"").fetchall()
        connection.execute("PRAGMA temp_store = MEMORY").fetchall()
    except BaseException:
        connection.close()
        raise
    return connection
