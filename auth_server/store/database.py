"""The one door to the store: short transactions, opened by a keyring that fits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from sqlalchemy import insert, select
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.orm import Session

from auth_server.errors import KeyringRefused, StoreError
from auth_server.keyring import Keyring, key_id
from auth_server.store import schema
from auth_server.store.engine import BUSY_TIMEOUT_S, READ_ONLY, cipher_engine
from auth_server.store.models import SITE

_CANARY = "canary"


class Database:
    """A SQLCipher file. Open it after the process forked; a connection must not cross a fork.

    Many threads may use it: writers of one process take turns, those of several wait up to 5 s.
    """

    def __init__(self, path: Path, key: bytes) -> None:
        self.path = path
        self.engine = cipher_engine(path, key)
        self._readers = self.engine.execution_options(**{READ_ONLY: True})
        # Threads that queue here are woken at once; in SQLite's busy handler they would sleep.
        self._writing = Lock()

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give a session that alone may write; commit on leaving, roll back on any error.

        Do not nest it. Raises StoreError when the store fails or is busy for too long.
        """
        if not self._writing.acquire(timeout=BUSY_TIMEOUT_S):
            raise StoreError(f"the store was busy for {BUSY_TIMEOUT_S:g} s: a transaction is stuck, or holds another")
        try:
            with _store_errors(self.path), Session(self.engine, autoflush=False, expire_on_commit=False) as session:
                with session.begin():
                    yield session
        finally:
            self._writing.release()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one state of the store and cannot write.

        Raises StoreError when the store fails.
        """
        with _store_errors(self.path), Session(self._readers, autoflush=False, expire_on_commit=False) as session:
            yield session

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()


@contextmanager
def _store_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        cause = getattr(error, "orig", None) or error
        raise StoreError(f"the store {path} failed: {type(cause).__name__}: {_first_line(cause)}") from error


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


def create_database(path: Path, keyring: Keyring) -> Database:
    """Make a new database at `path`, mode 0600, and open it.

    It appears whole or not at all. Raises StoreError when there is a file already, or no folder.
    """
    try:
        with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as made:
            draft = Path(made) / path.name
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            database = Database(draft, keyring.database_key)
            try:
                schema.upgrade(database.engine)
                _write_canary(database, keyring)
            finally:
                database.close()
            os.link(draft, path)  # unlike a rename, this never replaces a file
    except FileExistsError:
        raise StoreError(f"{path} is there already: name another file, or open this one with its own keys") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be made: {error.strerror}: make its folder first, writable") from error
    return open_database(path, keyring)


def open_database(path: Path, keyring: Keyring) -> Database:
    """Open the database at `path`; nothing is created or changed.

    Raises StoreError when it is missing or its schema is not this program's, KeyringRefused when
    it was made with other keys.
    """
    database = _unlocked(path, keyring)
    try:
        with database.engine.connect() as connection:
            schema.check_current(connection, path)
        _check_canary(database, keyring)
    except BaseException:
        database.close()
        raise
    return database


def upgrade_database(path: Path, keyring: Keyring) -> None:
    """Bring the schema to this program's, in one transaction. Back the file up before.

    Raises StoreError or KeyringRefused as `open_database` does.
    """
    database = _unlocked(path, keyring)
    try:
        _check_canary(database, keyring)
        with _store_errors(path):
            schema.upgrade(database.engine)
    finally:
        database.close()


def _unlocked(path: Path, keyring: Keyring) -> Database:
    if not path.is_file():
        raise StoreError(
            f"there is no database at {path}: put back your backup, or make a new site with "
            "`4auth-provision site init`. None was made"
        )
    database = Database(path, keyring.database_key)
    try:
        with database.engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
    except DatabaseError as error:
        database.close()
        if "not a database" in str(error.orig):
            raise KeyringRefused(
                f"database.key does not open {path}: point store.keys at the keys that this database was made with"
            ) from None
        raise StoreError(f"the store {path} cannot be opened: {_first_line(error.orig or error)}") from error
    return database


def _write_canary(database: Database, keyring: Keyring) -> None:
    value = keyring.field.seal("site", "value", _CANARY, _canary_text(keyring))
    with database.transaction() as session:
        session.execute(insert(SITE).values(key=_CANARY, value=value))


def _check_canary(database: Database, keyring: Keyring) -> None:
    """Prove that the field keys and the audit key belong to this database before anything is written."""
    with database.read() as session:
        token = session.execute(select(SITE.c.value).where(SITE.c.key == _CANARY)).scalar_one_or_none()
    if token is None:
        raise StoreError(f"{database.path} has no canary, so it was not made by this program: put back your backup")
    try:
        text = keyring.field.open("site", "value", _CANARY, token)
    except StoreError:
        raise KeyringRefused(
            f"field.keys does not fit {database.path}: point store.keys at the keys that this database was made with"
        ) from None
    if text != _canary_text(keyring):
        raise KeyringRefused(
            f"audit.pem does not fit {database.path}: its checkpoints were signed by another key. "
            "Put back the audit.pem that this database was made with"
        )


def _canary_text(keyring: Keyring) -> bytes:
    return b"4auth canary, audit key " + key_id(keyring.audit_key.public_key()).encode()
