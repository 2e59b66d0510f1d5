"""Keys are added, taken into use and retired; nothing is lost by it, whenever the process ends."""

import itertools
import os
import shutil
import signal
import traceback
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet
from sqlalchemy import event, select, update
from sqlalchemy.engine import Engine as SqlEngine

import auth_server.resealing
from auth_server.accounts import Accounts, NewAccount
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.domain import Template
from auth_server.errors import StoreError
from auth_server.key_files import changing_keys
from auth_server.key_forms import FORMS, Kind, State
from auth_server.keyring import FieldCipher, Keyring, read_keys
from auth_server.servers import Servers
from auth_server.store.models import CHANGES, KIOSKS, USER_KEYS, USERS
from auth_server.store.rekey import opens_now, pages_of_another_key
from provisioning.desk import Site
from tests.postgres import IN_A_FILE

KINDS = list(FORMS)
every_kind = pytest.mark.parametrize("kind", KINDS)
NAMES = [f"person {number}" for number in range(5)]
PAYLOAD = b'{"totp_secret": "JBSWY3DPEHPK3PXP"}'


def secret_of(name: str) -> str:
    return f"JBSWY3DPEHPK3PXP{name}"


def picture_of(name: str) -> bytes:
    return f"the picture of {name}".encode() * 30


@dataclass
class Keys:
    """A site with people and a pending change, and what a test asks of its keys."""

    command: Callable

    def __call__(self, *arguments: str, typed: str | None = None):
        return self.command("keys", *arguments, typed=typed)

    @property
    def folder(self) -> Path:
        return self.command.settings.parent / "keys"

    @property
    def database(self) -> Path:
        return self.command.settings.parent / "store" / "4auth.db"

    def of(self, kind: Kind):
        """The keys of a kind, as their file has them."""
        return read_keys(self.folder / FORMS[kind].file, FORMS[kind])

    def states(self, kind: Kind) -> list[State]:
        return [key.state for key in self.of(kind)]

    def done(self, *arguments: str):
        """Run a command that succeeds."""
        result = self(*arguments)
        assert result.exit_code == 0, result.stderr
        return result

    def rows(self, verb: str) -> list[tuple[str, str | None]]:
        """The audit rows of an act: their outcome and stage."""
        rows = [row for row in self.command.audit_rows() if row["action"] == f"admin.keys.{verb}"]
        return [(row["reason"], row["detail"].get("stage")) for row in rows]

    @contextmanager
    def site(self):
        with self.command.desk().site() as opened:
            yield opened

    def proved(self) -> None:
        """Every secret is what it was, `keys check` says so, and the log is whole."""
        with self.site() as opened:
            accounts = Accounts(opened.database, opened.keyring.field, "4auth")
            for name in NAMES:
                found = accounts.enrolment(name)
                assert (found.is_decoy, found.totp_secret) == (False, secret_of(name))
                assert accounts.face_picture(name) == picture_of(name)
            assert payload(opened) == PAYLOAD
            report = checkpoints(opened).verify(AuditLog(opened.database).chain())
            assert report.ok, report.findings
        checked = self("check")
        assert checked.exit_code == 0, checked.stderr
        assert "every secret opens" in checked.stdout


def payload(opened: Site) -> bytes:
    with opened.database.read() as session:
        (row,) = session.execute(select(CHANGES.c.change_id, CHANGES.c.payload_enc)).all()
    return opened.keyring.field.open("changes", "payload_enc", row.change_id, row.payload_enc)


def checkpoints(opened: Site) -> Checkpoints:
    return Checkpoints(opened.settings.store.checkpoints, opened.keyring.audit)


def add_account(opened: Site, name: str) -> None:
    account = NewAccount(
        username=name,
        password_hash=b"$2b$12$no-password-fits",
        totp_secret=secret_of(name),
        totp_last_step=0,
        template=Template("4auth", b"\0" * 2048),
        face_png=picture_of(name),
        mac_addresses=frozenset(),
    )
    Accounts(opened.database, opened.keyring.field, "4auth").add(account, datetime(2026, 11, 22, tzinfo=UTC))


def add_change(opened: Site) -> None:
    values = dict.fromkeys(("requested_at", "expires_at"), datetime(2026, 11, 22, tzinfo=UTC))
    values |= {"username": NAMES[0], "change_id": "c" * 22, "action": "recover_totp", "kiosk_id": "lobby-1"}
    values |= {"is_code_needed": True, "tries_left": 5, "is_approval_needed": False, "cooling_off_s": 0}
    token = opened.keyring.field.seal("changes", "payload_enc", values["change_id"], PAYLOAD)
    with opened.database.transaction() as session:
        session.execute(sa.insert(CHANGES).values(**values, payload_enc=token))


@pytest.fixture
def keys(command) -> Keys:
    command.parts["pause"] = lambda seconds: command.clock.pass_(seconds=seconds)
    made = Keys(command)
    with made.site() as opened:
        for name in NAMES:
            add_account(opened, name)
        add_change(opened)
    return made


class TestLife:
    """next, in use, old, gone."""

    @every_kind
    def test_a_key_is_added_taken_into_use_and_retired(self, keys: Keys, kind: Kind):
        (first,) = keys.of(kind)
        added = keys.command.json("keys", "add", kind.value)["key"]
        assert (added["state"], keys.states(kind)) == ("next", [State.IN_USE, State.NEXT])
        keys.proved()
        keys.command.clock.pass_(minutes=2)
        assert keys.command.json("keys", "rotate", kind.value)["key"]["id"] == added["id"]
        assert [key.id for key in keys.of(kind)] == [added["id"], first.id]
        assert keys.states(kind) == [State.IN_USE, State.OLD]
        keys.proved()
        keys.command.clock.pass_(minutes=2)
        retired = keys.command.json("keys", "retire", kind.value, "--yes")["retired"]
        assert [key["id"] for key in retired] == [first.id]
        assert [key.id for key in keys.of(kind)] == [added["id"]]
        keys.proved()
        assert sorted(path.name for path in keys.folder.iterdir() if not path.name.startswith(".")) == sorted(
            [*(form.file for form in FORMS.values()), *(["audit.pub"] if kind is Kind.AUDIT else [])]
        )

    @every_kind
    def test_without_an_added_key_rotating_makes_one(self, keys: Keys, kind: Kind):
        for _ in range(3):
            keys.done("rotate", kind.value)
        assert keys.states(kind) == [State.IN_USE, State.OLD, State.OLD, State.OLD]
        keys.proved()
        keys.command.clock.pass_(minutes=3)
        keys.done("retire", kind.value, "--yes")
        assert keys.states(kind) == [State.IN_USE]
        keys.proved()

    @every_kind
    def test_each_act_has_a_row_when_it_begins_and_when_it_ends(self, keys: Keys, kind: Kind):
        keys.done("rotate", kind.value)
        assert keys.rows("rotate") == [("done", "begun"), ("done", "ended")]
        keys.command.clock.pass_(minutes=3)
        keys.done("retire", kind.value, "--yes")
        assert keys.rows("retire") == [("done", "begun"), ("done", "ended")]
        row = keys.command.audit_rows()[-1]
        assert row["detail"]["keys"] and row["detail"]["kind"] == kind.value

    @every_kind
    def test_no_key_is_printed_or_written_to_the_log(self, keys: Keys, kind: Kind):
        told = keys.done("rotate", kind.value)
        keys.command.clock.pass_(minutes=3)
        secrets = [FORMS[kind].spell(key.material) for key in keys.of(kind)]
        words = told.stdout + told.stderr + keys.done("retire", kind.value, "--yes").stdout + keys.done("list").stdout
        words += str(keys.command.audit_rows())
        lines = [line for secret in secrets for line in secret.decode().splitlines() if not line.startswith("-----")]
        assert lines and not [line for line in lines if line in words]


class TestRefused:
    """What would leave somebody without a key is refused, with a sentence and a row."""

    @every_kind
    def test_a_second_key_is_not_added(self, keys: Keys, kind: Kind):
        keys.done("add", kind.value)
        refused = keys("add", kind.value)
        assert refused.exit_code == 1
        assert "is waiting already" in refused.stderr
        assert keys.rows("add")[-1][0] == "refused"

    @every_kind
    def test_a_key_in_use_is_not_retired(self, keys: Keys, kind: Kind):
        refused = keys("retire", kind.value, "--yes")
        assert refused.exit_code == 1
        assert f"no old {kind.value} key" in refused.stderr
        assert keys.rows("retire") == [("refused", None)]

    @pytest.mark.parametrize(("kind", "rest_s"), [(Kind.FIELD, 60), (Kind.AUDIT, 60), (Kind.ASSERTION, 120)])
    def test_an_old_key_rests_before_it_is_retired(self, keys: Keys, kind: Kind, rest_s: int):
        keys.done("rotate", kind.value)
        keys.command.clock.pass_(seconds=rest_s - 1)
        refused = keys("retire", kind.value, "--yes")
        assert refused.exit_code == 1
        assert "try again in 1 s" in refused.stderr
        keys.command.clock.pass_(seconds=1)
        keys.done("retire", kind.value, "--yes")

    def test_a_field_key_that_a_value_needs_is_not_retired(self, keys: Keys):
        """As when somebody sealed with it after the rotation: it is counted again where nobody can write."""
        before = keys.of(Kind.FIELD)[0].material
        keys.done("rotate", "field")
        token = FieldCipher([before]).seal("user_keys", "data_key_enc", NAMES[3], Fernet.generate_key())
        with keys.site() as opened, opened.database.transaction() as session:
            session.execute(update(USER_KEYS).where(USER_KEYS.c.username == NAMES[3]).values(data_key_enc=token))
        keys.command.clock.pass_(minutes=2)
        refused = keys("retire", "field", "--yes")
        assert refused.exit_code == 1
        assert "1 values still need an old field key" in refused.stderr
        assert keys.states(Kind.FIELD) == [State.IN_USE, State.OLD]

    @IN_A_FILE
    def test_a_database_key_that_opens_it_is_not_retired(self, keys: Keys):
        """As when an older copy of the file was put back under a newer key file."""
        shutil.copy(keys.database, keys.database.with_name("older"))
        keys.done("rotate", "database")
        for path in keys.database.parent.glob("4auth.db*"):
            path.unlink()
        keys.database.with_name("older").rename(keys.database)
        with keys.site() as opened:
            opened.settings.store.checkpoints.unlink()
        refused = keys("retire", "database", "--yes")
        assert refused.exit_code == 1
        assert "is needed: it opens the database" in refused.stderr

    @every_kind
    def test_two_runs_at_once(self, keys: Keys, kind: Kind):
        with changing_keys(keys.folder):
            refused = keys("rotate", kind.value)
        assert "another command is changing the keys" in refused.stderr
        assert keys.states(kind) == [State.IN_USE]

    def test_retiring_asks_first_and_says_what_of_older_backups(self, keys: Keys):
        keys.done("rotate", "database")
        refused = keys("retire", "database", typed="n\n")
        assert refused.exit_code == 1
        assert "Backups made with database key" in refused.stderr
        assert keys.states(Kind.DATABASE) == [State.IN_USE, State.OLD]

    @IN_A_FILE
    def test_a_disk_without_room_for_a_second_copy(self, keys: Keys, monkeypatch: pytest.MonkeyPatch):
        usage = shutil.disk_usage(keys.database.parent)._replace(free=10_000)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
        refused = keys("rotate", "database")
        assert refused.exit_code == 1
        assert "no room" in refused.stderr
        assert keys.states(Kind.DATABASE) == [State.IN_USE, State.NEXT]

    @IN_A_FILE
    def test_encrypting_a_big_database_asks_first(self, keys: Keys, monkeypatch: pytest.MonkeyPatch):
        monkeypatch.setattr("auth_server.store.rekey._BYTES_A_SECOND", 10_000)
        refused = keys("rotate", "database", typed="n\n")
        assert refused.exit_code == 1
        assert "MB anew takes up to" in refused.stderr
        assert keys.states(Kind.DATABASE) == [State.IN_USE]
        keys.done("rotate", "database", "--yes")

    @every_kind
    def test_a_folder_that_cannot_be_written_to(self, keys: Keys, kind: Kind, monkeypatch: pytest.MonkeyPatch):
        """As systemd's credentials are: the keys must be changed where they come from."""

        def read_only(*_: object) -> None:
            raise OSError(30, "Read-only file system")

        with monkeypatch.context() as patch:
            patch.setattr(Path, "rename", read_only)
            refused = keys("rotate", kind.value)
        assert refused.exit_code == 78
        assert "cannot be written: Read-only file system" in refused.stderr
        keys.done("rotate", kind.value)
        keys.proved()


class TestField:
    """An old copy of the database and the old field key open nothing of the new one."""

    def test_every_account_has_a_new_data_key_and_every_secret_is_sealed_anew(self, keys: Keys):
        before = tokens(keys)
        old_keys = data_keys(keys)
        keys.done("rotate", "field")
        after = tokens(keys)
        assert before.keys() == after.keys() and len(after) == 4 * len(NAMES) + 2
        assert not set(before.values()) & set(after.values())
        stolen = {name: FieldCipher([key]) for name, key in old_keys.items()}
        for (table, column, name), token in after.items():
            if table == "users":
                with pytest.raises(StoreError):
                    stolen[name].open(table, column, name, token)
        assert not set(old_keys.values()) & set(data_keys(keys).values())

    def test_an_ended_rotation_needs_the_key_in_use_alone(self, keys: Keys):
        keys.done("rotate", "field")
        alone = FieldCipher([keys.of(Kind.FIELD)[0].material])
        for (table, column, row), token in tokens(keys).items():
            if table != "users":
                assert alone.open(table, column, row, token)

    def test_it_goes_on_where_it_was_and_does_nothing_twice(self, keys: Keys, monkeypatch: pytest.MonkeyPatch):
        """Interrupted after two accounts: the next run leaves those two as they are."""
        monkeypatch.setattr(auth_server.resealing, "BATCH", 1)
        turns = itertools.count()

        def interrupt(_seconds: float) -> None:
            if next(turns) == 1:
                raise StoreError("the power went")

        broken = replace(keys.command, parts={"pause": interrupt})
        assert broken("keys", "rotate", "field").exit_code == 1
        half = tokens(keys)
        keys.proved()
        told = keys.done("rotate", "field")
        assert "was interrupted; it is ended now" in told.stdout
        after = tokens(keys)
        unchanged = {name for (table, _, name), token in half.items() if table == "users" and token in after.values()}
        assert unchanged == set(NAMES[:2])
        assert keys.states(Kind.FIELD) == [State.IN_USE, State.OLD], "and no third key was made"
        keys.proved()

    def test_one_damaged_value_keeps_no_other_from_being_sealed_anew(self, keys: Keys):
        with keys.site() as opened, opened.database.transaction() as session:
            session.execute(update(USERS).where(USERS.c.username == NAMES[2]).values(face_image_enc=b"rubbish"))
        refused = keys("rotate", "field")
        assert refused.exit_code == 1
        assert "1 values could not be opened" in refused.stderr
        assert f"users.face_image_enc of '{NAMES[2]}'" in refused.stderr
        assert keys.rows("rotate") == [("done", "begun"), ("refused", None)]
        keys.command.clock.pass_(minutes=2)
        assert "has not ended" in keys("retire", "field", "--yes").stderr
        with keys.site() as opened:
            assert Accounts(opened.database, opened.keyring.field, "4auth").delete(NAMES[2])
        keys.done("rotate", "field")
        keys.command.clock.pass_(minutes=2)
        keys.done("retire", "field", "--yes")

    def test_what_is_added_between_is_sealed_by_the_key_in_use(self, keys: Keys):
        keys.done("rotate", "field")
        with keys.site() as opened:
            add_account(opened, "later")
        keys.command.clock.pass_(minutes=2)
        keys.done("retire", "field", "--yes")
        with keys.site() as opened:
            assert Accounts(opened.database, opened.keyring.field, "4auth").face_picture("later") == picture_of("later")


class TestOthers:
    """The other kinds have their own proofs."""

    @IN_A_FILE
    def test_no_page_of_the_database_is_left_under_the_old_key(self, keys: Keys):
        before = keys.of(Kind.DATABASE)[0].material
        keys.done("rotate", "database")
        keys.done("retire", "database", "--yes")
        present = keys.of(Kind.DATABASE)[0].material
        assert (opens_now(keys.database, before), opens_now(keys.database, present)) == (False, True)
        assert pages_of_another_key(keys.database, present) == []

    @IN_A_FILE
    def test_a_database_key_whose_pages_still_lie_about_is_not_retired(
        self, keys: Keys, monkeypatch: pytest.MonkeyPatch
    ):
        """Somebody reads on in the state from before, so the old pages cannot be overwritten yet."""
        monkeypatch.setattr("auth_server.store.rekey._TURN_TIMEOUT_MS", 1)
        with keys.site() as reading, reading.database.read():
            keys.done("rotate", "database")
            refused = keys("retire", "database", "--yes")
        assert refused.exit_code == 1
        assert "not every page" in refused.stderr
        assert keys.states(Kind.DATABASE) == [State.IN_USE, State.OLD]
        keys.done("retire", "database", "--yes")
        keys.proved()

    def test_a_retired_audit_key_leaves_its_public_half_and_signs_nothing(self, keys: Keys):
        (first,) = keys.of(Kind.AUDIT)
        keys.done("rotate", "audit")
        keys.command.clock.pass_(minutes=2)
        keys.done("retire", "audit", "--yes")
        ring = Keyring.load(keys.folder)
        assert list(ring.audit.public) == [ring.audit.keys[0].id, first.id]
        assert b"PRIVATE" not in (keys.folder / "audit.pub").read_bytes()
        told = keys.command.json("keys", "list")["keys"]
        assert [key["state"] for key in told if key["kind"] == "audit"] == ["in-use", "old"]

    def test_a_foreign_audit_key_stays_refused_after_rotations(self, keys: Keys, tmp_path: Path):
        keys.done("rotate", "audit")
        Keyring.create(tmp_path / "others")
        shutil.copy(tmp_path / "others" / "audit.pem", keys.folder / "audit.pem")
        refused = keys("list")
        assert refused.exit_code == 78
        assert "audit.pem does not fit" in refused.stderr

    @IN_A_FILE
    def test_an_older_database_opens_with_the_audit_key_that_followed(self, keys: Keys):
        """A restored backup names the key of its time; its successor's file says that this one was ours."""
        shutil.copy(keys.database, keys.database.with_name("older"))
        keys.done("rotate", "audit")
        keys.command.clock.pass_(minutes=2)
        keys.done("retire", "audit", "--yes")
        keys.database.with_name("older").rename(keys.database)
        with keys.site():
            pass
        checked = keys("check")
        assert "NOTE: the database names audit key" in checked.stderr

    def test_a_new_assertion_key_waits_until_verifiers_know_it(self, keys: Keys):
        began = keys.command.clock()
        told = keys.done("rotate", "assertion")
        assert "Waiting 60 s" in told.stdout
        assert (keys.command.clock() - began).total_seconds() == 60
        began = keys.command.clock()
        keys.done("add", "assertion")
        keys.command.clock.pass_(seconds=45)
        assert "Waiting 15 s" in keys.done("rotate", "assertion").stdout


class TestList:
    @IN_A_FILE
    def test_it_says_what_each_key_holds(self, keys: Keys):
        def holds() -> dict[tuple[str, str], str]:
            return {(key["kind"], key["state"]): key["holds"] for key in keys.command.json("keys", "list")["keys"]}

        before = holds()
        assert before["field", "in-use"] == f"{len(NAMES) + 2} values"
        assert before["database", "in-use"] == "the database"
        assert before["audit", "in-use"].endswith("the canary")
        for kind in KINDS:
            keys.done("add", kind.value)
        assert holds()["field", "next"] == holds()["database", "next"] == "nothing yet"
        for kind in KINDS:
            keys.done("rotate", kind.value)
        after = holds()
        assert after["field", "in-use"] == f"{len(NAMES) + 2} values"
        assert after["field", "old"] == after["database", "old"] == "nothing here; older backups"
        assert "canary" in after["audit", "in-use"] and "canary" not in after["audit", "old"]
        assert after["assertion", "old"].startswith("published until")
        keys.command.clock.pass_(minutes=3)
        assert holds()["assertion", "old"] == "published, not needed"


class TestCheck:
    """Whatever does not open is named."""

    def harmed(self, keys: Keys, statement: sa.Update | sa.Delete) -> str:
        with keys.site() as opened, opened.database.transaction() as session:
            assert session.connection().execute(statement).rowcount
        checked = keys("check")
        assert checked.exit_code == 1
        assert "every secret opens" not in checked.stdout
        found = keys("check", "--json")
        assert found.exit_code == 1
        return checked.stderr

    @pytest.mark.parametrize("column", ["totp_secret_enc", "face_template_enc", "face_image_enc"])
    def test_a_secret_of_an_account(self, keys: Keys, column: str):
        told = self.harmed(keys, update(USERS).where(USERS.c.username == NAMES[1]).values({column: b"rubbish"}))
        assert f"FOUND: users.{column} of '{NAMES[1]}'" in told

    def test_a_data_key_of_an_account(self, keys: Keys):
        told = self.harmed(keys, update(USER_KEYS).where(USER_KEYS.c.username == NAMES[1]).values(data_key_enc=b"x"))
        assert f"FOUND: user_keys.data_key_enc of '{NAMES[1]}'" in told
        assert NAMES[2] not in told

    def test_an_account_without_a_data_key(self, keys: Keys):
        told = self.harmed(keys, sa.delete(USER_KEYS).where(USER_KEYS.c.username == NAMES[4]))
        assert f"account '{NAMES[4]}' has no data key" in told

    def test_a_pending_change(self, keys: Keys):
        told = self.harmed(keys, update(CHANGES).values(payload_enc=b"rubbish"))
        assert f"the pending change of '{NAMES[0]}' does not open" in told

    def test_a_device_key(self, keys: Keys, new_key):
        added = keys.command("kiosk", "add", "lobby-1", "--public-key", new_key(), "--mac", "b8:27:eb:12:34:56")
        assert added.exit_code == 0
        keys.proved()
        told = self.harmed(keys, update(KIOSKS).values(public_key=b"short"))
        assert "the device key of kiosk lobby-1" in told

    def test_a_certificate_of_another_key(self, keys: Keys, tmp_path: Path):
        other = tmp_path / "other"
        assert keys.command("site", "init", "--folder", other, "--name", "other").exit_code == 0
        shutil.copy(other / "tls" / "server.crt", keys.command.settings.parent / "tls" / "server.crt")
        checked = keys("check")
        assert checked.exit_code == 1
        assert "is of another key than" in checked.stderr

    def test_checkpoints_of_a_stranger(self, keys: Keys, tmp_path: Path):
        other = tmp_path / "other"
        assert keys.command("site", "init", "--folder", other, "--name", "other").exit_code == 0
        path = keys.command.settings.parent / "checkpoints" / "audit.jsonl"
        with path.open("ab") as file:
            file.write((other / "checkpoints" / "audit.jsonl").read_bytes())
        checked = keys("check")
        assert checked.exit_code == 1
        assert "1 checkpoints are signed by audit key" in checked.stderr

    def test_a_rotation_that_has_not_ended_is_a_note(self, keys: Keys):
        kill_at(keys, ("rotate", "field"), 8)
        checked = keys("check")
        assert checked.exit_code == 0
        assert "NOTE: the rotation of the field key has not ended" in checked.stderr


class Durable:
    """Counts what is brought to the disk: a file's bytes, a name, a commit. At the n-th the process is killed."""

    def __init__(self, last: int) -> None:
        self._left = last
        self._fsync, self._rename = os.fsync, Path.rename

    def hook(self) -> None:
        os.fsync = self._after(self._fsync)
        Path.rename = self._after(self._rename)  # type: ignore[method-assign]
        event.listen(SqlEngine, "commit", lambda _: self._count())

    def _after(self, call):
        def counted(*args, **kwargs):
            result = call(*args, **kwargs)
            self._count()
            return result

        return counted

    def _count(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_at(keys: Keys, arguments: tuple[str, ...], step: int) -> bool:
    """Run a command in a child that is killed at the n-th thing it brings to the disk; False when it ended before."""
    child = os.fork()
    if child == 0:
        code = 99
        try:
            Durable(step).hook()
            code = keys(*arguments, "--yes" if arguments[0] == "retire" else "--json").exit_code
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        assert os.WEXITSTATUS(status) == 0
        return False
    assert os.WTERMSIG(status) == signal.SIGKILL
    return True


@IN_A_FILE
@pytest.mark.slow
@every_kind
@pytest.mark.parametrize("verb", ["rotate", "retire"])
def test_a_kill_after_any_durable_step_loses_nothing_and_running_it_again_ends_it(
    keys: Keys, kind: Kind, verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(auth_server.resealing, "BATCH", 2)
    if verb == "retire":
        keys.done("rotate", kind.value)
        keys.command.clock.pass_(minutes=3)
    home = keys.command.settings.parent
    shutil.copytree(home, tmp_path / "before")
    counts: list[int] = []
    for step in itertools.count(1):
        shutil.rmtree(home)
        shutil.copytree(tmp_path / "before", home)
        if not kill_at(keys, (verb, kind.value), step):
            break
        keys.proved()
        again = keys(verb, kind.value, *(["--yes"] if verb == "retire" else []))
        is_over = verb == "retire" and f"no old {kind.value} key" in again.stderr
        assert again.exit_code == 0 or is_over, f"step {step}: {again.stderr}"
        assert State.NEXT not in keys.states(kind)
        counts.append(len(keys.states(kind)))
        assert not list(keys.folder.glob(".*.draft"))
        assert all(path.stat().st_mode & 0o077 == 0 for path in keys.folder.iterdir())
        keys.proved()
        if kind is Kind.AUDIT and verb == "retire":
            assert len(Keyring.load(keys.folder).audit.public) == 2, "what the old key signed must stay provable"
        keys.command.clock.pass_(minutes=3)
        if verb == "rotate":
            keys.done("retire", kind.value, "--yes")
            keys.proved()
    assert len(counts) >= {"rotate": 12, "retire": 5}[verb], "too few steps were seen to mean anything"
    # Only a rotation that was over, but for its checkpoint, is followed by another one when it is run again.
    assert set(counts[:-4]) == ({2} if verb == "rotate" else {1}), counts


def tokens(keys: Keys) -> dict[tuple[str, str, str], bytes]:
    """Every sealed value by its place."""
    found: dict[tuple[str, str, str], bytes] = {}
    with keys.site() as opened, opened.database.read() as session:
        for row in session.execute(select(USERS)):
            for column in ("totp_secret_enc", "face_template_enc", "face_image_enc"):
                found["users", column, row.username] = getattr(row, column)
        for row in session.execute(select(USER_KEYS)):
            found["user_keys", "data_key_enc", row.username] = row.data_key_enc
        for row in session.execute(select(CHANGES)):
            found["changes", "payload_enc", row.change_id] = row.payload_enc
        found["site", "value", "canary"] = session.execute(sa.text("SELECT value FROM site")).scalar_one()
    return found


def data_keys(keys: Keys) -> dict[str, bytes]:
    """Each account's data key, opened."""
    with keys.site() as opened:
        cipher = opened.keyring.field
        return {
            name: cipher.open("user_keys", "data_key_enc", name, token)
            for (table, _, name), token in tokens(keys).items()
            if table == "user_keys"
        }


@dataclass
class OtherServer:
    """A server of the same database on another host, with copies of the key files."""

    keys: Keys
    folder: Path

    @property
    def keyring(self) -> Keyring:
        return Keyring.load(self.folder)

    def copy_keys(self) -> None:
        shutil.copytree(self.keys.folder, self.folder, dirs_exist_ok=True)

    def note(self) -> None:
        with self.keys.site() as opened:
            Servers(opened.database, self.keyring, "auth-2").note(self.keys.command.clock())

    def seal(self, name: str) -> None:
        """Enrol somebody."""
        with self.keys.site() as opened:
            add_account(replace(opened, keyring=self.keyring), name)


@pytest.fixture
def other(keys: Keys, tmp_path: Path) -> OtherServer:
    made = OtherServer(keys, tmp_path / "auth-2")
    made.copy_keys()
    made.note()
    return made


class TestSeveralServers:
    """A key is used once all servers know it, and goes once none uses it."""

    @pytest.mark.parametrize("kind", [Kind.FIELD, Kind.AUDIT, Kind.ASSERTION], ids=str)
    def test_it_is_added_copied_rotated_copied_and_retired(self, keys: Keys, other: OtherServer, kind: Kind):
        (first,) = keys.of(kind)
        refused = keys("rotate", kind.value)
        assert refused.exit_code == 1 and f"`keys add {kind}`" in refused.stderr and "auth-2" in refused.stderr
        added = keys.command.json("keys", "add", kind.value)["key"]["id"]
        refused = keys("rotate", kind.value)
        assert refused.exit_code == 1 and f"{added} is not known at auth-2" in refused.stderr
        other.copy_keys()
        other.note()
        keys.done("rotate", kind.value)
        keys.command.clock.pass_(minutes=3)
        other.note()
        refused = keys("retire", kind.value, "--yes")
        assert refused.exit_code == 1 and f"still use {kind} key {first.id}" in refused.stderr
        other.copy_keys()
        other.note()
        keys.done("retire", kind.value, "--yes")
        keys.proved()

    def test_the_key_of_the_database_is_each_servers_own(self, keys: Keys, other: OtherServer):
        """It encrypts the file, which one server has, or the backups that are made here."""
        keys.done("rotate", "database")

    def test_a_server_that_lives_no_more_is_not_asked(self, keys: Keys, other: OtherServer):
        keys.command.clock.pass_(minutes=4)
        keys.done("rotate", "field")

    def test_what_another_server_sealed_before_it_had_the_files_is_sealed_anew(self, keys: Keys, other: OtherServer):
        keys.done("add", "field")
        other.copy_keys()
        other.note()
        keys.done("rotate", "field")
        other.seal("somebody who was enrolled at the other server")
        other.copy_keys()
        keys.command.clock.pass_(minutes=3)
        other.note()
        refused = keys("retire", "field", "--yes")
        assert refused.exit_code == 1 and "run `keys rotate field` again" in refused.stderr
        keys.done("rotate", "field")
        keys.command.clock.pass_(minutes=3)
        other.note()
        keys.done("retire", "field", "--yes")
        assert keys.states(Kind.FIELD) == [State.IN_USE]
        keys.proved()
