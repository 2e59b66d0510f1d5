"""A PostgreSQL server that is gone, hangs, refuses or fails over: what is not certain is a StoreError."""

import shutil
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, nullcontext
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import psycopg
import pytest
from sqlalchemy.exc import OperationalError

from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from auth_server.errors import KeyringRefused, StoreAway, StoreError
from auth_server.key_files import replace_key_file
from auth_server.key_forms import ASSERTION, State
from auth_server.keyring import Keyring
from auth_server.shared_keys import note_assertion_key, refuse_other_assertion_key
from auth_server.store import postgres as engine
from auth_server.store.clearing import clear_out
from auth_server.store.clock import clock_of
from auth_server.store.database import Database, create_database, open_database
from auth_server.store.location import Postgresql
from auth_server.store.postgres import is_empty
from demo.site import free_port
from tests import postgres
from tests.e2e.authority import Authority

IMPATIENT_S = 1.0


@pytest.fixture(scope="module")
def server():
    """One that these tests may harm."""
    if (why := postgres.lacking()) is not None:
        pytest.skip(why)
    with postgres.running() as made:
        yield made


@pytest.fixture
def site(server: postgres.Server, keyring: Keyring):
    location = server.new()
    with closing(create_database(location, keyring)) as database:
        yield database


def entry() -> AuditEntry:
    return AuditEntry(
        action="login",
        success=True,
        outcome_reason="granted",
        username="ann",
        kiosk_id=None,
        source_address=None,
        detail={},
    )


def rows(database: Database) -> int:
    return AuditLog(database).head().sequence


def test_it_goes_on_by_itself_where_the_server_was_away(site, server, now):
    log = AuditLog(site)
    log.record(entry(), now)
    server.stop("immediate")
    try:
        for work in (lambda: log.record(entry(), now), log.head):
            began = time.monotonic()
            with pytest.raises(StoreError):
                work()
            assert time.monotonic() - began < 10
    finally:
        server.start()
    log.record(entry(), now)
    assert rows(site) == 2


def test_a_server_that_hangs_is_not_waited_for_without_end(server, keyring, now, monkeypatch):
    """Whether what was sent is done, nobody knows then: so it counts as not done."""
    monkeypatch.setattr(engine._Connection, "patience_s", IMPATIENT_S)
    location = server.new()
    with closing(create_database(location, keyring)) as database:
        log = AuditLog(database)
        log.record(entry(), now)
        for connection in _held(database):
            connection.patience_s = IMPATIENT_S
        server.signal(signal.SIGSTOP)
        try:
            began = time.monotonic()
            with pytest.raises(StoreError, match=r"has not replied|timeout"):
                log.record(entry(), now)
            assert time.monotonic() - began < 10
        finally:
            server.signal(signal.SIGCONT)
        before = rows(database)
        log.record(entry(), now)
        assert rows(database) == before + 1
        assert before in {1, 2}


def _held(database: Database):
    """The driver's connections that wait in the pool."""
    with database.engine.connect() as connection:
        yield connection.connection.driver_connection


def test_a_connection_that_is_cut_takes_its_transaction_with_it(site, server, now):
    with pytest.raises(StoreError), site.transaction() as session:
        AuditLog(site).append(session, entry(), now)
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE '4auth %'")
    assert rows(site) == 0
    AuditLog(site).record(entry(), now)
    assert rows(site) == 1


def test_who_cannot_write_is_told_so(site, server, now):
    server.execute(f"ALTER DATABASE {site.location.name} SET default_transaction_read_only = on")
    with closing(Database(site.location, tuple)) as again, pytest.raises(StoreError, match=r"read-only|read-write"):
        AuditLog(again).record(entry(), now)


def test_a_server_without_a_free_place_is_an_error_and_no_wait(site, server, now):
    held = [psycopg.connect(**site.location.parameters) for _ in range(5)]
    try:
        server.execute(f"ALTER DATABASE {site.location.name} CONNECTION LIMIT 3")
        server.execute("CREATE ROLE guest LOGIN")
        crowded = site.location.model_copy(update={"user": "guest"})
        with closing(Database(crowded, tuple)) as other, pytest.raises(StoreError, match="too many connections"):
            AuditLog(other).head()
    finally:
        for one in held:
            one.close()


def test_one_writes_at_a_time_on_however_many_servers(site, keyring, now, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.3)
    with closing(open_database(site.location, keyring)) as other, site.transaction() as session:
        AuditLog(site).append(session, entry(), now)
        with pytest.raises(StoreError, match="lock timeout"):
            AuditLog(other).record(entry(), now)
        assert rows(other) == 0, "who reads waits for nobody"
    assert rows(site) == 1


def test_a_server_that_is_frozen_at_its_turn_makes_the_others_late_and_no_more(site, server, keyring, now, monkeypatch):
    """As one is that is suspended, or swaps: one worker has its turn, the other is the next. Both are undone."""
    assert 2 * engine.HOLD_TIMEOUT_S < engine.BUSY_TIMEOUT_S
    monkeypatch.setattr(engine, "HOLD_TIMEOUT_S", 0.3)
    location, thawed = site.location, Event()

    def freeze(worker: Database, at_turn: Event) -> None:
        with pytest.raises(StoreError, match="idle-in-transaction"), worker.transaction() as session:
            AuditLog(worker).append(session, entry(), now)
            at_turn.set()
            assert thawed.wait(10)

    with ExitStack() as stack:
        other, *frozen = [stack.enter_context(closing(Database(location, tuple))) for _ in range(3)]
        turns = [Event(), Event()]
        pool = stack.enter_context(ThreadPoolExecutor(2))
        stack.callback(thawed.set)
        first = pool.submit(freeze, frozen[0], turns[0])
        assert turns[0].wait(10)
        second = pool.submit(freeze, frozen[1], turns[1])
        wait_for_a_queue(server)
        AuditLog(other).record(entry(), now)
        assert turns[1].is_set(), "the other frozen worker was the next"
        assert rows(other) == 1
        thawed.set()
        first.result(10)
        second.result(10)
        AuditLog(frozen[0]).record(entry(), now)
        assert rows(other) == 2


def wait_for_a_queue(server) -> None:
    """Until somebody waits for a turn."""
    with psycopg.connect(**server.location("postgres").parameters, autocommit=True) as connection:
        ends = time.monotonic() + 10
        while not connection.execute("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted").fetchone():
            assert time.monotonic() < ends, "nobody waits"


def test_an_administrators_transaction_may_wait_for_files(site, now, monkeypatch):
    monkeypatch.setattr(engine, "HOLD_TIMEOUT_S", 0.1)
    with closing(Database(site.location, tuple, is_patient=True)) as database, database.transaction() as session:
        AuditLog(database).append(session, entry(), now)
        assert session.connection().exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one() == "1min"


def test_opening_waits_for_no_writer(site, keyring, now, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.3)
    with site.transaction() as session:
        AuditLog(site).append(session, entry(), now)
        with closing(open_database(site.location, keyring)) as other:
            assert rows(other) == 0


@pytest.mark.parametrize("is_patient", [False, True])
def test_an_administrators_statement_may_take_longer_than_people_wait(site, keyring, monkeypatch, is_patient):
    monkeypatch.setattr(engine._Connection, "patience_s", IMPATIENT_S)
    monkeypatch.setattr("auth_server.store.database.REPLY_TIMEOUT_S", IMPATIENT_S)
    long = f"SELECT pg_sleep({IMPATIENT_S * 2})"
    with closing(open_database(site.location, keyring, is_patient=is_patient)) as database:
        expected = nullcontext() if is_patient else pytest.raises(StoreError, match=r"has not replied|timeout")
        with expected, database.read() as session:
            session.connection().exec_driver_sql(long)
        with database.long_read() as session:
            session.connection().exec_driver_sql(long)
        expected = nullcontext() if is_patient else pytest.raises(StoreError, match=r"has not replied|timeout")
        with expected, database.read() as session:
            session.connection().exec_driver_sql(long)


def test_what_was_deleted_is_not_called_gone_while_somebody_reads_an_older_state(site, keyring, monkeypatch, now):
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.3)
    assert clear_out(site)
    with closing(open_database(site.location, keyring)) as other, other.read() as session:
        session.connection().exec_driver_sql("SELECT count(*) FROM access_logs")
        assert not clear_out(site)
    assert clear_out(site)


def test_a_password_that_cannot_be_read_is_to_be_mended_and_a_server_that_is_gone_not(site, keyring, tmp_path):
    unread = site.location.model_copy(update={"password_file": tmp_path / "none"})
    with pytest.raises(StoreError, match=r"the password file .*none cannot be read") as told:
        open_database(unread, keyring)
    assert not isinstance(told.value, StoreAway)
    gone = site.location.model_copy(update={"hosts": (str(tmp_path),)})
    with pytest.raises(StoreAway, match=r"^the database site_\w+ on \S+ cannot be opened: "):
        open_database(gone, keyring)


def test_a_server_that_goes_while_it_is_being_opened_may_be_back_soon(site, keyring, monkeypatch):
    def cut(*_: object) -> None:
        raise OperationalError("SELECT", None, psycopg.OperationalError("the server closed the connection"))

    monkeypatch.setattr("auth_server.store.schema.check_current", cut)
    with pytest.raises(StoreAway, match="closed the connection"):
        open_database(site.location, keyring)


def test_a_reader_sees_one_state(site, keyring, now):
    log = AuditLog(site)
    with closing(open_database(site.location, keyring)) as other, other.read() as session:
        asked = "SELECT count(*) FROM access_logs"
        assert session.connection().exec_driver_sql(asked).scalar_one() == 0
        log.record(entry(), now)
        assert session.connection().exec_driver_sql(asked).scalar_one() == 0


def test_a_reader_cannot_write(site, now):
    with pytest.raises(StoreError, match="read-only"), site.read() as session:
        AuditLog(site).append(session, entry(), now)


@pytest.mark.parametrize(
    ("name", "value"), [("fsync", "off"), ("synchronous_commit", "off"), ("full_page_writes", "off")]
)
def test_a_server_that_may_lose_rows_is_refused(site, server, keyring, name, value):
    server.execute(f"ALTER SYSTEM SET {name} = off")
    server.execute("SELECT pg_reload_conf()")
    try:
        with pytest.raises(StoreError, match=rf"{name} = off: set it to on"):
            _until_refused_by(lambda: open_database(site.location, keyring).close())
    finally:
        server.execute(f"ALTER SYSTEM RESET {name}")
        server.execute("SELECT pg_reload_conf()")


def test_it_is_refused_by_a_server_that_is_open_already_too(site, server, now):
    """A standby that takes over may be set otherwise."""
    log = AuditLog(site)
    log.record(entry(), now)
    server.execute("ALTER SYSTEM SET fsync = off")
    server.stop("fast")
    server.start()
    try:
        with pytest.raises(StoreError, match="has fsync = off"):
            log.record(entry(), now)
    finally:
        server.execute("ALTER SYSTEM RESET fsync")
        server.stop("fast")
        server.start()
    log.record(entry(), now)
    assert rows(site) == 2


def _until_refused_by(look: Callable[[], object]) -> None:
    """A server takes new settings a moment after it is told."""
    ends = time.monotonic() + 5
    while time.monotonic() < ends:
        look()
        time.sleep(0.05)


def test_a_database_that_sorts_by_a_language_is_refused(server, keyring):
    server.execute("CREATE DATABASE spoken TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'")
    with pytest.raises(StoreError, match="and not by bytes"):
        create_database(server.location("spoken"), keyring)


def test_its_clock_is_compared_with_this_machines(site):
    sample = clock_of(site)
    assert abs(sample.offset_s) <= sample.error_s + 0.001 and sample.error_s < 1


@pytest.mark.parametrize("is_cancelled", [False, True], ids=["the wait is too long", "somebody ends the wait"])
def test_what_the_standby_does_not_have_is_not_acknowledged(server, keyring, is_cancelled):
    """PostgreSQL calls a COMMIT whose wait was ended a success, with a warning: lost if the primary burns down."""
    with server.standby() as standby, closing(create_database(server.new(), keyring)) as database:
        with closing(engine.connect(database.location)) as connection, ThreadPoolExecutor(1) as pool:
            connection.patience_s = 30 if is_cancelled else IMPATIENT_S
            connection.execute("CREATE TABLE t (n int)")
            standby.signal(signal.SIGSTOP)
            try:
                committed = pool.submit(connection.commit)
                if is_cancelled:
                    _end_the_wait(server)
                told = "standby has not" if is_cancelled else "has not replied"
                with pytest.raises(psycopg.OperationalError, match=told):
                    committed.result()
                assert connection.closed
            finally:
                standby.signal(signal.SIGCONT)


def _end_the_wait(server: postgres.Server) -> None:
    cancel = b"SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
    with psycopg.connect(**server.location("postgres").parameters, autocommit=True) as administrator:
        while administrator.execute(cancel).fetchone() is None:
            time.sleep(0.05)


def test_another_server_takes_over(server, keyring, now: datetime):
    """The standby has every row that was acknowledged, and is found among the hosts without a new setting."""
    with server.standby() as standby:
        location = server.new()
        both = location.model_copy(update={"hosts": (*location.hosts, str(standby.folder))})
        with closing(create_database(both, keyring)) as database:
            log = AuditLog(database)
            for _ in range(20):
                log.record(entry(), now)
            server.stop("immediate")
            try:
                with pytest.raises(StoreError):
                    log.record(entry(), now)
                standby.promote()
                log.record(entry(), now)
                assert rows(database) == 21
                log.head_before(21)
            finally:
                server.start()


def with_another_assertion_key(keys_folder: Path, folder: Path) -> Keyring:
    shutil.copytree(keys_folder, folder)
    replace_key_file(folder / ASSERTION.file, ASSERTION.spelt([ASSERTION.new(None, State.IN_USE)]))
    return Keyring.load(folder)


def test_servers_of_one_database_sign_with_one_key(site, keys_folder, keyring, tmp_path):
    refuse_other_assertion_key(site, keyring)
    refuse_other_assertion_key(site, keyring)
    other = with_another_assertion_key(keys_folder, tmp_path / "keys")
    with pytest.raises(KeyringRefused, match=rf"sign with key {keyring.assertion.keys[0].id}"):
        refuse_other_assertion_key(site, other)
    with site.transaction() as session:
        note_assertion_key(session, other)
    refuse_other_assertion_key(site, other)
    with pytest.raises(KeyringRefused):
        refuse_other_assertion_key(site, keyring)


def test_a_database_in_a_file_has_one_server(tmp_path, keys_folder, keyring):
    with closing(create_database(tmp_path / "4auth.db", keyring)) as database:
        refuse_other_assertion_key(database, keyring)
        refuse_other_assertion_key(database, with_another_assertion_key(keys_folder, tmp_path / "keys"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def over_tls(authority: Authority, tmp_path_factory: pytest.TempPathFactory):
    """A server that listens on an address, with a certificate for the name localhost."""
    if (why := postgres.lacking()) is not None:
        pytest.skip(why)
    with TemporaryDirectory(prefix="pg-") as folder:
        server = postgres.Server(Path(folder))
        certificate, key = authority.issue("localhost")
        port = free_port()
        server.make(listen_addresses="'localhost'", port=str(port), ssl="on")
        for file, name in ((certificate, "server.crt"), (key, "server.key")):
            shutil.copy(file, server.data / name)
            (server.data / name).chmod(0o600)
            shutil.chown(server.data / name, server.data.owner(), server.data.group())
        server.start()
        yield server, f"localhost:{port}"
        server.stop("immediate")


@pytest.mark.parametrize(
    ("host", "is_known", "told"),
    [
        ("localhost", True, None),
        ("localhost", False, "SSL error"),
        ("127.0.0.1", True, "does not match host name"),
    ],
    ids=["the right one", "of a stranger's authority", "of another name"],
)
def test_only_a_server_that_proves_its_name_is_told_anything(over_tls, authority, tmp_path, host, is_known, told):
    _, address = over_tls
    root = authority.certificate if is_known else Authority(tmp_path / "stranger").certificate
    members = {"hosts": (address.replace("localhost", host),), "root_certificate": root}
    location = Postgresql(kind="postgresql", name="postgres", user=postgres.USER, **members)
    if told is None:
        assert is_empty(location)
    else:
        with pytest.raises(StoreError, match=told):
            is_empty(location)


def test_a_server_without_tls_is_told_nothing(over_tls, authority):
    server, address = over_tls
    administrator = Postgresql(
        kind="postgresql", hosts=(f"{server.folder}:{address.partition(':')[2]}",), name="postgres"
    )
    with psycopg.connect(**administrator.parameters, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET ssl = off")
        connection.execute("SELECT pg_reload_conf()")
    location = Postgresql(kind="postgresql", hosts=(address,), name="postgres", root_certificate=authority.certificate)
    with pytest.raises(StoreError, match="does not support SSL"):
        _until_refused_by(lambda: is_empty(location))
