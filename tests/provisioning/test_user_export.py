"""`user export`: a person is given all that is stored of them, and no secret; after a delete nothing is found."""

import base64
import io
import json
import stat
import struct
from types import SimpleNamespace

import pytest
from PIL import Image
from sqlalchemy import inspect, text

from auth_contract.actions import Action
from auth_server.accounts import NewAccount
from auth_server.admins import Role
from auth_server.audit import AuditLog
from auth_server.changes import NewFactors
from auth_server.domain import AuditEntry, Template
from auth_server.errors import StoreError
from provisioning.face_snapshots import snapshots_of
from provisioning.roles import MAY_RUN
from provisioning.user_lookup import accounts_of

SECRET = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"
HASH = b"$2b$12$the-hash-of-her-password"
EMBEDDING = struct.pack("<4f", 0.1, 0.2, 0.3, 0.4)
MOVED = struct.pack("<4f", 0.4, 0.3, 0.2, 0.1)
REFUSED = b"\xff\xd8\xff\xe0 somebody in her name"


def png():
    out = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def bea(with_kiosk, pend):
    """A site with bea, of whom everything is stored that can be."""
    account = NewAccount(
        username="bea",
        password_hash=HASH,
        totp_secret=SECRET,
        totp_last_step=0,
        template=Template("model-1", EMBEDDING),
        face_png=png(),
        mac_addresses=frozenset({"b8:27:eb:12:34:56"}),
    )
    settings = with_kiosk.settings
    settings.write_text(settings.read_text().replace("[face]\n", "[face]\nkeep_refused_days = 7\n"))
    with with_kiosk.desk().site() as site:
        accounts = accounts_of(site)
        accounts.add(account, with_kiosk.clock())
        with site.database.transaction() as session:
            session.execute(text("INSERT INTO exemptions (username, movement) VALUES ('bea', 'blink')"))
        accounts.store_migrated(accounts.enrolment("bea"), Template("model-2", MOVED), with_kiosk.clock())
        attempt = SimpleNamespace(attempt_id="attempt-1")
        claims = SimpleNamespace(username="bea", frames=(REFUSED,), new_frames=(), marks=())
        kiosk = SimpleNamespace(kiosk_id="lobby-1")
        denied = SimpleNamespace(action=Action.LOGIN, attempt=attempt, kiosk=kiosk, claims=claims)
        snapshots_of(site).keep(denied, with_kiosk.clock())
        detail = {"attempt": "attempt-1", "other_faces": {"like": "cleo", "distance": 0.2, "refused": True}}
        entry = AuditEntry("login", False, "denied", "bea", "lobby-1", "192.0.2.7", detail)
        AuditLog(site.database).record(entry, with_kiosk.clock())
    pend(with_kiosk, "bea", new=NewFactors(password_hash=b"$2b$12$the-hash-to-come"))
    return with_kiosk


def export(command, to):
    done = command("user", "export", "bea", "--to", to)
    assert done.exit_code == 0, done.stderr
    return json.loads(to.read_text())


def test_it_has_all_of_the_person(bea, tmp_path):
    given = export(bea, tmp_path / "bea.json")
    assert stat.S_IMODE((tmp_path / "bea.json").stat().st_mode) == 0o600
    account = given["account"]
    assert (account["username"], account["enabled"], account["kiosks"]) == ("bea", True, ["lobby-1"])
    assert account["mac_addresses"] == ["b8:27:eb:12:34:56"] and account["movements_not_asked_for"] == ["blink"]
    assert base64.b64decode(given["face"]["picture_png_base64"]) == png()
    assert [
        (one["model"], one["kind"], base64.b64decode(one["embedding_float32_base64"]))
        for one in given["face"]["templates"]
    ] == [("model-1", "enrolled", EMBEDDING), ("model-2", "migrated", MOVED)]
    assert given["face"]["templates"][1]["made_at"] == "2026-11-22T09:30:00+00:00"
    assert (given["pending_change"]["action"], given["pending_change"]["kiosk"]) == ("recover_password", "lobby-1")
    [snapshot] = given["refused_attempts"]
    assert base64.b64decode(snapshot["picture_jpeg_base64"]) == REFUSED and snapshot["attempt"] == "attempt-1"
    [login] = [row for row in given["log"] if row["action"] == "login"]
    assert (login["reason"], login["source_address"], login["detail"]["attempt"]) == (
        "denied",
        "192.0.2.7",
        "attempt-1",
    )


def test_it_has_no_secret_and_nothing_of_whose_face_it_is_like(bea, tmp_path):
    export(bea, tmp_path / "bea.json")
    given = (tmp_path / "bea.json").read_text()
    for secret in (SECRET, HASH.decode(), "the-hash-to-come", base64.b64encode(HASH).decode(), "cleo"):
        assert secret not in given
    assert '"distance": 0.2' in given


def test_who_gave_it_out_is_in_the_log_before_it_is_written(bea, tmp_path, monkeypatch):
    export(bea, tmp_path / "bea.json")
    row = bea.audit_rows()[-1]
    assert (row["action"], row["username"], row["success"]) == ("admin.user.export", "bea", True)

    def full(*_):
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(AuditLog, "append", full)
        assert bea("user", "export", "bea", "--to", tmp_path / "again.json").exit_code == 1
    assert not (tmp_path / "again.json").exists()


def test_it_is_never_written_over_another_file(bea, tmp_path):
    (tmp_path / "bea.json").write_text("mine")
    refused = bea("user", "export", "bea", "--to", tmp_path / "bea.json")
    assert refused.exit_code == 1 and (tmp_path / "bea.json").read_text() == "mine"
    assert bea.audit_rows()[-1]["success"] is False


def test_nobody_has_nothing(bea, tmp_path):
    refused = bea("user", "export", "zoe", "--to", tmp_path / "zoe.json")
    assert (
        refused.exit_code == 1 and "there is no account zoe" in refused.stderr and not (tmp_path / "zoe.json").exists()
    )


def test_only_an_admin_may():
    for command in ("user export", "face snapshots show", "face snapshots list", "face snapshots delete"):
        assert [role for role, may in MAY_RUN.items() if command in may] == [Role.ADMIN]


def test_after_a_delete_nothing_is_left_but_the_log(bea, tmp_path):
    assert bea("user", "delete", "bea", "--yes").exit_code == 0
    given = export(bea, tmp_path / "bea.json")
    assert {name: given[name] for name in ("account", "face", "pending_change", "invitation")} == dict.fromkeys(
        ("account", "face", "pending_change", "invitation")
    )
    assert given["failures"] == [] and given["refused_attempts"] == []
    assert {row["action"] for row in given["log"]} >= {"login", "admin.user.delete"}
    with bea.desk().site() as site, site.database.read() as session:
        for table in inspect(site.database.engine).get_table_names():
            if table != "access_logs":
                rows = session.connection().exec_driver_sql(f"SELECT * FROM {table}").all()  # noqa: S608
                assert not [row for row in rows if "bea" in row], table
