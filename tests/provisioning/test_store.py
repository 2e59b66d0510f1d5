"""`store migrate`: every row goes with its secrets and its log, and the old store takes none any more."""

import os
import stat
import threading
from contextlib import closing, suppress

import psycopg
import pytest
from sqlalchemy import delete, event, insert, select
from sqlalchemy.exc import OperationalError

from auth_server.accounts import Accounts, NewAccount
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry, Template
from auth_server.errors import StoreError
from auth_server.keyring import Keyring
from auth_server.servers import Servers
from auth_server.settings_file import load_settings
from auth_server.store import moving
from auth_server.store.copying import TABLES
from auth_server.store.database import create_database, open_database
from auth_server.store.models import ADMINS
from provisioning.store_move import Move
from provisioning.store_switch import name_store, store_line
from provisioning.store_target import open_source
from tests.postgres import IN_A_FILE
from tests.provisioning.conftest import START


class Killed(Exception):
    """The process ends here."""


def url(location) -> str:
    return f"postgresql://{location.user}@/{location.name}?host={location.hosts[0]}"


def rows_of(database):
    with database.read() as session:
        return {
            table.name: session.connection().execute(select(table).order_by(*table.primary_key.columns)).all()
            for table in TABLES
        }


@pytest.fixture
def place(postgresql_server):
    made = postgresql_server.new()
    yield made
    postgresql_server.drop(made)


@pytest.fixture
def opened(with_ann):
    settings = load_settings(with_ann.settings)
    keyring = Keyring.load(settings.store.keys)
    with closing(open_database(settings.store.database, keyring)) as database:
        yield database, keyring, Checkpoints(settings.store.checkpoints, keyring.audit)


def mover(opened, command, to, step=lambda _: None, switch=lambda: None):
    database, keyring, checkpoints = opened
    return Move(
        source=database,
        to=to,
        keyring=keyring,
        checkpoints=checkpoints,
        now=command.clock,
        say=lambda _: None,
        switch=switch,
        step=step,
    )


def add_person(opened, name):
    """Another account, with ann's device."""
    database, keyring, _ = opened
    account = NewAccount(
        username=name,
        password_hash=b"$2b$12$no-password-fits",
        totp_secret="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        totp_last_step=0,
        template=Template("4auth", b"\0" * 2048),
        face_png=b"no picture",
        mac_addresses=frozenset({"b8:27:eb:12:34:56"}),
    )
    Accounts(database, keyring.field, "4auth").add(account, START)


def entry():
    return AuditEntry(
        action="login",
        success=False,
        outcome_reason="denied",
        username="ann",
        kiosk_id=None,
        source_address=None,
        detail={},
    )


def test_everything_goes_and_the_settings_name_the_new_place(with_ann, opened, place):
    before = rows_of(opened[0])
    told = with_ann.json("store", "migrate", "--to", url(place), "--yes")
    assert told["accounts"] == 1 and told["rows"] == len(before["access_logs"]) + 1
    settings = load_settings(with_ann.settings)
    assert settings.store.database == place.model_copy(update={"connections": 16})
    with closing(open_database(settings.store.database, opened[1])) as moved:
        after = rows_of(moved)
    assert after["access_logs"].pop().action == "admin.store.migrate"
    assert after == before
    assert with_ann.json("audit", "verify")["ok"]
    assert with_ann.json("keys", "check")["ok"]
    assert with_ann.json("user", "show", "ann")["user"]["username"] == "ann"


def test_the_old_store_lets_nobody_in_any_more(with_ann, opened, place):
    mover(opened, with_ann, place).run()
    with pytest.raises(StoreError, match="moved elsewhere"):
        AuditLog(opened[0]).record(entry(), with_ann.clock())
    with pytest.raises(StoreError, match=rf"was moved to the database {place.name}"):
        open_database(opened[0].location, opened[1])


@IN_A_FILE
def test_what_changes_while_it_is_copied_goes_too(with_ann, opened, place):
    database, _, _ = opened

    def at(step):
        if step == "copied":
            AuditLog(database).record(entry(), with_ann.clock())
            with_ann.json("user", "delete", "ann", "--yes")
            with_ann.json("user", "invite", "bob", "--kiosk", "lobby-1")

    mover(opened, with_ann, place, at).run()
    expected = rows_of(database)
    with closing(open_database(place, opened[1])) as moved:
        found = rows_of(moved)
    assert found["users"] == [] and [row.username for row in found["tickets"]] == ["bob"]
    assert found["access_logs"].pop().action == "admin.store.migrate"
    del expected["site"], found["site"]  # where the store went is told in the old one alone
    assert found == expected


STEPS = ("noting", "copied", "proved", "whole", "closed", "recorded", "switched")
AFTER_THE_CLOSE = STEPS[4:]


def killed_at(opened, command, to, at):
    """Run a move as the command does, up to a step, in a source that is opened anew as by a new process."""
    database, keyring, checkpoints = opened
    line = store_line(command.settings)

    def die(step):
        if step == at:
            raise Killed

    with closing(open_source(database.location, keyring, to)) as source, pytest.raises(Killed):
        switch = lambda: name_store(command.settings, line, to)  # noqa: E731
        mover((source, keyring, checkpoints), command, to, die, switch).run()


def moves_told(database):
    with database.read() as session:
        asked = "SELECT count(*) FROM access_logs WHERE action = 'admin.store.migrate'"
        return session.connection().exec_driver_sql(asked).scalar_one()


TWICE = (("copied", "whole"), ("whole", "closed"), ("closed", "recorded"), ("recorded", "switched"))


@IN_A_FILE
@pytest.mark.parametrize(("at", "again"), [*((step, None) for step in STEPS), *TWICE])
def test_a_move_that_was_killed_is_gone_on_with_by_the_same_command(with_ann, opened, place, at, again):
    database, keyring, _ = opened
    place = place.model_copy(update={"connections": 16})  # as the command has it from the address
    killed_at(opened, with_ann, place, at)
    if at not in AFTER_THE_CLOSE:
        AuditLog(database).record(entry(), with_ann.clock())  # servers went on meanwhile
        with_ann.json("user", "invite", "bob", "--kiosk", "lobby-1")
    if again is not None:
        killed_at(opened, with_ann, place, again)
    with_ann.json("store", "migrate", "--to", url(place), "--yes")
    assert load_settings(with_ann.settings).store.database == place
    with closing(open_database(place, keyring)) as moved:
        found = rows_of(moved)
        assert moves_told(moved) == 1
    assert [row.username for row in found["tickets"]] == ([] if at in AFTER_THE_CLOSE else ["bob"])
    assert [row.id for row in found["access_logs"]] == list(range(1, len(found["access_logs"]) + 1))
    assert with_ann.json("audit", "verify")["ok"]
    with pytest.raises(StoreError, match="was moved to"):
        open_database(database.location, keyring)


@pytest.mark.parametrize("at", ["noting", "whole", "closed", "recorded", "switched"])
def test_the_way_back_that_was_killed_is_gone_on_with_too(with_ann, opened, place, tmp_path, at):
    _, keyring, checkpoints = opened
    with_ann.json("store", "migrate", "--to", url(place), "--yes")
    back = tmp_path / "back.db"
    with closing(open_database(place, keyring)) as database:
        killed_at((database, keyring, checkpoints), with_ann, back, at)
    if at not in AFTER_THE_CLOSE:
        with_ann.json("user", "invite", "bob", "--kiosk", "lobby-1")
    with_ann.json("store", "migrate", "--to-file", back, "--yes")
    assert load_settings(with_ann.settings).store.database == back
    with closing(open_database(back, keyring)) as moved:
        assert moves_told(moved) == 2
        tickets = [row.username for row in rows_of(moved)["tickets"]]
    assert tickets == ([] if at in AFTER_THE_CLOSE else ["bob"])
    assert with_ann.json("audit", "verify")["ok"]


def lose_the_answer(database):
    """Let the next COMMIT be done, and its answer be lost."""

    @event.listens_for(database.engine, "commit", once=True)
    def commit(connection):
        driver = connection.connection.driver_connection
        driver.execute("COMMIT") if database.is_file else driver.commit()
        raise OperationalError("COMMIT", None, psycopg.OperationalError("the connection is lost"))


def test_a_close_whose_answer_was_lost_is_a_close(with_ann, opened, place):
    database, keyring, _ = opened
    mover(opened, with_ann, place, lambda step: lose_the_answer(database) if step == "whole" else None).run()
    with closing(open_database(place, keyring)) as moved:
        assert moves_told(moved) == 1
    with pytest.raises(StoreError, match="was moved to"):
        open_database(database.location, keyring)


def test_a_store_that_was_closed_is_not_switched_away_from_where_its_copy_is_gone(
    with_ann, opened, place, postgresql_server
):
    killed_at(opened, with_ann, place, "closed")
    postgresql_server.drop(place)
    postgresql_server.execute(f"CREATE DATABASE {place.name} TEMPLATE template0")
    before = with_ann.settings.read_text()
    result = with_ann("store", "migrate", "--to", url(place), "--yes")
    assert result.exit_code == 1 and "does not hold it now" in result.stderr
    assert with_ann.settings.read_text() == before


CARELESS = {
    "synchronous_commit = off": "ALTER DATABASE {} SET synchronous_commit = off",
    "sorts by a language": "",
}


@pytest.mark.parametrize("said", CARELESS)
def test_a_database_that_servers_would_refuse_is_refused_before_anything_is_written(
    with_ann, opened, place, postgresql_server, said
):
    if statement := CARELESS[said].format(place.name):
        postgresql_server.execute(statement)
    else:
        postgresql_server.drop(place)
        made = f"CREATE DATABASE {place.name} TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en' LOCALE 'C'"
        postgresql_server.execute(made)
    before = rows_of(opened[0])
    result = with_ann("store", "migrate", "--to", url(place), "--yes")
    assert result.exit_code == 1 and said in result.stderr
    assert rows_of(opened[0]) == before
    with psycopg.connect(**place.parameters) as connection:
        assert connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (0,)


def left_behind(database):
    """What a move puts into the store that it copies."""
    with database.read() as session:
        connection = session.connection()
        marks = connection.exec_driver_sql("SELECT key FROM site WHERE key = 'leaving'").scalars().all()
        if not database.is_file:
            return marks
        asked = "SELECT name FROM sqlite_schema WHERE name LIKE 'moving%%'"
        return [*marks, *connection.exec_driver_sql(asked.replace("%%", "%")).scalars()]


def test_a_move_is_given_up(with_ann, opened, place):
    database, _, _ = opened
    killed_at(opened, with_ann, place, "proved" if database.is_file else "whole")
    assert left_behind(database)
    assert with_ann.json("store", "migrate", "--give-up")["given_up"]
    assert left_behind(database) == []
    assert not with_ann.json("store", "migrate", "--give-up")["given_up"]


@IN_A_FILE
def test_what_changed_after_a_move_was_given_up_is_in_the_next_copy(with_ann, opened, place):
    _, keyring, _ = opened
    killed_at(opened, with_ann, place, "proved")
    with_ann.json("store", "migrate", "--give-up")
    with_ann.json("user", "delete", "ann", "--yes")  # nobody notes it
    with_ann.json("store", "migrate", "--to", url(place), "--yes")
    with closing(open_database(place, keyring)) as moved:
        assert rows_of(moved)["users"] == []


@IN_A_FILE
def test_a_busy_site_waits_for_few_rows_alone(with_ann, opened, place, monkeypatch):
    """Whoever writes all the time is caught up with before the lock is taken, and no note outlives its bringing."""
    database, _, _ = opened
    notes = []
    monkeypatch.setattr(moving, "_BATCH", 20)

    def at(step):
        if step == "copied":
            for _ in range(100):
                AuditLog(database).record(entry(), with_ann.clock())
        if step == "whole":
            with database.read() as session:
                asked = "SELECT count(*) FROM moving_changes"
                notes.append(session.connection().exec_driver_sql(asked).scalar_one())

    mover(opened, with_ann, place, at).run()
    assert notes == [0]
    assert left_behind(database) == []


@IN_A_FILE
def test_whatever_is_acknowledged_while_it_is_moved_is_in_both_stores(with_ann, opened, place, monkeypatch):
    database, keyring, _ = opened
    acknowledged, has_ended, turns, real = [], [], threading.Semaphore(0), moving.put
    monkeypatch.setattr(moving, "_BATCH", 10)

    def put(taking, batches):
        turns.release()  # a login for each batch, or nothing else would have its turn
        real(taking, batches)

    monkeypatch.setattr(moving, "put", put)

    def serve():
        with closing(open_database(database.location, keyring)) as own, suppress(StoreError):
            log = AuditLog(own)
            while turns.acquire(timeout=30):
                acknowledged.append(log.record(entry(), with_ann.clock()))
                with own.transaction() as session:
                    name = f"nobody-{acknowledged[-1] % 7}"
                    session.execute(delete(ADMINS).where(ADMINS.c.name == name))
                    if acknowledged[-1] % 2:
                        told = {"name": name, "role": "viewer", "secret_hash": name, "created_at": with_ann.clock()}
                        session.execute(insert(ADMINS).values(told))
        has_ended.append(True)

    def at(step):
        if step in ("copied", "proved"):
            turns.release(20)

    server = threading.Thread(target=serve)
    server.start()
    mover(opened, with_ann, place, at).run()
    turns.release()
    server.join(timeout=60)
    expected = rows_of(database)
    with closing(open_database(place, keyring)) as moved:
        found = rows_of(moved)
    assert has_ended and len(acknowledged) >= 40, acknowledged
    assert {row.id for row in found["access_logs"]} >= set(acknowledged)
    assert found["access_logs"].pop().action == "admin.store.migrate"
    del expected["site"], found["site"]
    assert found == expected


@IN_A_FILE
def test_what_changes_between_two_pages_goes_too(with_ann, opened, place, monkeypatch):
    """Each page is a read of its own, so tables are at different states until the notes are brought."""
    database, keyring, _ = opened
    real, told = moving.page, []

    def page(giving, table, after, size):
        if table.name not in told:
            told.append(table.name)
            if table.name == "admins":
                for name in ("bob", "carl"):
                    with_ann.json("user", "invite", name, "--kiosk", "lobby-1")
            if table.name == "users":
                with_ann.json("user", "uninvite", "bob", "--yes")
                with_ann.json("user", "invite", "bob", "--kiosk", "lobby-1")
            if table.name == "user_devices":
                for name in ("abe", "zoe"):  # their accounts come when the page of accounts is past
                    add_person(opened, name)
                with_ann.json("user", "delete", "ann", "--yes")
        if table.name == "tickets" and after is not None and "again" not in told:
            told.append("again")  # the name that one ticket alone may bear is now another's, on a page to come
            with database.transaction() as session:
                session.connection().exec_driver_sql("UPDATE tickets SET ticket_hash = 'z' || substr(ticket_hash, 2)")
        return real(giving, table, after, 1)

    monkeypatch.setattr(moving, "page", page)
    mover(opened, with_ann, place).run()
    expected = rows_of(database)
    with closing(open_database(place, keyring)) as moved:
        found = rows_of(moved)
    assert found["access_logs"].pop().action == "admin.store.migrate"
    del expected["site"], found["site"]
    assert found == expected


@IN_A_FILE
def test_a_change_while_its_row_is_brought_is_brought_again(with_ann, opened, place, monkeypatch):
    _, keyring, _ = opened
    real, told = moving.put, []

    def put(taking, batches):
        real(taking, batches)
        if any(batch.table.name == "tickets" and batch.rows for batch in batches) and not told:
            told.append("bob")
            with_ann.json("user", "uninvite", "bob", "--yes")

    def at(step):
        if step == "copied":
            with_ann.json("user", "invite", "bob", "--kiosk", "lobby-1")
            monkeypatch.setattr(moving, "put", put)

    mover(opened, with_ann, place, at).run()
    assert told
    with closing(open_database(place, keyring)) as moved:
        assert rows_of(moved)["tickets"] == []


@IN_A_FILE
def test_a_copy_that_is_not_sound_is_not_switched_to(with_ann, opened, place):
    database, _, _ = opened
    with database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE users SET totp_secret_enc = x'00'")
    result = with_ann("store", "migrate", "--to", url(place), "--yes")
    assert result.exit_code == 1 and "nothing was switched" in result.stderr
    AuditLog(database).record(entry(), with_ann.clock())
    assert load_settings(with_ann.settings).store.database == database.path
    assert left_behind(database) == []


def test_a_database_that_holds_another_store_is_left_alone(with_ann, opened, place, tmp_path):
    made = with_ann("site", "init", "--folder", tmp_path / "other", "--name", "other", "--postgresql", url(place))
    assert made.exit_code == 0, made.stderr
    result = with_ann("store", "migrate", "--to", url(place), "--yes")
    assert result.exit_code == 1 and "holds a store already" in result.stderr


def test_a_database_of_another_program_is_left_alone(with_ann, opened, place):
    with psycopg.connect(**place.parameters) as connection:
        connection.execute("CREATE TABLE theirs (n int)")
    result = with_ann("store", "migrate", "--to", url(place), "--yes")
    assert result.exit_code == 1 and "has tables already (theirs): name an empty database" in result.stderr
    assert left_behind(opened[0]) == []


@pytest.mark.parametrize(
    ("name", "said"),
    [("missing/new.db", "cannot be made: No such file or directory: make its folder first"), ("own.db", "a new file")],
)
def test_a_file_that_cannot_be_moved_to_is_said_to_be_so(with_ann, opened, place, tmp_path, name, said):
    with_ann.json("store", "migrate", "--to", url(place), "--yes")
    create_database(tmp_path / "own.db", opened[1]).close()
    result = with_ann("store", "migrate", "--to-file", tmp_path / name, "--yes")
    assert result.exit_code == 1 and said in result.stderr
    assert load_settings(with_ann.settings).store.database == place.model_copy(update={"connections": 16})


@pytest.mark.parametrize("restart", ["/no/such/program", "false", "'"])
def test_a_restart_that_fails_is_said_to_be_done_by_hand(with_ann, opened, place, restart):
    result = with_ann("store", "migrate", "--to", url(place), "--yes", "--restart", restart)
    assert result.exit_code == 1 and "start every server anew by hand" in result.stderr
    assert load_settings(with_ann.settings).store.database == place.model_copy(update={"connections": 16})


def test_the_settings_file_stays_readable_to_whoever_read_it_and_is_on_the_disk(with_ann, opened, place, monkeypatch):
    settings, calls = with_ann.settings, []
    if os.geteuid() == 0:
        os.chown(settings, 0, 65534)
    settings.chmod(0o640)
    was = settings.stat()
    for module, name in ((os, "fsync"), (os, "replace"), (os, "rename")):
        real = getattr(module, name)
        told = lambda *a, real=real, name=name, **k: (calls.append(name), real(*a, **k))[1]  # noqa: E731
        monkeypatch.setattr(module, name, told)
    name_store(settings, store_line(settings), place)
    assert calls[0] == "fsync" and calls[-1] == "fsync" and len(calls) == 3
    found = settings.stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (was.st_uid, was.st_gid, 0o640)


def test_there_is_a_way_back(with_ann, opened, place, tmp_path):
    with_ann.json("store", "migrate", "--to", url(place), "--yes")
    with_ann.json("user", "invite", "bob", "--kiosk", "lobby-1")
    with_ann.json("store", "migrate", "--to-file", tmp_path / "back.db", "--yes")
    assert load_settings(with_ann.settings).store.database == tmp_path / "back.db"
    assert with_ann.json("audit", "verify")["ok"]
    assert [one["username"] for one in with_ann.json("user", "invites")["invites"]] == ["bob"]
    with pytest.raises(StoreError, match="was moved to"):
        open_database(place, opened[1])


class TestServers:
    """Which servers share the store."""

    def test_an_embedded_store_lists_nobody(self, command):
        assert command.json("store", "servers")["servers"] == []

    def test_each_that_lives_is_listed_with_its_keys(self, command):
        with command.desk().site() as opened:
            for host in ("auth-2", "auth-1"):
                Servers(opened.database, opened.keyring, host).note(command.clock())
            in_use = opened.keyring.field.keys[0].id
        found = command.json("store", "servers")["servers"]
        assert [(server["host"], server["keys"]["field"]) for server in found] == [
            ("auth-1", [in_use]),
            ("auth-2", [in_use]),
        ]
        told = command("store", "servers").stdout
        assert told.count(in_use) == 2 and "auth-1" in told
        command.clock.pass_(minutes=4)
        assert command.json("store", "servers")["servers"] == []
