"""`face snapshots`: who looked at a picture, or deleted one, is in the log before they have it."""

import os
import stat
from datetime import timedelta
from types import SimpleNamespace

import pytest
from sqlalchemy import text

from auth_contract.actions import Action
from auth_server.audit import AuditLog
from auth_server.errors import StoreError
from provisioning.face_snapshots import snapshots_of
from tests.postgres import IN_A_FILE

PICTURE = b"\xff\xd8\xff\xe0 a picture"


@pytest.fixture
def refused(with_ann):
    """A site that keeps pictures for seven days, with one of ann's name and one of nobody's."""
    settings = with_ann.settings
    settings.write_text(settings.read_text().replace("[face]\n", "[face]\nkeep_refused_days = 7\n"))
    for number, name in enumerate(("ann", "nobody")):
        keep(with_ann, name, f"attempt-{number}", PICTURE + name.encode())
    return with_ann


def keep(command, name, attempt, picture):
    submission = SimpleNamespace(
        action=Action.LOGIN,
        attempt=SimpleNamespace(attempt_id=attempt),
        kiosk=SimpleNamespace(kiosk_id="lobby-1"),
        claims=SimpleNamespace(username=name, frames=(picture,), new_frames=(), marks=()),
    )
    with command.desk().site() as site:
        snapshots_of(site).keep(submission, command.clock())


def listed(command):
    return [(one["id"], one["username"]) for one in command.json("face", "snapshots", "list")["snapshots"]]


def rows(command, verb):
    return [row for row in command.audit_rows() if row["action"] == f"admin.face.snapshots.{verb}"]


def test_the_list_opens_nothing(refused):
    assert listed(refused) == [(2, "nobody"), (1, "ann")]
    shown = refused.json("face", "snapshots", "list")["snapshots"][1]
    assert shown == {
        "id": 1,
        "username": "ann",
        "action": "login",
        "kiosk": "lobby-1",
        "attempt": "attempt-0",
        "taken_at": "2026-11-22T09:30:00+00:00",
        "expires_at": "2026-11-29T09:30:00+00:00",
    }
    table = refused("face", "snapshots", "list").stdout
    assert "nobody" in table and "2026-11-29 09:30Z" in table
    assert rows(refused, "show") == []


def test_nothing_is_kept_by_default(with_ann):
    keep(with_ann, "ann", "attempt-0", PICTURE)
    assert "No picture of a refused attempt is kept." in with_ann("face", "snapshots", "list").stdout


def test_a_look_is_a_row_and_a_closed_file(refused, tmp_path):
    to = tmp_path / "refused.jpg"
    old = os.umask(0)
    try:
        done = refused("face", "snapshots", "show", "1", "--to", to)
    finally:
        os.umask(old)
    assert done.exit_code == 0, done.stderr
    assert to.read_bytes() == PICTURE + b"ann" and stat.S_IMODE(to.stat().st_mode) == 0o600
    [row] = rows(refused, "show")
    assert (row["username"], row["kiosk_id"], row["success"]) == ("ann", "lobby-1", True)
    assert row["detail"]["snapshot"] == 1 and row["detail"]["attempt"] == "attempt-0"
    assert row["detail"]["administrator"]
    why = refused("audit", "why", str(row["id"])).stdout
    assert "look at a picture of a refused attempt" in why


def test_no_row_no_look(refused, tmp_path, monkeypatch):
    def full(*_):
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(AuditLog, "append", full)
        failed = refused("face", "snapshots", "show", "1", "--to", tmp_path / "refused.jpg")
    assert failed.exit_code == 1 and not (tmp_path / "refused.jpg").exists()


@pytest.mark.parametrize("there", ["a file", "a link"])
def test_it_is_never_written_over_another(refused, tmp_path, there):
    to, other = tmp_path / "refused.jpg", tmp_path / "other"
    other.write_bytes(b"mine")
    (to.write_bytes if there == "a file" else lambda _: to.symlink_to(other))(b"mine")
    failed = refused("face", "snapshots", "show", "1", "--to", to)
    assert failed.exit_code == 1 and "is there already: name a new file" in " ".join(failed.stderr.split())
    assert to.read_bytes() == b"mine" and other.read_bytes() == b"mine"
    assert [row["success"] for row in rows(refused, "show")] == [False]


def test_one_that_was_changed_does_not_open(refused, tmp_path):
    with refused.desk().site() as site, site.database.transaction() as session:
        session.execute(text("UPDATE snapshots SET attempt_id = 'another' WHERE id = 1"))
    failed = refused("face", "snapshots", "show", "1", "--to", tmp_path / "refused.jpg")
    assert failed.exit_code == 1 and not (tmp_path / "refused.jpg").exists()


@pytest.mark.parametrize("verb", ["show", "delete"])
def test_a_number_that_is_not_there(refused, tmp_path, verb):
    to = ("--to", tmp_path / "x.jpg") if verb == "show" else ("--yes",)
    failed = refused("face", "snapshots", verb, "9", *to)
    assert failed.exit_code == 1 and "there is no picture 9" in failed.stderr
    [row] = rows(refused, verb)
    assert row["success"] is False and row["detail"]["snapshot"] == 9


def test_one_is_deleted(refused):
    assert refused("face", "snapshots", "delete", "1", typed="n\n").exit_code == 1
    assert refused.json("face", "snapshots", "delete", "1", "--yes") == {"deleted": 1}
    assert listed(refused) == [(2, "nobody")]
    [row] = [row for row in rows(refused, "delete") if row["success"]]
    assert (row["username"], row["detail"]["attempt"]) == ("ann", "attempt-0")


def test_all_are_deleted_each_with_its_row(refused):
    assert refused.json("face", "snapshots", "delete", "--all", "--yes") == {"deleted": 2}
    assert listed(refused) == []
    assert {(row["username"], row["detail"]["snapshot"]) for row in rows(refused, "delete")} == {
        ("ann", 1),
        ("nobody", 2),
    }
    assert refused("audit", "verify").exit_code == 0


@pytest.mark.parametrize("options", [(), ("1", "--all")])
def test_one_or_all(refused, options):
    failed = refused("face", "snapshots", "delete", *options, "--yes")
    assert failed.exit_code == 2 and "give either an ID or --all" in failed.stderr


def test_a_rotated_field_key_opens_them_alone(refused, tmp_path):
    done = refused("keys", "rotate", "field")
    assert done.exit_code == 0, done.stderr
    refused.clock.pass_(minutes=5)
    retired = refused("keys", "retire", "field", "--yes")
    assert retired.exit_code == 0, retired.stderr
    assert refused("face", "snapshots", "show", "2", "--to", tmp_path / "refused.jpg").exit_code == 0


@IN_A_FILE
def test_a_backup_proves_them(refused, tmp_path):
    with refused.desk().site() as site, site.database.transaction() as session:
        session.execute(text("UPDATE snapshots SET picture_enc = x'00' WHERE id = 1"))
    made = refused("backup", "make", "--to", tmp_path / "copies", "--json")
    assert made.exit_code == 1 and "attempt-0" in made.stdout + made.stderr


def test_they_go_with_the_account(refused):
    assert refused("user", "delete", "ann", "--yes").exit_code == 0
    assert listed(refused) == [(2, "nobody")]


def test_time_passes(refused):
    refused.clock.pass_(days=8)
    with refused.desk().site() as site:
        assert snapshots_of(site).prune(refused.clock() - timedelta(days=1, seconds=1)) == 0
        assert snapshots_of(site).prune(refused.clock()) == 2
