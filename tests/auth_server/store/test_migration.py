"""A database that an earlier release made: it opens afterwards with every secret, or stays what it was."""

import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

import auth_server.store
from auth_contract.actions import Action
from auth_server.account_faces import Held
from auth_server.accounts import Accounts
from auth_server.attempts import Attempts
from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from auth_server.errors import StoreError
from auth_server.exemptions import Exemptions
from auth_server.keyring import FieldCipher, Keyring
from auth_server.kiosks import Kiosks
from auth_server.resealing import SealedValues
from auth_server.store.backup import page_findings
from auth_server.store.database import Database, open_database, upgrade_database

MADE = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
PEOPLE = [f"person {number:03}" for number in range(150)]
"""More than one batch."""

MAC = "02:00:5e:10:00:01"
_USERS = sa.table(
    "users",
    *map(sa.column, ("username", "password_hash", "totp_secret_enc", "totp_last_step", "face_model", "enabled")),
    *map(sa.column, ("face_enabled", "created_at", "face_template_enc", "face_image_enc")),
)


def config(connection: sa.Connection) -> Config:
    made = Config()
    made.set_main_option("script_location", str(Path(auth_server.store.__file__).parent / "migrations"))
    made.set_main_option("path_separator", "os")
    made.attributes["connection"] = connection
    return made


def secret_of(name: str) -> dict[str, bytes]:
    return {
        "totp_secret_enc": f"JBSWY3DP{name}".encode(),
        "face_template_enc": f"the template of {name}".encode() * 16,
        "face_image_enc": f"the picture of {name}".encode() * 50,
    }


@pytest.fixture
def old_file(tmp_path: Path, keyring: Keyring) -> Path:
    """A database as the release before made it: schema 0001, secrets sealed by the site's field keys."""
    path = tmp_path / "4auth.db"
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    database = Database(path, lambda: keyring.database_keys)
    with database.engine.begin() as connection:
        command.upgrade(config(connection), "0001")
        for name in PEOPLE:
            sealed = {
                column: keyring.field.seal("users", column, name, value) for column, value in secret_of(name).items()
            }
            connection.execute(
                sa.insert(_USERS).values(
                    username=name,
                    password_hash=b"$2b$12$hash",
                    totp_last_step=57,
                    face_model="4auth",
                    enabled=True,
                    face_enabled=True,
                    created_at="2026-11-01T08:00:00.000000Z",
                    **sealed,
                )
            )
            connection.exec_driver_sql("INSERT INTO user_devices VALUES (?, ?)", (name, MAC))
        canary = b"4auth canary, audit key " + keyring.audit.keys[0].id.encode()
        connection.exec_driver_sql(
            "INSERT INTO site VALUES ('canary', ?)", (keyring.field.seal("site", "value", "canary", canary),)
        )
    AuditLog(database).record(AuditEntry("login", True, "granted", PEOPLE[0], "kiosk-1", None, {"why": "all"}), MADE)
    database.close()
    return path


def revision(path: Path, keyring: Keyring) -> str:
    with closing(Database(path, lambda: keyring.database_keys)) as database, database.read() as session:
        return session.connection().exec_driver_sql("SELECT version_num FROM alembic_version").scalar_one()


def test_every_secret_opens_after_the_upgrade_and_the_log_is_the_same(old_file: Path, keyring: Keyring):
    with pytest.raises(StoreError, match=r"schema 0001.*site upgrade"):
        open_database(old_file, keyring)
    upgrade_database(old_file, keyring)
    with closing(open_database(old_file, keyring)) as database:
        accounts = Accounts(database, keyring.field, "4auth")
        for name in PEOPLE:
            found = accounts.enrolment(name)
            assert not found.is_decoy
            assert found.totp_secret.encode() == secret_of(name)["totp_secret_enc"]
            assert found.template.embedding == secret_of(name)["face_template_enc"]
            assert accounts.face_picture(name) == secret_of(name)["face_image_enc"]
            assert (found.totp_last_step, found.password_hash) == (57, b"$2b$12$hash")
            assert found.mac_addresses == {MAC}
        assert AuditLog(database).head().sequence == 1
        # Each has a key of its own, and only those are sealed by the site's.
        assert SealedValues(database, keyring).by_key() == {keyring.field.keys[0].id: len(PEOPLE) + 1}
    assert page_findings(old_file, keyring.database_key) == []


def test_what_the_sites_keys_had_sealed_is_not_left(old_file: Path, keyring: Keyring):
    """Neither in a row nor in a page that is free again: a field key alone opens no secret any more."""
    upgrade_database(old_file, keyring)
    with closing(open_database(old_file, keyring)) as database, database.read() as session:
        for name in PEOPLE[:3]:
            token = session.execute(sa.select(_USERS.c.totp_secret_enc).where(_USERS.c.username == name)).scalar_one()
            with pytest.raises(StoreError):
                keyring.field.open("users", "totp_secret_enc", name, token)
        assert session.connection().exec_driver_sql("PRAGMA secure_delete").scalar_one() == 1


@pytest.mark.parametrize("account", [0, 1, 99, 100, 149])
def test_a_kill_in_the_middle_leaves_the_old_schema_whole(
    old_file: Path, keys_folder: Path, keyring: Keyring, account: int
):
    """Killed while it seals an account anew; doing it again does it."""
    text = (
        "import itertools, os, signal, sys; from pathlib import Path\n"
        "from auth_server import data_keys; from auth_server.keyring import Keyring\n"
        "from auth_server.store import schema; from auth_server.store.database import upgrade_database\n"
        "count, plain = itertools.count(), data_keys.new_data_key\n"
        "def counted(site, name):\n"
        "    if next(count) == int(sys.argv[3]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return plain(site, name)\n"
        "data_keys.new_data_key = counted\n"
        "upgrade_database(Path(sys.argv[2]), Keyring.load(Path(sys.argv[1])))\n"
    )
    argv = [sys.executable, "-c", text, str(keys_folder), str(old_file), str(account)]
    assert subprocess.run(argv, check=False).returncode == -signal.SIGKILL
    assert revision(old_file, keyring) == "0001"
    with closing(Database(old_file, lambda: keyring.database_keys)) as database, database.read() as session:
        tables = session.connection().exec_driver_sql("SELECT name FROM sqlite_schema WHERE type = 'table'").scalars()
        assert "user_keys" not in set(tables)
        for row in session.execute(sa.select(_USERS)):
            for column, value in secret_of(row.username).items():
                assert keyring.field.open("users", column, row.username, getattr(row, column)) == value
    upgrade_database(old_file, keyring)
    open_database(old_file, keyring).close()


@pytest.fixture
def file_of_0002(old_file: Path, keyring: Keyring) -> Path:
    """The same people as the release before this one kept them, with an attempt that is open."""
    with closing(Database(old_file, lambda: keyring.database_keys)) as database, database.engine.begin() as connection:
        made = config(connection)
        made.attributes["cipher"] = keyring.field
        command.upgrade(made, "0002")
        connection.exec_driver_sql("INSERT INTO kiosks VALUES ('k', x'00', ?, 1, NULL, NULL, '[]')", (MAC,))
        times = ("2026-11-01T08:00:00.000000Z", "2026-11-01T08:01:00.000000Z")
        connection.exec_driver_sql("INSERT INTO attempts VALUES ('a', 'n', 'k', 'login', ?, ?, NULL)", times)
    return old_file


def everything(path: Path, keyring: Keyring) -> dict[str, list[tuple[object, ...]]]:
    """Every row of every table that the release before had, byte for byte."""
    with closing(Database(path, lambda: keyring.database_keys)) as database, database.read() as session:
        run = session.connection().exec_driver_sql
        tables = ("users", "user_keys", "user_devices", "access_logs", "site")
        found = {table: [tuple(row) for row in run(f"SELECT * FROM {table} ORDER BY 1")] for table in tables}  # noqa: S608
        found["kiosks"] = [tuple(row)[:7] for row in run("SELECT * FROM kiosks ORDER BY 1")]
        found["attempts"] = [tuple(row) for row in run("SELECT attempt_id, nonce, kiosk_id, used_at FROM attempts")]
        return found


def test_from_the_release_before_nothing_is_touched(file_of_0002: Path, keyring: Keyring):
    before = everything(file_of_0002, keyring)
    assert len(before["users"]) == len(PEOPLE) and len(before["attempts"]) == len(before["access_logs"]) == 1
    upgrade_database(file_of_0002, keyring)
    assert revision(file_of_0002, keyring) == "0005"
    assert everything(file_of_0002, keyring) == before
    with closing(open_database(file_of_0002, keyring)) as database:
        attempts = Attempts(database, lambda: "unused")
        assert attempts.consume(kiosk_id="k", nonce="n", action=Action.LOGIN, now=MADE).movements == ()
        assert Kiosks(database).add("gate-1", b"\x01" * 32, None).is_gateway
        assert [kiosk.mac_address for kiosk in Kiosks(database).list()] == [None, MAC]
        accounts = Accounts(database, keyring.field, "4auth")
        assert Exemptions(database).of(PEOPLE[7]) == frozenset()
        found = accounts.enrolment(PEOPLE[7])
        assert found.template.embedding == secret_of(PEOPLE[7])["face_template_enc"]
        assert found.face_png == secret_of(PEOPLE[7])["face_image_enc"]
        assert accounts.templates(PEOPLE[7]) == (Held("4auth", "enrolled", None),)
    assert page_findings(file_of_0002, keyring.database_key) == []


@pytest.mark.parametrize("step", range(5))
def test_a_kill_between_two_new_tables_leaves_the_release_before_whole(
    file_of_0002: Path, keys_folder: Path, keyring: Keyring, step: int
):
    before = everything(file_of_0002, keyring)
    text = (
        "import itertools, os, signal, sys; from pathlib import Path\n"
        "from alembic import op\n"
        "from auth_server.keyring import Keyring; from auth_server.store.database import upgrade_database\n"
        "count = itertools.count()\n"
        "def killing(plain):\n"
        "    def run(*args, **kwargs):\n"
        "        if next(count) == int(sys.argv[3]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "        return plain(*args, **kwargs)\n"
        "    return run\n"
        "op.create_table, op.create_index = killing(op.create_table), killing(op.create_index)\n"
        "upgrade_database(Path(sys.argv[2]), Keyring.load(Path(sys.argv[1])))\n"
    )
    argv = [sys.executable, "-c", text, str(keys_folder), str(file_of_0002), str(step)]
    assert subprocess.run(argv, check=False).returncode == -signal.SIGKILL
    assert revision(file_of_0002, keyring) == "0002"
    assert everything(file_of_0002, keyring) == before
    with closing(Database(file_of_0002, lambda: keyring.database_keys)) as database, database.read() as session:
        names = set(session.connection().exec_driver_sql("SELECT name FROM sqlite_schema").scalars())
        assert not names & {"exemptions", "face_templates", "snapshots", "gateway_names", "attempts_kept"}
    upgrade_database(file_of_0002, keyring)
    assert everything(file_of_0002, keyring) == before


def test_keys_that_do_not_open_the_secrets_change_nothing(old_file: Path, keyring: Keyring):
    """One damaged secret stops the upgrade, and says whose."""
    with closing(Database(old_file, lambda: keyring.database_keys)) as database, database.transaction() as session:
        session.execute(sa.update(_USERS).where(_USERS.c.username == PEOPLE[120]).values(face_image_enc=b"rubbish"))
    with pytest.raises(StoreError, match="face_image_enc of 'person 120'"):
        upgrade_database(old_file, keyring)
    assert revision(old_file, keyring) == "0001"


def test_a_newer_schema_is_refused_with_a_sentence_by_both(old_file: Path, keyring: Keyring):
    with closing(Database(old_file, lambda: keyring.database_keys)) as database, database.transaction() as session:
        session.connection().exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    before = old_file.read_bytes()
    for use in (open_database, upgrade_database):
        with pytest.raises(StoreError, match=r"schema 9999.*newer than this program's.*install the newer program"):
            use(old_file, keyring)
    assert old_file.read_bytes() == before


def test_a_downgrade_is_refused_with_a_sentence(old_file: Path, keyring: Keyring):
    upgrade_database(old_file, keyring)
    database = Database(old_file, lambda: keyring.database_keys)
    for older in ("0002", "0001"):
        with pytest.raises(NotImplementedError, match="restore the backup"), database.engine.begin() as connection:
            command.downgrade(config(connection), older)
    database.close()
    assert revision(old_file, keyring) == "0005"
    open_database(old_file, keyring).close()


def test_the_keys_of_another_site_are_refused_before_anything_is_changed(tmp_path: Path, old_file: Path):
    other = Keyring.create(tmp_path / "others")
    before = old_file.read_bytes()
    with pytest.raises(Exception, match=r"database\.key does not open"):
        upgrade_database(old_file, other)
    assert old_file.read_bytes() == before
    assert isinstance(other.field, FieldCipher)
