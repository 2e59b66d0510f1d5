"""The files of an original 4Auth: its plain SQLite database and its one Fernet key. Read, never written.

The database is copied before it is opened, because opening one in place may write beside it, and
because a write-ahead log or journal that an unclean end left has to be taken in to see every row.
"""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.fernet import Fernet

from provisioning.errors import Refused
from provisioning.scratch import scratch_folder

USER_COLUMNS: Final = ("username", "password_hash", "face_image_enc", "totp_secret_enc", "mac_address")
LOG_COLUMNS: Final = ("id", "ts_utc", "username", "action", "success", "detail")

_KEY_FILE_MAX_BYTES: Final = 4096
_CHUNK: Final = 1024 * 1024
_BESIDE: Final = ("-wal", "-journal")
_SQLITE_HEAD: Final = b"SQLite format 3\0"
_LOG_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class OriginalKey:
    """The key of an original site. `source` tells one such site from another and gives nothing away."""

    fernet: Fernet = field(repr=False)
    source: str

    @classmethod
    def read(cls, path: Path) -> "OriginalKey":
        """Read the key file. Raises Refused when there is none in it."""
        try:
            with path.open("rb") as file:
                text = file.read(_KEY_FILE_MAX_BYTES).strip()
        except OSError as error:
            raise Refused(f"{path} cannot be read: {error.strerror}") from None
        try:
            key = Fernet(text)
        except ValueError:  # its message could quote the key
            raise Refused(
                f"{path} is no Fernet key: name the key file of the original 4Auth, 44 characters of base64"
            ) from None
        return cls(key, hashlib.sha256(b"4auth original site\n" + text).hexdigest()[:16])


@dataclass(frozen=True, slots=True)
class OriginalUser:
    """One row of `users`, of whatever types it holds."""

    username: object
    password_hash: object = field(repr=False)
    face_image_enc: object = field(repr=False)
    totp_secret_enc: object = field(repr=False)
    mac_address: object


@dataclass(frozen=True, slots=True)
class OriginalLogRow:
    """One row of `access_logs`, of whatever types it holds but for its number."""

    id: int
    ts_utc: object
    username: object
    action: object
    success: object
    detail: object


class Original:
    """An opened copy of the database of an original 4Auth. `sha256` is of the file as it lies there."""

    def __init__(self, connection: sqlite3.Connection, path: Path, sha256: str) -> None:
        self.path = path
        self.sha256 = sha256
        self._connection = connection
        self._check("users", USER_COLUMNS)
        self._check("access_logs", LOG_COLUMNS)

    def names(self) -> list[object]:
        """Return the name of every account."""
        return [row[0] for row in self._rows("SELECT username FROM users ORDER BY username")]

    def users(self) -> Iterator[OriginalUser]:
        """Give every account; the pictures are large, so one after another."""
        for row in self._rows(f"SELECT {', '.join(USER_COLUMNS)} FROM users ORDER BY username"):  # noqa: S608 - ours
            yield OriginalUser(*row)

    def log_count(self, after: int) -> int:
        """Return how many log rows have a number above `after`."""
        (row,) = self._rows("SELECT count(*) FROM access_logs WHERE id > ?", (after,))
        return int(row[0])

    def log_page(self, after: int) -> list[OriginalLogRow]:
        """Return the next log rows above a number, in ascending order; none at the end."""
        columns = ", ".join(LOG_COLUMNS)
        statement = f"SELECT {columns} FROM access_logs WHERE id > ? ORDER BY id LIMIT {_LOG_PAGE}"  # noqa: S608 - ours
        page = [OriginalLogRow(*row) for row in self._rows(statement, (after,))]
        if not all(type(row.id) is int for row in page):
            raise Refused(f"{self.path} has log rows without a number: their order cannot be told")
        return page

    def _check(self, table: str, columns: tuple[str, ...]) -> None:
        found = {row[0] for row in self._rows("SELECT name FROM pragma_table_info(?)", (table,))}
        missing = [column for column in columns if column not in found]
        if missing:
            raise Refused(
                f"{self.path} is not the database of an original 4Auth: its table {table} has no {', '.join(missing)}"
            )

    def _rows(self, statement: str, values: tuple[object, ...] = ()) -> Iterator[Any]:
        try:
            yield from self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise Refused(f"{self.path} cannot be read: {error}") from None


@contextmanager
def original(path: Path, scratch_beside: Path) -> Iterator[Original]:
    """Open a copy of an original database, made in a closed folder inside `scratch_beside`.

    Raises Refused when it cannot be read, is no plain SQLite, or changes while it is copied.
    """
    with scratch_folder(scratch_beside, "import") as scratch:
        copy = scratch / "original.db"
        before = _stamps(path)
        sha256 = _copied(path, copy)
        for suffix in _BESIDE:
            beside = path.with_name(path.name + suffix)
            if beside.is_file():
                _copied(beside, copy.with_name(copy.name + suffix))
        if _stamps(path) != before:
            raise Refused(f"{path} changed while it was read: stop the original 4Auth, then try again")
        _check_head(copy, path)
        with closing(sqlite3.connect(copy)) as connection:
            connection.text_factory = _text
            yield Original(connection, path, sha256)


def _check_head(copy: Path, path: Path) -> None:
    with copy.open("rb") as file:
        if file.read(len(_SQLITE_HEAD)) != _SQLITE_HEAD:
            raise Refused(f"{path} is no plain SQLite database, as an original 4Auth has one: name its users.db")


def _text(data: bytes) -> str:
    # What is not UTF-8 shows as such, in place of ending the whole reading.
    return data.decode("utf-8", "backslashreplace")


def _stamps(path: Path) -> list[tuple[int, int] | None]:
    found: list[tuple[int, int] | None] = []
    for suffix in ("", *_BESIDE):
        try:
            status = path.with_name(path.name + suffix).stat()
        except OSError:
            found.append(None)
        else:
            found.append((status.st_size, status.st_mtime_ns))
    return found


def _copied(path: Path, copy: Path) -> str:
    digest = hashlib.sha256()
    try:
        with (
            path.open("rb") as source,
            os.fdopen(os.open(copy, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to,
        ):
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                to.write(chunk)
    except OSError as error:
        raise Refused(f"{path} cannot be copied to {copy.parent}: {error.strerror}") from None
    return digest.hexdigest()
