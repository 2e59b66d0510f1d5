"""`backup make | check | list` and `restore`: nothing acknowledged is lost, and nothing unproved is relied on."""

import hashlib
import io
import json
import resource
import shutil
import signal
import subprocess
import sys
import tarfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import alembic.command
import pytest
from sqlalchemy import text

from auth_server.accounts import Accounts
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry
from auth_server.keyring import Keyring
from auth_server.last_backup import last_backup
from auth_server.store import schema
from auth_server.store.backup import opens_with
from auth_server.store.database import create_database, open_database
from provisioning import backup_make
from provisioning.backup_keys import Ring
from provisioning.backup_make import Order, make_backup
from provisioning.backup_manifest import Manifest, sign
from provisioning.desk import Site
from provisioning.errors import NotOpened
from provisioning.restore import Restoring
from provisioning.scratch import scratch_folder
from tests.postgres import IN_A_FILE
from tests.provisioning.conftest import START

MAKE_STEPS = ("copied", "packed", "checked", "named", "recorded")
RESTORE_STEPS = ("unpacked", "recorded", "aside", "cleared", "placed")


def database_path(command) -> Path:
    return command.settings.parent / "store" / "4auth.db"


def checkpoints_path(command) -> Path:
    return command.settings.parent / "checkpoints" / "audit.jsonl"


def act(command, count: int = 1) -> None:
    """So many administrative acts, each a signed row."""
    for _ in range(count):
        assert command("kiosk", "disable", "lobby-1", "--yes").exit_code == 0


def head(command) -> int:
    with command.desk().site() as site:
        return AuditLog(site.database).head().sequence


def tamper(command, statement: str) -> None:
    """Change the database as somebody would who has its key."""
    keyring = Keyring.load(command.settings.parent / "keys")
    with closing(open_database(database_path(command), keyring)) as database, database.engine.begin() as connection:
        connection.execute(text(statement))


def members(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as archive:
        return {entry.name: archive.extractfile(entry).read() for entry in archive}


def repack(path: Path, parts: dict[str, bytes]) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in parts.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))


def sign_anew(command, path: Path, **changes: object) -> None:
    """Change what a manifest says, as only somebody with the site's audit key could."""
    parts = members(path)
    spelt = json.dumps({**json.loads(parts["manifest.json"]), **changes}).encode()
    key = Keyring.load(command.settings.parent / "keys").audit.current
    repack(path, {**parts, "manifest.json": spelt, "manifest.sig": sign(spelt, key)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where backups go."""
    made = tmp_path / "backups"
    made.mkdir()
    return made


@pytest.fixture
def made(with_ann, folder: Path) -> Path:
    """A backup of a site with one kiosk and the account ann."""
    path = folder / "one.4auth-backup"
    result = with_ann("backup", "make", "--to", path)
    assert result.exit_code == 0, result.stderr
    return path


class TestMake:
    def test_one_file_closed_to_others_under_a_dated_name_with_its_row_in_the_log(self, with_ann, folder):
        result = with_ann("backup", "make", "--to", folder, "--json")
        (path,) = folder.iterdir()
        assert path.name == "head-office-20261122T093000Z.4auth-backup"
        assert path.stat().st_mode & 0o777 == 0o600
        told = json.loads(result.stdout)
        assert (told["ok"], told["file"], told["accounts"], told["removed"]) == (True, str(path), 1, [])
        assert told["manifest"]["head"]["row"] == 2
        row = with_ann.audit_rows()[-1]
        assert (row["action"], row["success"], row["detail"]["file"]) == ("admin.backup.make", True, str(path))
        assert row["detail"]["head"] == told["manifest"]["head"]
        with with_ann.desk().site() as site:
            assert last_backup(site.database) == START

    def test_nothing_of_anybody_is_readable_in_it_and_no_key_is_in_it(self, with_ann, made):
        data = made.read_bytes()
        keys = [path.read_bytes() for path in (with_ann.settings.parent / "keys").iterdir()]
        lines = [line for key in keys for line in key.splitlines() if len(line) > 30 and not line.startswith(b"#")]
        assert len(lines) >= 4
        needles = [b"ann", b"b8:27:eb", b"$2b$12", b"JBSWY3DP", b"no picture", b"CREATE TABLE", *lines]
        body = data.replace(b"manifest.json", b"").replace(b"manifest.sig", b"")
        assert [needle for needle in needles if needle in body] == []
        assert sorted(members(made)) == ["4auth.db", "checkpoints.jsonl", "manifest.json", "manifest.sig"]

    def test_a_file_is_never_overwritten(self, with_ann, made):
        before = made.read_bytes()
        again = with_ann("backup", "make", "--to", made)
        assert (again.exit_code, "never overwritten" in again.stderr) == (1, True)
        assert made.read_bytes() == before
        assert with_ann.audit_rows()[-1]["reason"] == "refused"

    @pytest.mark.parametrize(("to", "says"), [("nowhere/b.4auth-backup", "is no folder"), ("file/x", "is no folder")])
    def test_a_place_that_is_none_is_refused(self, with_ann, folder, to, says):
        (folder / "file").touch()
        refused = with_ann("backup", "make", "--to", folder / to)
        assert (refused.exit_code, says in refused.stderr) == (1, True)
        assert [path.name for path in folder.iterdir()] == ["file"]

    @IN_A_FILE
    def test_a_copy_that_does_not_pass_is_kept_as_bad_and_named(self, with_ann, folder):
        tamper(with_ann, "UPDATE users SET totp_secret_enc = x'00'")
        result = with_ann("backup", "make", "--to", folder / "b.4auth-backup")
        assert result.exit_code == 1
        assert "b.4auth-backup.bad is bad, do not rely on it: users.totp_secret_enc of 'ann'" in result.stderr
        assert [path.name for path in folder.iterdir()] == ["b.4auth-backup.bad"]
        assert with_ann.audit_rows()[-1]["success"] is False

    @IN_A_FILE
    @pytest.mark.parametrize(
        ("statement", "says"),
        [
            ("UPDATE access_logs SET username = 'eve' WHERE id = 2", "row 2 was changed"),
            ("DELETE FROM user_keys", "account 'ann' has no data key"),
            ("UPDATE user_keys SET data_key_enc = x'00'", "user_keys.data_key_enc of 'ann'"),
            ("UPDATE users SET face_image_enc = face_template_enc", "users.face_image_enc of 'ann'"),
            ("DELETE FROM access_logs WHERE id = 2", "the log ends at row 1"),
        ],
    )
    def test_what_is_wrong_in_the_store_is_found_in_its_copy(self, with_ann, folder, statement, says):
        tamper(with_ann, statement)
        result = with_ann("backup", "make", "--to", folder / "b.4auth-backup")
        assert (result.exit_code, says in result.stderr) == (1, True), result.stderr

    def test_two_at_once_in_one_folder_are_refused(self, with_ann, folder):
        with scratch_folder(folder, "backup"):
            refused = with_ann("backup", "make", "--to", folder)
        assert (refused.exit_code, "another backup is at work" in refused.stderr) == (1, True)

    @IN_A_FILE
    def test_a_file_system_without_second_names_will_do(self, with_ann, folder, monkeypatch):
        def no_link(_old: Path, new: Path) -> None:
            raise PermissionError(1, "Operation not permitted", str(new))

        monkeypatch.setattr(backup_make.os, "link", no_link)
        assert with_ann("backup", "make", "--to", folder / "b.4auth-backup").exit_code == 0
        assert [path.name for path in folder.iterdir()] == ["b.4auth-backup"]
        assert with_ann("backup", "check", folder / "b.4auth-backup").exit_code == 0


class TestKeep:
    def names(self, folder):
        return sorted(path.name for path in folder.iterdir())

    def test_only_this_sites_older_backups_go_and_the_log_names_them(self, with_ann, folder):
        (folder / "head-office-20260101T000000Z.4auth-backup").write_bytes(b"no backup at all")
        (folder / "notes.txt").touch()
        for _ in range(4):
            with_ann.clock.pass_(days=1)
            result = with_ann("backup", "make", "--to", folder, "--keep", "2")
            assert result.exit_code == 0, result.stderr
        assert self.names(folder) == [
            "head-office-20260101T000000Z.4auth-backup",
            "head-office-20261125T093000Z.4auth-backup",
            "head-office-20261126T093000Z.4auth-backup",
            "notes.txt",
        ]
        removed = [row["detail"]["removed"] for row in with_ann.audit_rows() if row["action"] == "admin.backup.prune"]
        assert removed == [
            ["head-office-20261123T093000Z.4auth-backup"],
            ["head-office-20261124T093000Z.4auth-backup"],
        ]
        listed = with_ann.json("backup", "list", folder)["backups"]
        assert [Path(backup["file"]).name[12:20] for backup in listed] == ["20261126", "20261125"]

    def test_backups_of_another_site_and_links_stay(self, with_ann, folder, tmp_path, made):
        other = members(made)
        manifest = json.loads(other["manifest.json"])
        other["manifest.json"] = json.dumps({**manifest, "site": "elsewhere"}).encode()
        repack(folder / "elsewhere.4auth-backup", other)
        (folder / "link.4auth-backup").symlink_to(made)
        with_ann.clock.pass_(days=1)
        with_ann("backup", "make", "--to", folder, "--keep", "1")
        assert self.names(folder) == [
            "elsewhere.4auth-backup",
            "head-office-20261123T093000Z.4auth-backup",
            "link.4auth-backup",
        ]

    @IN_A_FILE
    def test_nothing_goes_where_the_new_one_did_not_pass(self, with_ann, folder, made):
        tamper(with_ann, "UPDATE users SET totp_secret_enc = x'00'")
        assert with_ann("backup", "make", "--to", folder, "--keep", "1").exit_code == 1
        assert made.exists()

    def test_it_needs_a_folder(self, with_ann, folder):
        assert with_ann("backup", "make", "--to", folder / "b", "--keep", "1").exit_code == 2


def flip_in(name: str, at: int = 100):
    def change(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[bytes(data).index(members(path)[name][at : at + 40])] ^= 1
        path.write_bytes(data)

    return change


def swap_database(path: Path) -> None:
    """Another database in its place, with a manifest that names it."""
    parts = members(path)
    parts["4auth.db"] = bytes(len(parts["4auth.db"]))
    manifest = json.loads(parts["manifest.json"])
    manifest["members"]["4auth.db"]["sha256"] = hashlib.sha256(parts["4auth.db"]).hexdigest()
    parts["manifest.json"] = json.dumps(manifest).encode()
    repack(path, parts)


def without(name: str):
    return lambda path: repack(path, {member: data for member, data in members(path).items() if member != name})


def with_more(path: Path) -> None:
    repack(path, {**members(path), "../../evil": b"x"})


def cut(share: float):
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def of_version(version: int):
    def change(path: Path) -> None:
        parts = members(path)
        parts["manifest.json"] = json.dumps({**json.loads(parts["manifest.json"]), "version": version}).encode()
        repack(path, parts)

    return change


DAMAGE = [
    (flip_in("manifest.json"), "signature is wrong|is damaged"),
    (flip_in("manifest.sig", 10), "its signature is wrong"),
    (flip_in("4auth.db", 5000), "4auth.db is not the one that was put in"),
    (flip_in("checkpoints.jsonl"), "checkpoints.jsonl is not the one that was put in"),
    (swap_database, "its signature is wrong"),
    (without("manifest.sig"), "manifest.sig is missing"),
    (without("checkpoints.jsonl"), "checkpoints.jsonl is missing"),
    (with_more, "holds more than a backup does"),
    (cut(0.9), "damaged"),
    (cut(0.5), "damaged"),
    (cut(0.01), "damaged"),
    (cut(0), "damaged"),
    (lambda path: path.write_bytes(b"something else" * 1000), "damaged or no backup"),
    (of_version(2), "is a backup of version 2, and this program knows 1: install the newer program"),
    (of_version(0), "its signature is wrong"),
]


class TestCheck:
    def test_a_good_one_needs_no_database(self, with_ann, made):
        shutil.rmtree(with_ann.settings.parent / "store")
        told = with_ann.json("backup", "check", made)
        assert (told["ok"], told["accounts"], told["findings"]) == (True, 1, [])
        assert [path.name for path in made.parent.iterdir()] == [made.name]

    @pytest.mark.parametrize(("damage", "says"), DAMAGE)
    def test_a_damaged_or_forged_one_is_refused(self, with_ann, made, damage, says):
        damage(made)
        for command in (("backup", "check", made), ("restore", made, "--yes")):
            refused = with_ann(*command)
            assert refused.exit_code == 1, refused.output
            assert any(part in refused.stderr for part in says.split("|")), refused.stderr
        assert ann_is_there(with_ann)

    def test_a_log_that_is_not_the_one_the_manifest_names_is_found(self, with_ann, made):
        head_of_it = json.loads(members(made)["manifest.json"])["head"]
        sign_anew(with_ann, made, head={**head_of_it, "row": 7})
        result = with_ann("backup", "check", made)
        assert (result.exit_code, "its log ends at row 2, and its manifest says row 7" in result.stderr) == (1, True)

    def test_what_a_killed_run_left_is_gone_after_the_next(self, with_ann, made):
        left = made.parent / ".4auth-check.scratch" / "work"
        left.mkdir(parents=True)
        (left / "4auth.db").write_bytes(b"left by a killed run")
        assert with_ann("backup", "check", made).exit_code == 0
        assert not left.parent.exists()

    def test_the_place_to_unpack_can_be_named(self, with_ann, made, tmp_path):
        made.parent.chmod(0o500)
        other = tmp_path / "other"
        other.mkdir()
        assert with_ann("backup", "check", made, "--scratch", other).exit_code == 0
        assert list(other.iterdir()) == []

    def test_other_keys_are_named_by_their_ids(self, with_ann, made, tmp_path):
        there = Keyring.load(with_ann.settings.parent / "keys").database()[0].id
        here = Keyring.create(tmp_path / "keys").database()[0].id
        shutil.rmtree(with_ann.settings.parent / "keys")
        (tmp_path / "keys").rename(with_ann.settings.parent / "keys")
        refused = with_ann("backup", "check", made)
        assert refused.exit_code == 78
        assert f"it needs database key {there} (here: {here})" in refused.stderr
        assert "field key" in refused.stderr and "audit key" in refused.stderr


def ann_is_there(command) -> bool:
    with command.desk().site() as site:
        return Accounts(site.database, site.keyring.field, "4auth").find("ann") is not None


def set_aside(command) -> list[Path]:
    return sorted(database_path(command).parent.glob("4auth.db.replaced-*"))


class TestRestore:
    @IN_A_FILE
    def test_the_database_of_then_is_back_and_the_one_of_now_is_kept(self, with_ann, made):
        act(with_ann, 3)
        before = head(with_ann)
        told = with_ann.json("restore", made, "--yes")
        assert told["given_up"] == {"after": 2, "to": before, "rows": before - 2}
        assert told["must_accept"] is True
        assert ann_is_there(with_ann)
        rows = with_ann.audit_rows()
        assert [row["action"] for row in rows] == ["admin.site.init", "admin.kiosk.add", "admin.restore"]
        assert rows[-1]["detail"]["given_up"] == told["given_up"]
        (kept,) = set_aside(with_ann)
        assert told["kept"] == str(kept)
        keyring = Keyring.load(with_ann.settings.parent / "keys")
        with closing(open_database(kept, keyring)) as old:
            assert AuditLog(old).head().sequence == before

    def test_nobody_is_let_in_before_the_restore_is_accepted(self, with_ann, made):
        act(with_ann)
        lines = checkpoints_path(with_ann).read_bytes()
        restored = with_ann("restore", made, "--yes")
        assert "run `4auth-provision audit accept-restore`" in restored.stderr
        assert checkpoints_path(with_ann).read_bytes() == lines, "the newer checkpoint file proves what is lost"
        assert with_ann("audit", "verify").exit_code == 1
        assert with_ann("audit", "accept-restore", "--yes").exit_code == 0
        assert with_ann("audit", "verify").exit_code == 0

    def test_it_asks_before_it_replaces_and_no_is_no(self, with_ann, made):
        act(with_ann)
        before = with_ann.audit_rows()
        for answer in ("n\n", ""):
            asked = with_ann("restore", made, typed=answer)
            assert asked.exit_code == 1
            assert "2 rows of the log since row 2 are given up. What stands there is kept as" in asked.stderr
        assert with_ann.audit_rows() == before
        assert set_aside(with_ann) == []
        assert with_ann("restore", made, typed="y\n").exit_code == 0

    @IN_A_FILE
    def test_a_fresh_host_is_asked_nothing_and_gets_its_checkpoint_file_back(self, with_ann, made):
        lines = members(made)["checkpoints.jsonl"]
        shutil.rmtree(with_ann.settings.parent / "store")
        checkpoints_path(with_ann).unlink()
        told = with_ann.json("restore", made)
        assert (told["kept"], told["must_accept"], told["given_up"]["rows"]) == (None, False, 0)
        assert checkpoints_path(with_ann).read_bytes().startswith(lines)
        assert ann_is_there(with_ann)
        assert with_ann("audit", "verify").exit_code == 0
        assert database_path(with_ann).stat().st_mode & 0o777 == 0o600

    @IN_A_FILE
    def test_it_refuses_while_anybody_has_the_database_open(self, with_ann, made):
        with with_ann.desk().site() as site:
            before = AuditLog(site.database).head().sequence
            refused = with_ann("restore", made, "--yes")
            assert (refused.exit_code, "is open in another process, the server" in refused.stderr) == (1, True)
            row = AuditLog(site.database).show(before + 1)
        assert row is not None and (row.action, row.success) == ("admin.restore", False)

    @IN_A_FILE
    def test_nobody_can_open_the_database_while_it_is_replaced(self, with_ann, made):
        asked: list[str] = []

        def agree(question: str) -> None:
            asked.append(question)
            with pytest.raises(NotOpened, match="is being replaced by a restore: wait for it to end"):
                with with_ann.desk().site():
                    pass

        Restoring(with_ann.desk(), made, agree).run()
        assert len(asked) == 1

    @IN_A_FILE
    def test_a_database_that_no_key_opens_is_kept_whole_with_its_log(self, with_ann, made):
        place = database_path(with_ann)
        place.write_bytes(b"damaged" * 1000)
        place.with_name("4auth.db-wal").write_bytes(b"its log")
        told = with_ann.json("restore", made, "--yes")
        kept = Path(told["kept"])
        assert kept.read_bytes() == b"damaged" * 1000
        assert kept.with_name(kept.name + "-wal").read_bytes() == b"its log"
        assert ann_is_there(with_ann)

    @IN_A_FILE
    def test_a_damaged_database_of_ours_is_kept_as_it_is(self, with_ann, made):
        place = database_path(with_ann)
        data = bytearray(place.read_bytes())
        for page in range(4096 + 2000, len(data), 4096):
            data[page] ^= 1
        place.write_bytes(data)
        told = with_ann.json("restore", made, "--yes")
        assert Path(told["kept"]).read_bytes() == data
        assert ann_is_there(with_ann)

    @IN_A_FILE
    def test_a_log_that_was_tampered_with_comes_back_only_when_that_is_said(self, with_ann, folder):
        tamper(with_ann, "UPDATE access_logs SET username = 'eve' WHERE id = 2")
        with_ann("backup", "make", "--to", folder / "b")
        (bad,) = folder.iterdir()
        refused = with_ann("restore", bad, "--yes")
        assert (refused.exit_code, "row 2 was changed" in refused.stderr) == (1, True)
        assert with_ann("restore", bad, "--yes", "--despite-findings").exit_code == 0

    @IN_A_FILE
    def test_a_damaged_one_does_not_come_back_whatever_is_said(self, with_ann, folder):
        tamper(with_ann, "UPDATE users SET totp_secret_enc = x'00'")
        with_ann("backup", "make", "--to", folder / "b")
        (bad,) = folder.iterdir()
        assert with_ann("restore", bad, "--yes", "--despite-findings").exit_code == 1

    @IN_A_FILE
    def test_two_restores_in_one_second_keep_both_databases(self, with_ann, made):
        assert with_ann("restore", made, "--yes").exit_code == 0
        assert with_ann("restore", made, "--yes").exit_code == 0
        assert [path.name[-2:] for path in set_aside(with_ann)] == ["0Z", "-2"]

    def test_logs_that_parted_are_told_apart_at_their_last_common_row(self, with_ann, folder, made):
        act(with_ann, 2)
        with_ann("backup", "make", "--to", folder / "two")
        with_ann("restore", made, "--yes")  # rows 3 on are others now
        with_ann("audit", "accept-restore", "--yes")
        act(with_ann, 4)
        end = head(with_ann)
        told = with_ann.json("restore", folder / "two", "--yes")
        assert told["given_up"] == {"after": 2, "to": end, "rows": end - 2}


class TestRotated:
    """A backup of before a rotation, and one of after it."""

    @IN_A_FILE
    @pytest.mark.parametrize("kind", ["database", "field", "audit"])
    def test_a_backup_of_before_comes_back_while_the_old_key_is_here(self, with_ann, made, kind):
        rotated = with_ann("keys", "rotate", kind, "--yes")
        assert rotated.exit_code == 0, rotated.stderr
        assert with_ann("backup", "check", made).exit_code == 0
        told = with_ann.json("restore", made, "--yes")
        assert told["must_accept"] is True
        assert ann_is_there(with_ann)
        keyring = Keyring.load(with_ann.settings.parent / "keys")
        assert opens_with(database_path(with_ann), keyring.database_key), "it stayed sealed by the key of then"
        assert with_ann("audit", "accept-restore", "--yes").exit_code == 0
        assert with_ann("audit", "verify").exit_code == 0

    @pytest.mark.parametrize("kind", ["database", "field", "audit"])
    def test_a_backup_of_after_is_proved_by_the_new_key(self, with_ann, folder, kind):
        with_ann("keys", "rotate", kind, "--yes")
        told = with_ann.json("backup", "make", "--to", folder)
        keyring = Keyring.load(with_ann.settings.parent / "keys")
        ids = {
            "database": keyring.database()[0].id,
            "field": keyring.field.keys[0].id,
            "audit": keyring.audit.keys[0].id,
        }
        needed = told["manifest"]["keys"][kind]
        assert (needed[0] if kind == "field" else needed) == ids[kind]


class TestSchema:
    @pytest.fixture
    def of_the_release_before(self, command, folder, monkeypatch) -> Path:
        """A backup with schema 0001, as the release before would have made it."""
        keyring = Keyring.load(command.settings.parent / "keys")
        database_path(command).unlink()
        with monkeypatch.context() as then:
            upgrade = alembic.command.upgrade
            then.setattr(alembic.command, "upgrade", lambda config, _head: upgrade(config, "0001"))
            then.setattr(schema, "check_current", lambda _connection, _path: None)
            then.setattr(schema, "head", lambda: "0001")
            made = create_database(database_path(command), keyring)
            with closing(made) as database:
                AuditLog(database).record(AuditEntry("login", False, "denied", "ann", None, None, {}), START)
                checkpoints_path(command).unlink()
                Checkpoints(checkpoints_path(command), keyring.audit).write(AuditLog(database), START)
            then.setattr(backup_make, "prove", lambda manifest, _ring, _folder: Passed(manifest))
            with closing(open_database(database_path(command), keyring)) as database:
                site = Site(command.desk().settings, keyring, database)
                order = Order(site.settings, Ring.of(keyring), "0.1.0", START)
                path, _ = make_backup(site, order, folder)
        return path

    @IN_A_FILE
    def test_an_older_one_is_migrated_in_the_scratch_folder_and_restored(self, command, of_the_release_before):
        checked = command.json("backup", "check", of_the_release_before)
        assert (checked["ok"], checked["manifest"]["schema"]) == (True, "0001")
        shutil.rmtree(database_path(command).parent)
        told = command.json("restore", of_the_release_before)
        assert told["schema"] == {"was": "0001", "is": schema.head()}
        assert [row["action"] for row in command.audit_rows()] == ["login", "admin.restore"]

    def test_a_newer_one_is_refused_by_name_before_anything_is_touched(self, with_ann, made):
        sign_anew(with_ann, made, schema="0099")
        refused = with_ann("restore", made, "--yes")
        assert (refused.exit_code, "has schema 0099, made by 4Auth" in refused.stderr) == (1, True)
        assert "install the newer program" in refused.stderr
        assert ann_is_there(with_ann) and set_aside(with_ann) == []


@dataclass
class Passed:
    """The check that another release made."""

    manifest: Manifest
    ok: bool = True
    findings: tuple[str, ...] = ()
    accounts: int = 0


@pytest.fixture
def full_disk(with_ann, folder):
    """Runs a command in a process whose files cannot grow beyond a size, as on a full disk."""

    def run(*arguments, room: int) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "provisioning", "--settings", with_ann.settings, *map(str, arguments)],
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (room, room)),
        )

    return run


class TestFullDisk:
    @IN_A_FILE
    @pytest.mark.parametrize("share", [0.3, 0.98])
    def test_a_backup_that_finds_no_room_leaves_nothing(self, with_ann, folder, full_disk, share):
        room = int(database_path(with_ann).stat().st_size * share)
        result = full_disk("backup", "make", "--to", folder / "b", room=room)
        assert result.returncode == 1, result.stderr
        assert "Traceback" not in result.stderr
        assert list(folder.iterdir()) == []
        assert with_ann("backup", "make", "--to", folder / "b").exit_code == 0

    def test_a_restore_that_finds_no_room_leaves_what_is_there(self, with_ann, made, full_disk):
        before = head(with_ann)
        result = full_disk("restore", made, "--yes", room=100_000)
        assert result.returncode == 1, result.stderr
        assert "make room" in result.stderr
        assert (head(with_ann) >= before, set_aside(with_ann)) == (True, [])


DRIVER = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from provisioning.backup_keys import Ring
from provisioning.backup_make import Order, make_backup
from provisioning.desk import Desk
from provisioning.restore import Restoring

desk = Desk(settings_path=Path(sys.argv[1]), now=lambda: datetime(2026, 11, 23, tzinfo=UTC))
path = Path(sys.argv[2])


def run(command, die_at):
    def step(name):
        if name == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    if command == "restore":
        Restoring(desk, path, lambda question: None, step=step).run()
        return
    with desk.site() as site:
        make_backup(site, Order(site.settings, Ring.of(site.keyring), "test", desk.now()), path, step)


run(sys.argv[3], sys.argv[4])
"""


@dataclass
class Killed:
    """Runs a command of the site in a process that ends itself, by SIGKILL, when a step is done."""

    settings: Path

    def __call__(self, command: str, path: Path, step: str) -> None:
        done = subprocess.run(
            [sys.executable, "-c", DRIVER, self.settings, path, command, step], capture_output=True, text=True
        )
        assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture
def killed(with_ann) -> Killed:
    return Killed(with_ann.settings)


@pytest.mark.slow
class TestKilled:
    @pytest.mark.parametrize("step", MAKE_STEPS)
    def test_a_backup_under_its_name_was_proved_and_a_rerun_makes_one(self, with_ann, folder, killed, step):
        before, path = head(with_ann), folder / "b.4auth-backup"
        killed("make", path, step)
        assert path.exists() == (step in {"named", "recorded"})
        if path.exists():
            assert with_ann("backup", "check", path).exit_code == 0
        assert head(with_ann) == before + (step == "recorded")
        with with_ann.desk().site() as site:
            assert (last_backup(site.database) is not None) == (step == "recorded")
        again = folder / "again.4auth-backup"
        assert with_ann("backup", "make", "--to", again).exit_code == 0
        assert list(folder.glob(".*")) == []
        assert with_ann("audit", "verify").exit_code == 0

    @IN_A_FILE
    @pytest.mark.parametrize("step", RESTORE_STEPS)
    def test_the_old_or_the_new_database_is_whole_in_place_and_a_rerun_completes(self, with_ann, made, killed, step):
        act(with_ann, 3)
        before = head(with_ann)
        killed("restore", made, step)
        actions = [row["action"] for row in with_ann.audit_rows()]
        if step == "placed":
            assert actions[2:] == ["admin.restore"]
            (kept,) = set_aside(with_ann)
            assert newest(with_ann, kept) == before
        else:
            assert (len(actions), actions[-1]) == (before, "admin.kiosk.disable")
        told = with_ann.json("restore", made, "--yes")
        assert [row["action"] for row in with_ann.audit_rows()][2:] == ["admin.restore"]
        assert before in {newest(with_ann, path) for path in set_aside(with_ann)}
        assert told["must_accept"] is True
        assert with_ann("audit", "accept-restore", "--yes").exit_code == 0
        assert with_ann("audit", "verify").exit_code == 0
        store = database_path(with_ann).parent
        assert list(store.glob(".*")) == []

    @IN_A_FILE
    @pytest.mark.parametrize("step", ["recorded", "checkpoints", "placed"])
    def test_on_a_fresh_host_too(self, with_ann, made, killed, step):
        shutil.rmtree(with_ann.settings.parent / "store")
        checkpoints_path(with_ann).unlink()
        killed("restore", made, step)
        assert database_path(with_ann).exists() == (step == "placed")
        with_ann.json("restore", made, "--yes")
        assert ann_is_there(with_ann)
        assert with_ann("audit", "verify").exit_code == 0

    @IN_A_FILE
    def test_rows_that_only_the_write_ahead_log_held_are_in_what_is_kept(self, with_ann, made):
        acknowledged = row_of_a_killed_writer(with_ann)
        told = with_ann.json("restore", made, "--yes")
        assert newest(with_ann, Path(told["kept"])) == acknowledged

    @IN_A_FILE
    @pytest.mark.parametrize("step", ["unpacked", "recorded", "aside", "cleared"])
    def test_they_are_in_the_old_database_too_when_the_restore_was_killed(self, with_ann, made, killed, step):
        acknowledged = row_of_a_killed_writer(with_ann)
        killed("restore", made, step)
        assert newest(with_ann, database_path(with_ann)) == acknowledged


WRITER = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from auth_server.keyring import Keyring
from auth_server.store.database import open_database

database = open_database(Path(sys.argv[1]), Keyring.load(Path(sys.argv[2])))
entry = AuditEntry("login", False, "denied", "bob", "lobby-1", None, {})
print(AuditLog(database).record(entry, datetime(2026, 11, 22, tzinfo=UTC)), flush=True)
os.kill(os.getpid(), 9)
"""


def row_of_a_killed_writer(command) -> int:
    """The number of a row that only the write-ahead log holds, as a server that was killed leaves it."""
    path = database_path(command)
    script = [sys.executable, "-c", WRITER, path, command.settings.parent / "keys"]
    acknowledged = int(subprocess.run(script, capture_output=True, text=True).stdout)
    assert path.with_name("4auth.db-wal").stat().st_size > 0
    return acknowledged


def newest(command, path: Path) -> int:
    keyring = Keyring.load(command.settings.parent / "keys")
    with closing(open_database(path, keyring)) as database:
        return AuditLog(database).head().sequence
