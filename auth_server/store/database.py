"""The one door to the store: short transactions, opened by a keyring that fits."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from sqlalchemy import Engine, delete, insert, select
from sqlalchemy.exc import DatabaseError, SQLAlchemyError
from sqlalchemy.orm import Session

from auth_server.errors import KeyringRefused, StoreError
from auth_server.keyring import Keyring
from auth_server.store import schema
from auth_server.store.engine import BUSY_TIMEOUT_S, READ_ONLY, KeySource, cipher_engine, is_of_another_key
from auth_server.store.in_use import InUse
from auth_server.store.models import SITE

_BEGIN_TRIES = 10
"""How often a key may change while one transaction waits for its turn to begin."""

_CANARY = "canary"
_CANARY_TEXT = b"4auth canary, audit key "
CANARY_PLACE = ("site", "value", _CANARY)
"""The table, column and row for which the canary is sealed."""


class Database:
    """A SQLCipher file. Open it after the process forked; a connection must not cross a fork.

    Many threads may use it: writers of one process take turns, those of several wait up to 5 s.
    """

    def __init__(self, path: Path, keys: KeySource) -> None:
        self.path = path
        self._in_use = InUse(path)  # so that nobody replaces the file meanwhile
        self.engine = cipher_engine(path, keys)
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
            with _store_errors(self.path), self._begun(self.engine) as session:
                yield session
                try:
                    session.commit()
                except BaseException:
                    # Closing alone would hand the connection on with its transaction open, and the store locked.
                    session.rollback()
                    raise
        finally:
            self._writing.release()

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give a session that sees one state of the store and cannot write.

        Raises StoreError when the store fails.
        """
        with _store_errors(self.path), self._begun(self._readers) as session:
            yield session

    @contextmanager
    def _begun(self, engine: Engine) -> Iterator[Session]:
        """Give a session whose transaction is begun; roll it back on leaving unless it was committed."""
        session = Session(engine, autoflush=False, expire_on_commit=False)
        for tries_left in reversed(range(_BEGIN_TRIES)):
            try:
                session.connection()
                break
            except DatabaseError as error:
                session.close()
                if not tries_left or not is_of_another_key(error):
                    raise
                # Another process changed the database's key, perhaps while this one waited for its turn
                # to write. Nothing of the caller's has run yet: open it with the key of now.
                self.engine.dispose()
        with session:
            yield session

    def close(self) -> None:
        """Let go of all connections."""
        self.engine.dispose()
        self._in_use.end()


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
            database = Database(draft, lambda: keyring.database_keys)
            try:
                schema.upgrade(database.engine, keyring.field)
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
        with database.engine.connect() as connection:
            schema.refuse_newer(connection, path)
        _check_canary(database, keyring)
        with _store_errors(path):
            schema.upgrade(database.engine, keyring.field)
    finally:
        database.close()


def _unlocked(path: Path, keyring: Keyring) -> Database:
    if not path.is_file():
        raise StoreError(
            f"there is no database at {path}: put back your backup, or make a new site with "
            "`4auth-provision site init`. None was made"
        )
    database = Database(path, lambda: keyring.database_keys)
    try:
        with database.engine.connect() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
    except DatabaseError as error:
        database.close()
        if is_of_another_key(error):
            raise KeyringRefused(
                f"database.key does not open {path}: point store.keys at the keys that this database was made with"
            ) from None
        raise StoreError(f"the store {path} cannot be opened: {_first_line(error.orig or error)}") from error
    return database


def _write_canary(database: Database, keyring: Keyring) -> None:
    with database.transaction() as session:
        renew_canary(session, keyring)


def renew_canary(session: Session, keyring: Keyring) -> None:
    """Seal the value that proves the keys by the field key in use, naming the audit key in use."""
    text = _CANARY_TEXT + keyring.audit.keys[0].id.encode()
    session.execute(delete(SITE).where(SITE.c.key == _CANARY))
    session.execute(insert(SITE).values(key=_CANARY, value=keyring.field.seal(*CANARY_PLACE, text)))


def read_canary(session: Session, keyring: Keyring) -> tuple[bytes, str] | None:
    """Return the canary as it is sealed, and the id of the audit key that it names; None when there is none.

    Raises StoreError when no field key opens it.
    """
    token = session.execute(select(SITE.c.value).where(SITE.c.key == _CANARY)).scalar_one_or_none()
    if token is None:
        return None
    text = keyring.field.open(*CANARY_PLACE, token)
    return token, text.removeprefix(_CANARY_TEXT).decode()


def _check_canary(database: Database, keyring: Keyring) -> None:
    """Prove that the field keys and the audit key belong to this database before anything is written."""
    try:
        with database.read() as session:
            found = read_canary(session, keyring)
    except StoreError as error:
        if isinstance(error.__cause__, SQLAlchemyError):
            raise
        raise KeyringRefused(
            f"field.keys does not fit {database.path}: point store.keys at the keys that this database was made with"
        ) from None
    if found is None:
        raise StoreError(f"{database.path} has no canary, so it was not made by this program: put back your backup")
    # The next audit key and retired ones too: a rotation may be under way, or this be an older backup.
    if found[1] not in keyring.audit.public:
        raise KeyringRefused(
            f"audit.pem does not fit {database.path}: its checkpoints were signed by another key. "
            "Put back the audit.pem that this database was made with"
        )
