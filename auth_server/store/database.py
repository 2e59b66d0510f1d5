"""The one door to the store: short transactions, opened by a keyring that fits."""

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Final

import psycopg
import sqlcipher3
from sqlalchemy import Connection, Engine, inspect
from sqlalchemy.exc import DatabaseError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from auth_server.errors import KeyringRefused, StoreAway, StoreError
from auth_server.keyring import Keyring
from auth_server.metrics import STORE_FAULTS, STORE_SECONDS
from auth_server.store import schema
from auth_server.store.canary import refuse_other_keys, renew_canary
from auth_server.store.engine import BUSY_TIMEOUT_S, READ_ONLY, KeySource, cipher_engine, is_of_another_key
from auth_server.store.facts import fact_of
from auth_server.store.in_use import InUse
from auth_server.store.location import Location, store_at
from auth_server.store.marks import MOVED
from auth_server.store.postgres import (
    LONG_REPLY_TIMEOUT_S,
    REPLY_TIMEOUT_S,
    postgres_engine,
    refuse_sorted_by_language,
    waiting_long,
)

DRIVER_ERRORS: Final = (sqlcipher3.dbapi2.Error, psycopg.Error)  # type: ignore[attr-defined]
"""What the drivers raise where SQLAlchemy does not stand between."""

_BEGIN_TRIES = 10
"""How often a key may change while one transaction waits for its turn to begin."""


class Database:
    """A SQLCipher file or a PostgreSQL database. Open it after the process forked; a connection must not cross a fork.

    Many threads may use it: writers of one process take turns, those of several wait up to 5 s. A patient one waits
    for a PostgreSQL server's reply as long as a log of years takes, and not as long as people do.
    """

    def __init__(self, location: Location, keys: KeySource, *, is_patient: bool = False) -> None:
        self.location = location
        self._in_use: InUse | None = None
        if isinstance(location, Path):
            self._in_use = InUse(location)  # so that nobody replaces the file meanwhile
            self.engine = cipher_engine(location, keys)
        else:
            self.engine = postgres_engine(location, LONG_REPLY_TIMEOUT_S if is_patient else REPLY_TIMEOUT_S)
        self._readers = self.engine.execution_options(**{READ_ONLY: True})
        # Threads that queue here are woken at once; in SQLite's busy handler they would sleep.
        self._writing = Lock()

    def look(self) -> Connection:
        """Give a connection on which nothing is written, for what has to be known before a session can be begun."""
        return self._readers.connect()

    @property
    def is_file(self) -> bool:
        """Whether it is a SQLCipher file, which has a key of its own."""
        return isinstance(self.location, Path)

    @property
    def path(self) -> Path:
        """The file, for what is done to files alone. Raises StoreError where there is none."""
        if isinstance(self.location, Path):
            return self.location
        raise StoreError(f"{self.location} is no SQLCipher file: PostgreSQL's own means do that there")

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give a session that alone may write; commit on leaving, roll back on any error.

        Do not nest it. Raises StoreError when the store fails or is busy for too long.
        """
        with STORE_SECONDS.labels("write").time():
            yield from self._written()

    def _written(self) -> Iterator[Session]:
        if not self._writing.acquire(timeout=BUSY_TIMEOUT_S):
            STORE_FAULTS.inc()
            raise StoreError(f"the store was busy for {BUSY_TIMEOUT_S:g} s: a transaction is stuck, or holds another")
        try:
            with _store_errors(self.location), self._begun(self.engine) as session:
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
        with STORE_SECONDS.labels("read").time(), _store_errors(self.location), self._begun(self._readers) as session:
            yield session

    @contextmanager
    def long_read(self) -> Iterator[Session]:
        """The same for what may go through a log of years, for which nobody waits."""
        with self.read() as session, waiting_long(session.connection()):
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
        if self._in_use is not None:
            self._in_use.end()


@contextmanager
def _store_errors(location: Location) -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        STORE_FAULTS.inc()
        cause = getattr(error, "orig", None) or error
        raise _kind(error, location)(
            f"{store_at(location)} failed: {type(cause).__name__}: {_first_line(cause)}"
        ) from error


def _kind(error: SQLAlchemyError, location: Location) -> type[StoreError]:
    """A server that does not answer may answer soon; whatever else fails is to be mended by somebody."""
    return StoreAway if isinstance(error, OperationalError) and not isinstance(location, Path) else StoreError


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


def create_database(location: Location, keyring: Keyring) -> Database:
    """Make a site's store, and open it: a new file of mode 0600, or the tables of an empty PostgreSQL database.

    It appears whole or not at all. Raises StoreError when there is one already, or no place for it.
    """
    if isinstance(location, Path):
        _create_file(location, keyring)
    else:
        _fill(location, keyring)
    return open_database(location, keyring)


def _create_file(path: Path, keyring: Keyring) -> None:
    try:
        with TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as made:
            draft = Path(made) / path.name
            os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            _fill(draft, keyring)
            os.link(draft, path)  # unlike a rename, this never replaces a file
    except FileExistsError:
        raise StoreError(f"{path} is there already: name another file, or open this one with its own keys") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be made: {error.strerror}: make its folder first, writable") from error


def _fill(location: Location, keyring: Keyring) -> None:
    """Make the tables and the canary, in one transaction."""
    with closing(Database(location, lambda: keyring.database_keys)) as database, _store_errors(location):
        _refuse_language(database)
        with database.transaction() as session:
            tables = inspect(session.connection()).get_table_names()
            if tables:
                raise StoreError(
                    f"{location} has tables already ({', '.join(sorted(tables)[:3])}): name an empty database"
                )
            schema.upgrade(session.connection(), keyring.field)
            renew_canary(session, keyring)


def open_database(location: Location, keyring: Keyring, *, is_patient: bool = False) -> Database:
    """Open a site's store; nothing is created or changed.

    Raises StoreError when it is missing or its schema is not this program's, KeyringRefused when
    it was made with other keys.
    """
    database = _unlocked(location, keyring, is_patient)
    try:
        with _store_errors(location), database.look() as connection:
            schema.check_current(connection, location)
        _check_canary(database, keyring)
    except BaseException:
        database.close()
        raise
    return database


def upgrade_database(location: Location, keyring: Keyring) -> None:
    """Bring the schema to this program's, in one transaction. Back it up before.

    Raises StoreError or KeyringRefused as `open_database` does.
    """
    with closing(_unlocked(location, keyring, is_patient=True)) as database:
        with _store_errors(location), database.look() as connection:
            schema.refuse_newer(connection, location)
        _check_canary(database, keyring)
        with database.transaction() as session:
            schema.upgrade(session.connection(), keyring.field)


def _unlocked(location: Location, keyring: Keyring, is_patient: bool) -> Database:
    if isinstance(location, Path) and not location.is_file():
        raise StoreError(
            f"there is no database at {location}: put back your backup, or make a new site with "
            "`4auth-provision site init`. None was made"
        )
    database = Database(location, lambda: keyring.database_keys, is_patient=is_patient)
    try:
        with database.look() as connection:
            connection.exec_driver_sql("SELECT 1")
        _refuse_language(database)
    except DatabaseError as error:
        database.close()
        if is_of_another_key(error):
            raise KeyringRefused(
                f"database.key does not open {location}: point store.keys at the keys that this database was made with"
            ) from None
        raise _kind(error, location)(
            f"{store_at(location)} cannot be opened: {_first_line(error.orig or error)}"
        ) from error
    except BaseException:
        database.close()
        raise
    return database


def _refuse_language(database: Database) -> None:
    if not isinstance(database.location, Path):
        with database.look() as connection:
            refuse_sorted_by_language(connection, database.location)


def _check_canary(database: Database, keyring: Keyring) -> None:
    """Prove that the keys belong to this database, and that it serves still, before anything is written."""
    with database.read() as session:
        moved = fact_of(session, MOVED)
        refuse_other_keys(session, keyring, database.location)
    if moved is not None:
        raise StoreError(f"{database.location} was moved to {moved.decode()}: name that in store.database")
