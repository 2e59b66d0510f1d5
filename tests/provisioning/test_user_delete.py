"""`user delete`: nothing that is stored opens a deleted person's secrets, and the log stays whole."""

import json
from pathlib import Path

import pytest
from sqlalchemy import select, text

from auth_server.audit import AuditLog
from auth_server.errors import StoreError
from auth_server.keyring import Keyring
from auth_server.store import engine
from auth_server.store.clearing import clear_out
from auth_server.store.database import open_database
from auth_server.store.models import USER_KEYS
from provisioning.user_lookup import accounts_of
from tests.auth_server.test_data_keys import decrypted_pages
from tests.postgres import IN_A_FILE


def store(command) -> Path:
    return command.settings.parent / "store" / "4auth.db"


def data_key(command) -> bytes:
    with command.desk().site() as site, site.database.read() as session:
        return session.execute(select(USER_KEYS.c.data_key_enc).where(USER_KEYS.c.username == "ann")).scalar_one()


def pages(command) -> bytes:
    with command.desk().site() as site:
        return decrypted_pages(store(command), site.keyring.database_keys[0])


def test_it_asks_first(with_ann):
    refused = with_ann("user", "delete", "ann", typed="n\n")
    assert refused.exit_code == 1
    assert "All that is stored of ann will be gone for good. Delete the account?" in refused.stderr
    assert with_ann("user", "delete", "ann").exit_code == 1, "nobody can answer"
    assert with_ann.json("user", "show", "ann")["user"]


@IN_A_FILE
def test_nothing_is_left_in_any_page_of_the_file_or_the_log(with_ann):
    key = data_key(with_ann)
    assert key in pages(with_ann)
    assert with_ann.json("user", "delete", "ann", "--yes")["overwritten"] is True
    assert key not in pages(with_ann)
    log = store(with_ann).with_name("4auth.db-wal")
    assert not log.exists() or log.stat().st_size == 0


@IN_A_FILE
def test_it_is_overwritten_too_while_a_server_has_the_store_open(with_ann):
    key = data_key(with_ann)
    keyring = Keyring.load(with_ann.settings.parent / "keys")
    server = open_database(store(with_ann), keyring)
    try:
        with server.transaction() as session:
            session.execute(text("UPDATE users SET totp_last_step = 7"))
        assert with_ann.json("user", "delete", "ann", "--yes")["overwritten"]
        assert store(with_ann).with_name("4auth.db-wal").stat().st_size == 0
        assert key not in decrypted_pages(store(with_ann), keyring.database_keys[0])
    finally:
        server.close()


@IN_A_FILE
def test_it_says_so_where_somebody_read_without_a_pause(with_ann, monkeypatch):
    monkeypatch.setattr(engine, "BUSY_TIMEOUT_S", 0.01)
    reader = open_database(store(with_ann), Keyring.load(with_ann.settings.parent / "keys"))
    try:
        with reader.read() as session:
            session.execute(text("SELECT count(*) FROM users"))
            done = with_ann("user", "delete", "ann", "--yes")
    finally:
        reader.close()
    assert done.exit_code == 0 and "its write-ahead log still holds older pages" in done.stderr
    with with_ann.desk().site() as site:
        assert clear_out(site.database)


def test_the_log_keeps_what_was_done_under_the_name_and_verifies(with_ann):
    with_ann("user", "disable", "ann", "--yes")
    with_ann("user", "delete", "ann", "--yes")
    rows = [(row["action"], row["username"]) for row in with_ann.audit_rows()]
    assert rows[-2:] == [("admin.user.disable", "ann"), ("admin.user.delete", "ann")]
    assert with_ann("audit", "verify").exit_code == 0


def test_the_details_of_the_persons_rows_are_erased_where_that_is_asked_for(with_ann):
    with_ann("user", "disable", "ann", "--yes")
    with_ann("kiosk", "disable", "lobby-1", "--yes")
    with_ann.clock.pass_(minutes=1)
    done = with_ann.json("user", "delete", "ann", "--erase-details", "--yes")
    assert done == {"deleted": "ann", "details_erased": 1, "overwritten": True}
    rows = {row["action"]: row for row in with_ann.audit_rows()}
    assert not rows["admin.user.disable"]["detail"] and rows["admin.user.disable"]["username"] == "ann"
    for kept in ("admin.user.delete", "admin.kiosk.disable", "admin.audit.erase"):
        assert rows[kept]["detail"]["administrator"]
    assert with_ann("audit", "verify").exit_code == 0


def test_it_is_told(with_notify, told, pend):
    pend(with_notify)
    with_notify("user", "delete", "ann", "--yes")
    assert told(with_notify) == [("account_deleted", "ann")]
    assert with_notify.json("user", "changes") == {"changes": []}


def test_the_name_is_free_again_and_knows_nothing_of_before(with_ann, pend, engine, face, password_file):
    pend(with_ann)
    with_ann("user", "delete", "ann", "--yes")
    with_ann.parts["load_face_engine"] = lambda _settings: engine
    added = with_ann(
        *("user", "add", "ann", "--vouched", "--picture", face, "--kiosk", "lobby-1", "--password-file", password_file)
    )
    assert added.exit_code == 0, added.stderr
    shown = with_ann.json("user", "show", "ann")
    assert shown["pending_change"] is None and shown["failures"] == []


def test_an_administrator_of_that_name_would_be_inherited(with_ann):
    assert with_ann("admin", "add", "ann", "--role", "supervisor").exit_code == 0
    refused = with_ann("user", "delete", "ann", "--yes")
    assert refused.exit_code == 1
    assert "ann is an administrator too (supervisor)" in refused.stderr
    assert "run `4auth-provision admin remove ann` first" in refused.stderr
    assert with_ann("admin", "remove", "ann", "--yes").exit_code == 0
    assert with_ann("user", "delete", "ann", "--yes").exit_code == 0


@pytest.mark.parametrize("verb", ["delete", "reset", "cancel-change"])
def test_nobody_is_refused_and_the_try_is_audited(with_ann, verb):
    refused = with_ann("user", verb, "bob", "--yes", *(["--forget-password"] if verb == "reset" else []), "--json")
    assert refused.exit_code == 1 and json.loads(refused.stdout)["error"]["kind"] == "Refused"
    row = with_ann.audit_rows()[-1]
    assert (row["action"], row["username"], row["success"]) == (f"admin.user.{verb}", "bob", False)


def test_a_delete_whose_row_cannot_be_written_does_not_happen(with_ann, monkeypatch):
    before = data_key(with_ann)

    def full(*_):
        raise StoreError("the disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(AuditLog, "append", full)
        with pytest.raises(StoreError), with_ann.desk().site() as site:
            from provisioning.act import Act, commit

            with commit(site.database, Act("admin.user.delete", with_ann.clock(), username="ann")) as database:
                assert accounts_of(site, database).delete("ann")
    assert data_key(with_ann) == before
    with with_ann.desk().site() as site:
        assert accounts_of(site).enrolment("ann").totp_secret == "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
