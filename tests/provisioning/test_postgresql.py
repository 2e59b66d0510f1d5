"""A site whose store is a PostgreSQL database: made, backed up, restored and looked after as one with a file."""

import subprocess
import sys
from contextlib import ExitStack, closing
from pathlib import Path
from subprocess import PIPE

import psycopg
import pytest
from sqlalchemy.event import listen

from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from auth_server.errors import StoreError
from auth_server.keyring import Keyring
from auth_server.settings_file import load_settings
from auth_server.store.copying import copy_store
from auth_server.store.database import create_database, open_database
from auth_server.store.in_use import OpenElsewhere
from auth_server.store.location import Postgresql
from auth_server.store.moving import note_changes, stop_noting
from provisioning.errors import Refused
from provisioning.location_url import POSTGRESQL_URL
from provisioning.restore import Restoring
from tests.postgres import IN_A_FILE
from tests.provisioning.conftest import Clock, Command

PASSWORD_IN_IT = "postgresql://fourauth:secret@localhost/fourauth"


def url(location: Postgresql) -> str:
    return f"postgresql://{location.user}@/{location.name}?host={location.hosts[0]}"


@pytest.fixture
def place(postgresql_server):
    made = postgresql_server.new()
    yield made
    postgresql_server.drop(made)


@pytest.fixture
def site(place, tmp_path):
    folder = tmp_path / "site"
    command = Command(folder / "server.toml", Clock(), {"pause": lambda _: None})
    made = command("site", "init", "--folder", folder, "--name", "head-office", "--postgresql", url(place))
    assert made.exit_code == 0, made.stderr
    return command


def test_nothing_of_it_lies_in_the_sites_folder(site, place):
    store = load_settings(site.settings).store
    assert store.database == place.model_copy(update={"connections": 16})
    assert not list((site.settings.parent / "store").iterdir())
    assert site.json("audit", "verify")["ok"] and site.json("keys", "check")["ok"]


def test_a_database_that_is_not_empty_is_left_as_it_is(site, place, tmp_path):
    again = site("site", "init", "--folder", tmp_path / "again", "--name", "again", "--postgresql", url(place))
    assert again.exit_code == 1 and "has tables already" in again.stderr
    assert not (tmp_path / "again").exists()
    assert site.json("audit", "verify")["ok"]


def test_another_sites_keys_are_refused(site, place, tmp_path):
    Keyring.create(tmp_path / "keys")
    settings = site.settings.read_text().replace(str(site.settings.parent / "keys"), str(tmp_path / "keys"))
    site.settings.write_text(settings)
    result = site("user", "list")
    assert result.exit_code == 78 and "field.keys does not fit" in result.stderr


def test_a_backup_is_made_proved_and_put_back(site, new_key, tmp_path):
    site.json("kiosk", "add", "lobby-1", "--public-key", new_key(), "--mac", "b8:27:eb:12:34:56")
    site.json("user", "invite", "ann", "--kiosk", "lobby-1")
    (tmp_path / "backups").mkdir()
    made = Path(site.json("backup", "make", "--to", tmp_path / "backups")["file"])
    assert site.json("backup", "check", made)["ok"]
    site.json("user", "uninvite", "ann", "--yes")
    site.clock.pass_(minutes=1)
    done = site.json("restore", made, "--yes")
    assert done["given_up"]["rows"] > 0
    kept = Path(done["kept"])
    assert kept.parent == load_settings(site.settings).store.checkpoints.parent
    open_database(kept, Keyring.load(site.settings.parent / "keys")).close()
    assert site("audit", "accept-restore", "--yes").exit_code == 0
    assert [one["username"] for one in site.json("user", "invites")["invites"]] == ["ann"]
    assert site.json("audit", "verify")["ok"]


SERVER = """
import sys
from pathlib import Path
from auth_server.keyring import Keyring
from auth_server.settings_file import load_settings
from auth_server.store.database import open_database

store = load_settings(Path(sys.argv[1])).store
database = open_database(store.database, Keyring.load(store.keys))
print("open", flush=True)
sys.stdin.read()
"""


def test_nothing_is_put_back_while_a_server_is_connected(site, tmp_path):
    (tmp_path / "backups").mkdir()
    made = site.json("backup", "make", "--to", tmp_path / "backups")["file"]
    command = [sys.executable, "-c", SERVER, str(site.settings)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdin is not None and server.stdout is not None
        assert server.stdout.readline() == "open\n"
        result = site("restore", made, "--yes")
        server.stdin.close()
    assert result.exit_code == 1 and "open in another process" in result.stderr


@pytest.fixture
def made(site, tmp_path):
    """A backup of the site, and a row since then."""
    (tmp_path / "backups").mkdir()
    file = Path(site.json("backup", "make", "--to", tmp_path / "backups")["file"])
    site.clock.pass_(minutes=1)
    return file


def entry():
    return AuditEntry("login", True, "granted", "ann", None, None, {})


@pytest.fixture
def opened(site, place):
    with closing(open_database(place, Keyring.load(site.settings.parent / "keys"))) as database:
        yield database


def test_a_server_that_starts_while_the_question_stands_keeps_its_rows(site, opened, made):
    with ExitStack() as stack:

        def agree(_question):
            command = [sys.executable, "-c", SERVER, str(site.settings)]
            server = stack.enter_context(subprocess.Popen(command, stdin=PIPE, stdout=PIPE, text=True))
            assert server.stdout.readline() == "open\n"
            stack.callback(server.stdin.close)
            AuditLog(opened).record(entry(), site.clock())

        with pytest.raises(OpenElsewhere):
            Restoring(site.desk(), made, agree).run()
    assert [row["action"] for row in site.audit_rows()[-2:]] == ["login", "admin.restore"]
    assert not site.audit_rows()[-1]["success"]


def test_rows_that_nobody_was_told_of_are_not_given_up(site, opened, made):
    agree = lambda _question: AuditLog(opened).record(entry(), site.clock())  # noqa: E731
    with pytest.raises(Refused, match="1 rows more than a moment ago"):
        Restoring(site.desk(), made, agree).run()
    assert "login" in [row["action"] for row in site.audit_rows()]


@pytest.mark.parametrize("at", ["recorded", "aside"])
def test_nobody_writes_from_the_last_look_to_the_end(site, opened, made, at):
    """A row that was acknowledged would be in neither what is kept nor what is told to be given up."""
    refused = []

    def step(name):
        if name == at:
            with pytest.raises(StoreError, match="failed"):
                AuditLog(opened).record(entry(), site.clock())
            refused.append(name)

    done = Restoring(site.desk(), made, lambda _: None, step=step).run()
    assert refused == [at]
    with closing(open_database(done.kept, Keyring.load(site.settings.parent / "keys"))) as kept:
        assert AuditLog(kept).head().sequence == done.loss.given_up_to
    AuditLog(opened).record(entry(), site.clock())


def test_a_restore_that_fails_leaves_every_row(site, opened, made):
    before = AuditLog(opened).head()
    with psycopg.connect(**opened.location.parameters) as connection:
        connection.execute(
            "CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no room'; END $$"
        )
        connection.execute("CREATE TRIGGER no_room BEFORE INSERT ON access_logs EXECUTE FUNCTION no_room()")
    with pytest.raises(StoreError, match="no room"):
        Restoring(site.desk(), made, lambda _: None).run()
    assert AuditLog(opened).head() == before


def test_rows_are_replaced_without_going_through_them(site, opened, made):
    """PostgreSQL takes a minute to delete ten million rows one by one, and is not waited for so long."""
    with psycopg.connect(**opened.location.parameters) as connection:
        connection.execute(
            "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'slow'; END $$"
        )
        connection.execute("CREATE TRIGGER slow BEFORE DELETE ON access_logs FOR EACH ROW EXECUTE FUNCTION slow()")
    assert site.json("restore", made, "--yes")["given_up"]["rows"] > 0


def test_a_reader_does_not_wait_for_the_commit_of_the_copy(site, opened, tmp_path):
    """The server ends a transaction that idles, and a COMMIT of some GB takes longer than it lets one."""
    keyring, readers = Keyring.load(site.settings.parent / "keys"), []
    with closing(create_database(tmp_path / "copy.db", keyring)) as copy:
        listen(copy.engine, "commit", lambda _: readers.append(opened.engine.pool.checkedout()))
        copy_store(opened, copy, lambda _: None)
    assert readers == [0]


@IN_A_FILE
def test_a_backup_made_in_the_middle_of_a_move_is_restored_without_what_the_move_notes(with_ann, tmp_path):
    store = load_settings(with_ann.settings).store
    keyring = Keyring.load(store.keys)
    with closing(open_database(store.database, keyring)) as database, database.transaction() as session:
        note_changes(session, "token")
    (tmp_path / "backups").mkdir()
    made = with_ann.json("backup", "make", "--to", tmp_path / "backups")["file"]
    with_ann.json("restore", made, "--yes")
    with closing(open_database(store.database, keyring)) as database, database.transaction() as session:
        assert not stop_noting(session)


def test_every_key_is_rotated(site):
    for kind in ("database", "field", "audit", "assertion"):
        site.json("keys", "add", kind)
        site.json("keys", "rotate", kind, "--yes")
    assert site.json("keys", "check")["ok"] and site.json("audit", "verify")["ok"]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (PASSWORD_IN_IT, "a password in an address can be seen by all"),
        ("mysql://db/fourauth", "is no address of a database"),
        ("postgresql://db.example/fourauth", "TLS is required"),
        ("postgresql://localhost/fourauth?options=-cfsync", "options is not taken"),
        ("postgresql://localhost:x/fourauth", "hosts or ports"),
        ("postgresql://u:secret@localhost/fourauth?sslrootcrt=/x", "it is misspelt"),
        ("postgresql://u:secret@[localhost/fourauth", "it is misspelt"),
        ("postgresq://u:secret@localhost/fourauth", "is no address of a database"),
        ("postgresql://localhost,localhost/fourauth?port=1,2,3", "3 ports for 2 hosts: name one port, or one for each"),
        ("postgresql://localhost:99999/fourauth", "99999 is no port: name one from 1 to 65535"),
        ("postgresql://localhost:0/fourauth", "0 is no port"),
    ],
)
def test_an_address_that_cannot_be_is_said_to_be_so(site, tmp_path, address, said):
    result = site("site", "init", "--folder", tmp_path / "new", "--name", "new", "--postgresql", address)
    assert result.exit_code == 2 and said in result.stderr, result.stderr
    assert "secret" not in result.stderr


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("postgresql://u@/db?host=/var/run/postgresql", {"hosts": ("/var/run/postgresql",)}),
        ("postgresql://u@/db?host=/var/run/postgresql&port=5433", {"hosts": ("/var/run/postgresql:5433",)}),
        ("postgresql://u@localhost,[::1]/db?port=5433", {"hosts": ("localhost:5433", "[::1]:5433")}),
        ("postgresql://u@localhost:1,127.0.0.1:65535/db", {"hosts": ("localhost:1", "127.0.0.1:65535")}),
        ("postgresql://u@db-1/db?sslrootcert=/etc/ca.pem", {"root_certificate": Path("/etc/ca.pem")}),
        ("postgresql://u@db-1/db?sslrootcert=ca.pem", {"root_certificate": Path.cwd() / "ca.pem"}),
    ],
)
def test_an_address_is_read_as_libpq_reads_it(address, expected):
    found = POSTGRESQL_URL.convert(address, None, None)
    assert {name: getattr(found, name) for name in expected} == expected
