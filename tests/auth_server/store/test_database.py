"""The store's door: what it opens, what it refuses, and that a transaction is one."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from auth_server.errors import KeyringRefused, StoreError
from auth_server.key_forms import DATABASE
from auth_server.keyring import KEY_FILES, Keyring
from auth_server.kiosks import Kiosks
from auth_server.store.database import Database, create_database, open_database, upgrade_database
from auth_server.store.models import SITE
from tests.postgres import IN_A_FILE


def _put(database: Database, key: str, value: bytes) -> None:
    with database.transaction() as session:
        session.execute(insert(SITE).values(key=key, value=value))


def _get(database: Database, key: str) -> bytes | None:
    with database.read() as session:
        return session.execute(select(SITE.c.value).where(SITE.c.key == key)).scalar_one_or_none()


@IN_A_FILE
def test_connections_are_as_safe_as_they_should_be(database: Database):
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "temp_store": 2, "query_only": 0}
    with database.transaction() as session:
        found = {name: session.connection().exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted}
    assert found == wanted


def test_the_key_is_in_no_url_and_no_repr(database: Database, keyring: Keyring):
    told = f"{database.engine!r} {database.engine.url!r} {database!r} {vars(database)!r}"
    assert keyring.database_key.hex() not in told


def test_a_transaction_commits_whole(database: Database):
    _put(database, "a", b"1")
    assert _get(database, "a") == b"1"


def test_a_transaction_that_fails_leaves_nothing(database: Database):
    with pytest.raises(RuntimeError), database.transaction() as session:
        session.execute(insert(SITE).values(key="a", value=b"1"))
        raise RuntimeError("the effect failed")
    assert _get(database, "a") is None


def test_a_savepoint_rolls_back_alone(database: Database):
    with database.transaction() as session:
        session.execute(insert(SITE).values(key="kept", value=b"1"))
        effect = session.begin_nested()
        session.execute(insert(SITE).values(key="refused", value=b"1"))
        effect.rollback()
    assert (_get(database, "kept"), _get(database, "refused")) == (b"1", None)


def test_a_reader_cannot_write(database: Database):
    with pytest.raises(StoreError, match=r"read-?only"), database.read() as session:
        session.execute(insert(SITE).values(key="a", value=b"1"))
    _put(database, "a", b"1")  # and the connection is as good as before


def test_a_reader_sees_one_state_and_holds_no_writer_up(database: Database):
    with database.read() as session:
        before = session.execute(select(SITE.c.key)).all()
        _put(database, "a", b"1")
        assert session.execute(select(SITE.c.key)).all() == before


def test_a_failure_names_the_store_and_no_value(database: Database):
    _put(database, "a", b"first")
    named = r"(?i)^the (store .*4auth\.db|database site_.*) failed: .*unique"
    with pytest.raises(StoreError, match=named) as failure:
        _put(database, "a", b"my secret value")
    assert "my secret value" not in f"{failure.value} {failure.value.__cause__}"


def test_no_update_is_lost_between_processes(database: Database, run_in_processes: Callable[[int, str], list[str]]):
    """Read, then write what was read plus one: with deferred transactions most of these are lost."""
    _put(database, "n", b"0")
    run_in_processes(
        4,
        """
from sqlalchemy import select, update
from auth_server.store.models import SITE
wait_for_all()
def work(_):
    for _ in range(25):
        with database.transaction() as session:
            n = int(session.execute(select(SITE.c.value).where(SITE.c.key == "n")).scalar_one())
            session.execute(update(SITE).where(SITE.c.key == "n").values(value=str(n + 1).encode()))
in_threads(2, work)
""",
    )
    assert _get(database, "n") == b"200"


def test_a_nested_transaction_is_told_of_rather_than_waited_for(database: Database, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("auth_server.store.database.BUSY_TIMEOUT_S", 0.01)
    with pytest.raises(StoreError, match="holds another"), database.transaction(), database.transaction():
        pass
    _put(database, "a", b"1")


def test_create_makes_a_file_that_only_its_owner_may_read(tmp_path: Path, keyring: Keyring):
    create_database(tmp_path / "4auth.db", keyring).close()
    assert [entry.name for entry in tmp_path.iterdir()] == ["4auth.db"], "no draft is left behind"
    assert (tmp_path / "4auth.db").stat().st_mode & 0o7777 == 0o600


@IN_A_FILE
def test_the_write_ahead_log_is_closed_to_others_too(database: Database):
    _put(database, "a", b"1")
    modes = {path.name: path.stat().st_mode & 0o077 for path in database.path.parent.glob("4auth.db*")}
    assert set(modes) == {"4auth.db", "4auth.db-wal", "4auth.db-shm"}


def test_create_never_replaces_a_file(tmp_path: Path, keyring: Keyring):
    (tmp_path / "4auth.db").write_bytes(b"precious")
    with pytest.raises(StoreError, match="is there already"):
        create_database(tmp_path / "4auth.db", keyring)
    assert (tmp_path / "4auth.db").read_bytes() == b"precious"


def test_create_needs_its_folder(tmp_path: Path, keyring: Keyring):
    with pytest.raises(StoreError, match="make its folder first"):
        create_database(tmp_path / "nowhere" / "4auth.db", keyring)
    assert list(tmp_path.iterdir()) == []


def test_open_refuses_a_missing_file_and_makes_none(tmp_path: Path, keyring: Keyring):
    with pytest.raises(StoreError, match=r"no database at .*4auth\.db.*site init"):
        open_database(tmp_path / "4auth.db", keyring)
    with pytest.raises(StoreError, match="no database"):
        upgrade_database(tmp_path / "4auth.db", keyring)
    assert list(tmp_path.iterdir()) == []


def test_open_refuses_a_file_that_vanished_and_makes_none(tmp_path: Path, keyring: Keyring):
    database = Database(tmp_path / "4auth.db", lambda: keyring.database_keys)
    with pytest.raises(StoreError, match="unable to open"), database.transaction() as session:
        session.execute(select(SITE.c.key))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["database.key", "field.keys", "audit.pem"])
def test_open_refuses_a_key_that_does_not_fit_and_says_which(
    tmp_path: Path, keys_folder: Path, empty_database_file: Path, name: str
):
    Keyring.create(tmp_path / "others")
    mixed = tmp_path / "mixed"
    mixed.mkdir(mode=0o700)
    for file in KEY_FILES:
        shutil.copy((tmp_path / "others" if file == name else keys_folder) / file, mixed / file)
    shutil.copy(empty_database_file, tmp_path / "4auth.db")
    before = (tmp_path / "4auth.db").read_bytes()
    with pytest.raises(KeyringRefused, match=name.replace(".", r"\.")):
        open_database(tmp_path / "4auth.db", Keyring.load(mixed))
    assert (tmp_path / "4auth.db").read_bytes() == before


def test_open_refuses_a_file_that_is_no_database(tmp_path: Path, keyring: Keyring):
    (tmp_path / "4auth.db").write_bytes(b"x" * 8192)
    with pytest.raises(KeyringRefused, match=r"database\.key does not open"):
        open_database(tmp_path / "4auth.db", keyring)


@IN_A_FILE
def test_one_changed_byte_in_the_file_is_noticed(database: Database, tmp_path: Path, keyring: Keyring):
    _put(database, "a", b"1" * 4096)
    database.close()
    raw = bytearray((tmp_path / "4auth.db").read_bytes())
    raw[-100] ^= 1
    (tmp_path / "4auth.db").write_bytes(raw)
    damaged = Database(tmp_path / "4auth.db", lambda: keyring.database_keys)
    with pytest.raises(StoreError), damaged.read() as session:
        session.connection().exec_driver_sql("PRAGMA integrity_check").all()
        session.execute(select(SITE.c.value)).all()
    damaged.close()


@pytest.mark.parametrize(
    ("revision", "told"), [("0000", "newer than this program's"), (None, "schema none.*site upgrade")]
)
def test_open_refuses_another_schema(database: Database, keyring: Keyring, revision: str | None, told: str):
    with database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM alembic_version")
        if revision:
            session.connection().exec_driver_sql(f"INSERT INTO alembic_version VALUES ('{revision}')")  # noqa: S608
    with pytest.raises(StoreError, match=told):
        open_database(database.location, keyring)


def test_open_refuses_a_database_without_a_canary(database: Database, keyring: Keyring):
    with database.transaction() as session:
        session.connection().exec_driver_sql("DELETE FROM site")
    with pytest.raises(StoreError, match="no canary"):
        open_database(database.location, keyring)


def test_a_canary_moved_from_another_row_does_not_open(database: Database, keyring: Keyring):
    with database.transaction() as session:
        session.execute(update(SITE).values(value=keyring.field.seal("site", "value", "another", b"4auth canary")))
    with pytest.raises(KeyringRefused, match=r"field\.keys"):
        open_database(database.location, keyring)


@IN_A_FILE
def test_the_store_logs_no_statement_and_no_key(
    database: Database,
    keyring: Keyring,
    now: datetime,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
):
    caplog.set_level(logging.INFO)
    Kiosks(database).add("lobby", b"k" * 32, "02:00:5e:10:00:01")
    with pytest.raises(KeyringRefused):
        open_database(database.path, _other_key(keyring))
    told = caplog.text + "".join(capfd.readouterr())
    assert told == ""


def _other_key(keyring: Keyring) -> Keyring:
    return replace(keyring, database=lambda: (DATABASE.key(bytes(32)),))
