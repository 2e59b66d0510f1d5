"""SQLAlchemy over PostgreSQL: how a connection is opened and a transaction begun.

Writers take turns by one advisory lock of the database, as SQLite's do by its file: whatever is exact on one machine
is exact on several, and nothing that a server holds outlives its connection.
"""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from psycopg.abc import RV, PQGen
from psycopg.errors import Diagnostic
from sqlalchemy import Connection, Engine, QueuePool, create_engine, event
from sqlalchemy.exc import OperationalError

from auth_server.errors import StoreError
from auth_server.store.engine import BUSY_TIMEOUT_S, READ_ONLY
from auth_server.store.location import Postgresql

REPLY_TIMEOUT_S: Final = 10.0
"""For which a server that hangs, or is cut off, is waited for; what it has not acknowledged then counts as not done."""

LONG_REPLY_TIMEOUT_S: Final = 3600.0
"""The same for an administrator's command, which may go through a log of years."""

HOLD_TIMEOUT_S: Final = 2.0
"""For which a worker may think in a transaction that writes. One that was frozen there holds all others up: two of a
server, one after the other, less long than these wait for their turn, so that they are late and not refused."""

_LONG_HOLD_TIMEOUT_S: Final = 60.0
"""The same for an administrator's command, which has files to write meanwhile, and for whoever only reads."""

_CONNECT_TIMEOUT_S: Final = 3
_LOOK_EVERY_S: Final = 0.1
_WRITERS_LOCK: Final = 0x34417574680000  # "4Auth"
_TAKE_TURN: Final = "SELECT set_config('idle_in_transaction_session_timeout', %s, true), pg_advisory_xact_lock(%s)"
_WAIT_FOR_STANDBY: Final = "SyncRepWaitForLSN"
_RELEASE_MIN: Final = 14
_NEEDED: Final = {
    "fsync": ("on",),
    "full_page_writes": ("on",),
    "synchronous_commit": ("on", "remote_apply"),
    "server_encoding": ("UTF8",),
}
"""Without which a login that was acknowledged can be lost in a power cut, or a name be stored as another."""

_SORTS_BY_LANGUAGE: Final = "SELECT 'a' < 'B' OR 'é' < 'z'"

_OLDER_READERS: Final = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE backend_type = 'client backend' AND backend_xmin IS NOT NULL AND xact_start < %s"
)


class _Connection(psycopg.Connection[Any]):
    """A connection that does not wait for ever, and takes no commit for done that a standby may not have."""

    patience_s = REPLY_TIMEOUT_S
    hold_s: float
    _is_one_sided = False

    def wait(self, gen: PQGen[RV], interval: float = _LOOK_EVERY_S, timeout: float | None = None) -> RV:
        """Drive one exchange with the server.

        Raises OperationalError, and is closed, where no reply comes in time, or the standby's did not.
        """
        ends = time.monotonic() + self.patience_s
        try:
            reply = super().wait(gen, interval, self.patience_s if timeout is None else timeout)
        except psycopg.OperationalError as error:
            if timeout is not None or time.monotonic() < ends:
                raise
            self.pgconn.finish()
            raise psycopg.OperationalError(f"the server has not replied for {self.patience_s:g} s") from error
        if self._is_one_sided:
            self.pgconn.finish()
            raise psycopg.OperationalError("the standby has not acknowledged it, and it would be lost with the primary")
        return reply

    def heed(self, told: Diagnostic) -> None:
        """Heed the warning with which a server ends its wait for the standby: the COMMIT is a success all the same."""
        if told.source_function == _WAIT_FOR_STANDBY:  # its words are in the server's language, and have no code
            self._is_one_sided = True


def postgres_engine(location: Postgresql, patience_s: float = REPLY_TIMEOUT_S) -> Engine:
    """Return an engine on an existing database; statements are never logged with their values."""
    engine = create_engine(
        "postgresql+psycopg://",
        creator=lambda: connect(location, patience_s),
        poolclass=QueuePool,
        pool_size=location.connections,
        max_overflow=0,
        pool_timeout=BUSY_TIMEOUT_S,
        pool_pre_ping=True,  # a server that was started anew, or has failed over, has dropped what we had
        hide_parameters=True,
        execution_options={"preserve_rowcount": True},  # of an INSERT too
        use_native_hstore=False,
    )
    event.listen(engine, "begin", _begin)
    return engine


def connect(location: Postgresql, patience_s: float = REPLY_TIMEOUT_S) -> psycopg.Connection[Any]:
    """Open a connection to the server that may be written to, which waits so long for each reply.

    Raises psycopg.OperationalError, and StoreError where the server may lose what it acknowledges, or the password's
    file cannot be read.
    """
    settings = {
        "lock_timeout": f"{BUSY_TIMEOUT_S:g}s",
        "statement_timeout": f"{patience_s:g}s",
        "idle_in_transaction_session_timeout": f"{_LONG_HOLD_TIMEOUT_S:g}s",
        "TimeZone": "UTC",
    }
    connection = _Connection.connect(
        **location.parameters,
        password=_password(location),
        target_session_attrs="read-write",
        connect_timeout=_CONNECT_TIMEOUT_S,
        tcp_user_timeout=int(REPLY_TIMEOUT_S * 1000),
        application_name=_application(),
        options=" ".join(f"-c {name}={value}" for name, value in settings.items()),
    )
    connection.patience_s = patience_s
    connection.hold_s = HOLD_TIMEOUT_S if patience_s <= REPLY_TIMEOUT_S else _LONG_HOLD_TIMEOUT_S
    connection.add_notice_handler(connection.heed)
    try:
        # Each time: a standby that takes over has settings of its own.
        _refuse_careless_server(connection, location)
        connection.rollback()
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def waiting_long(connection: Connection) -> Iterator[None]:
    """Let a transaction's statements take as long as an administrator's do; nothing is changed for a file."""
    driver = connection.connection.driver_connection
    if not isinstance(driver, _Connection):
        yield
        return
    driver.execute(f"SET LOCAL statement_timeout = '{LONG_REPLY_TIMEOUT_S:g}s'".encode())
    usual, driver.patience_s = driver.patience_s, LONG_REPLY_TIMEOUT_S
    try:
        yield
    finally:
        driver.patience_s = usual


def is_empty(location: Postgresql) -> bool:
    """Whether a database has no tables. Raises StoreError where it cannot be asked."""
    found = _ask(location, "SELECT count(*) FROM pg_tables WHERE schemaname = ANY (current_schemas(false))")
    return found == 0


def others_in(location: Postgresql) -> bool:
    """Whether another process of 4Auth is connected to a database, on whatever machine."""
    asked = (
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE '4auth %%' AND application_name <> %s"
    )
    return _ask(location, asked, _application()) > 0


def _ask(location: Postgresql, statement: str, *values: str) -> int:
    try:
        with connect(location) as connection:
            found = connection.execute(statement.encode(), values or None).fetchone()
    except psycopg.Error as error:
        raise StoreError(f"{location} cannot be opened: {error}") from error
    return int(found[0]) if found else 0


def vacuum(location: Postgresql) -> bool:
    """Take what was deleted out of the tables, and let the server count anew by what it plans.

    False where somebody read an older state for 5 s, who still sees what was deleted. Raises StoreError.
    """
    try:
        with connect(location, LONG_REPLY_TIMEOUT_S) as connection:
            connection.autocommit = True
            is_alone = _wait_for_readers(connection)
            connection.execute("VACUUM (ANALYZE)")
    except psycopg.Error as error:
        raise StoreError(f"what was deleted from {location} is not cleared out yet: {error}") from error
    return is_alone


def _wait_for_readers(connection: psycopg.Connection[Any]) -> bool:
    """Wait for those who read a state of before now; False where one still does after 5 s."""
    (began,) = connection.execute("SELECT clock_timestamp()").fetchone() or ("now",)
    ends = time.monotonic() + BUSY_TIMEOUT_S
    while (connection.execute(_OLDER_READERS, (began,)).fetchone() or (0,))[0]:
        if time.monotonic() > ends:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


def _application() -> str:
    """This process's name for the server, whose operator sees by it who holds what."""
    return f"4auth {os.getpid()} {socket.gethostname()}"[:63]


def _password(location: Postgresql) -> str | None:
    if location.password_file is None:
        return None
    try:
        return location.password_file.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise StoreError(f"the password file {location.password_file} cannot be read: {error}") from error


def refuse_sorted_by_language(connection: Connection, location: Postgresql) -> None:
    """Raise StoreError for a database that does not sort by bytes, as a file does."""
    if connection.exec_driver_sql(_SORTS_BY_LANGUAGE).scalar_one():
        raise StoreError(
            f"{location} sorts by a language, and not by bytes: make it anew with "
            "CREATE DATABASE ... TEMPLATE template0 LC_COLLATE 'C'"
        )


def _refuse_careless_server(connection: psycopg.Connection[Any], location: Postgresql) -> None:
    if connection.info.server_version < _RELEASE_MIN * 10_000:
        release = connection.info.server_version // 10_000
        raise StoreError(f"{location} is of PostgreSQL {release}: {_RELEASE_MIN} or newer is needed")
    asked = ", ".join(f"current_setting('{name}')" for name in _NEEDED)
    told = connection.execute(f"SELECT {asked}".encode()).fetchone() or ()
    for (name, good), found in zip(_NEEDED.items(), told, strict=True):
        if found not in good:
            raise StoreError(
                f"{location} has {name} = {found}: set it to {good[0]}, or rows that were acknowledged may be lost"
            )


def _begin(connection: Connection) -> None:
    driver: Any = connection.connection
    is_reader = connection.get_execution_options().get(READ_ONLY, False)
    try:
        with driver.cursor() as cursor:
            if is_reader:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            else:
                # Read committed: a snapshot of before the lock was had would hide what the writer before did.
                cursor.execute(_TAKE_TURN, (f"{driver.driver_connection.hold_s:g}s", _WRITERS_LOCK))
    except psycopg.Error as error:
        if not driver.closed:
            driver.rollback()
        # SQLAlchemy wraps what its own statements raise, and not what this hook does.
        raise OperationalError("BEGIN", None, error) from error
