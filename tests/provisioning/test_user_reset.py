"""`user reset`: factors replaced at the desk; the old ones end at once, and everybody concerned learns of it."""

import json
import time
from datetime import timedelta

import bcrypt
import pyotp
import pytest

from auth_contract.actions import Action
from auth_server.domain import Template
from auth_server.factors import password
from demo.qr_reader import read_qr_file
from provisioning.user_lookup import accounts_of, changes_of

PASSWORD = "correct Horse 7 battery"
OLD_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def desk(with_notify, engine):
    """A site with ann, a quick engine, and a program that is told."""
    with_notify.parts["load_face_engine"] = lambda _settings: engine
    with_notify.clock.pass_(hours=1)
    return with_notify


def enrolment(desk):
    with desk.desk().site() as site:
        return accounts_of(site).enrolment("ann")


def test_a_password_is_typed_twice_by_the_person(desk, typist):
    before = enrolment(desk)
    done = desk("user", "reset", "ann", "--password", typed=typist("y", PASSWORD, PASSWORD))
    assert done.exit_code == 0, done.stderr
    assert "The present password of ann will be worth nothing. Go on?" in done.stderr
    assert done.stdout == "Replaced of ann: password.\n"
    after = enrolment(desk)
    assert bcrypt.checkpw(PASSWORD.encode(), after.password_hash)
    assert (after.totp_secret, after.template) == (before.totp_secret, before.template)


def test_a_password_may_come_from_a_file(desk, password_file):
    done = desk("user", "reset", "ann", "--password", "--password-file", password_file, "--yes")
    assert done.exit_code == 0 and PASSWORD not in done.stdout + done.stderr
    assert bcrypt.checkpw(PASSWORD.encode(), enrolment(desk).password_hash)


def test_a_forgotten_password_fits_nobody_and_takes_as_long_to_refuse(desk):
    done = desk("user", "reset", "ann", "--forget-password", "--yes")
    assert "No password lets ann in until one is set by `recover password` at a kiosk." in done.stdout
    stored = enrolment(desk).password_hash
    assert stored.startswith(b"$2b$12$") and len(stored) == 60
    begun = time.process_time()
    assert not password.verify(claim=PASSWORD, enrolment=stored).passed
    assert time.process_time() - begun > 0.05, "a hash that is none is refused in no time, and so told apart"


def test_a_second_factor_is_shown_once_and_proved_by_a_code(desk, typist, tmp_path):
    uri = tmp_path / "qr.png"

    def code() -> str:
        text = read_qr_file(uri)
        return pyotp.TOTP(pyotp.parse_uri(text).secret).at(desk.clock())

    done = desk(
        *("user", "reset", "ann", "--totp", "--confirm-code", "--qr-file", uri, "--yes"), typed=typist("000000", code)
    )
    assert done.exit_code == 0, done.stderr
    after = enrolment(desk)
    assert after.totp_secret != OLD_SECRET and after.totp_secret not in done.stdout + done.stderr
    assert after.totp_last_step == int(desk.clock().timestamp()) // 30
    assert done.stdout.count("█") > 100


def test_the_old_secret_stays_when_no_code_is_right(desk, typist, tmp_path):
    qr = tmp_path / "qr.png"
    options = ("--totp", "--confirm-code", "--qr-file", qr, "--yes")
    refused = desk("user", "reset", "ann", *options, typed=typist("000000", "111111", "222222"))
    assert refused.exit_code == 1 and "no right code in 3 tries: nothing was stored" in refused.stderr
    assert enrolment(desk).totp_secret == OLD_SECRET and not qr.exists()


def test_json_has_how_the_secret_is_handed_out(desk, tmp_path):
    shown = json.loads(desk("user", "reset", "ann", "--totp", "--show-uri", "--yes", "--json").stdout)
    assert pyotp.parse_uri(shown["provisioning_uri"]).secret == enrolment(desk).totp_secret
    assert shown["factors"] == ["authenticator secret"]


def test_a_face_comes_from_pictures(desk, face):
    done = desk("user", "reset", "ann", "--face", "--vouched", "--picture", face, "--yes")
    assert done.exit_code == 0, done.stderr
    assert enrolment(desk).template == Template("test-model", b"\1" * 16)
    with desk.desk().site() as site:
        assert accounts_of(site).face_picture("ann") == b"aligned face"


def test_several_at_once_are_replaced_together_or_not_at_all(desk, face, no_face, password_file, typist):
    before = enrolment(desk)
    options = ("--password", "--password-file", password_file, "--totp", "--face", "--vouched", "--picture")
    refused = desk("user", "reset", "ann", *options, no_face, "--no-confirm-code", "--yes")
    assert refused.exit_code == 1 and "wall.png cannot be enrolled: no face" in refused.stderr
    refused = desk("user", "reset", "ann", *options, face, "--confirm-code", "--yes", typed=typist("0", "0", "0"))
    assert refused.exit_code == 1
    assert enrolment(desk) == before
    done = desk("user", "reset", "ann", *options, face, "--no-confirm-code", "--yes")
    assert "Replaced of ann: password, authenticator secret, face." in done.stdout
    after = enrolment(desk)
    for factor in ("password_hash", "totp_secret", "template"):
        assert getattr(after, factor) != getattr(before, factor)


def test_no_means_no(desk):
    before = enrolment(desk)
    assert desk("user", "reset", "ann", "--forget-password", typed="n\n").exit_code == 1
    assert desk("user", "reset", "ann", "--forget-password").exit_code == 1
    assert enrolment(desk) == before


@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["ann"], 2, "say what to replace: --password, --forget-password, --totp, --face, or several"),
        (["ann", "--password", "--forget-password"], 2, "give either --password or --forget-password"),
        (["ann", "--totp", "--password-file", "x"], 2, "--password-file: only with --password"),
        (["ann", "--password", "--show-uri"], 2, "--qr-file, --show-uri and --confirm-code: only with --totp"),
        (["ann", "--password", "--no-confirm-code"], 2, "--qr-file, --show-uri and --confirm-code: only with --totp"),
        (["ann", "--totp", "--camera", "0"], 2, "--picture and --camera: only with --face"),
        (["ann", "--face"], 2, "give either --picture, once or more, or --camera"),
        (["ann", "--totp", "--json"], 2, "with --json, give --qr-file or --show-uri"),
        (["bob", "--forget-password"], 1, "there is no account bob"),
        (["ann", "--password", "--password-file", "{weak}"], 1, "a password has at least 8 characters"),
    ],
)
def test_refused(desk, password_file, arguments, exit_code, message):
    before = enrolment(desk)
    password_file.write_text("short7")
    arguments = [argument.format(weak=password_file) for argument in arguments]
    refused = desk("user", "reset", *arguments, "--yes")
    assert refused.exit_code == exit_code and message in " ".join(refused.stderr.split())
    assert "short7" not in refused.stderr
    assert enrolment(desk) == before


def test_a_pending_change_and_open_attempts_end(desk, pend, told):
    pend(desk, action=Action.RECOVER_FACE)
    opened_at = desk.clock()
    desk.clock.pass_(seconds=5)
    done = desk("user", "reset", "ann", "--forget-password", "--yes")
    assert "The change that was under way has ended: recover_face." in done.stdout
    with desk.desk().site() as site:
        assert changes_of(site).pending("ann") is None
        with site.database.transaction() as session:
            moments = {"opened_at": opened_at, "now": desk.clock() + timedelta(seconds=1)}
            assert not accounts_of(site).spend(session, "ann", step=None, **moments)
    assert told(desk) == [("change_cancelled", "ann"), ("factor_reset", "ann")]


def test_it_is_audited_without_a_secret_and_told_in_plain_words(desk):
    desk("user", "reset", "ann", "--forget-password", "--totp", "--no-confirm-code", "--yes")
    desk("user", "reset", "bob", "--totp", "--yes")
    reset, refused = desk.audit_rows()[-2:]
    assert (reset["action"], reset["username"], reset["success"]) == ("admin.user.reset", "ann", True)
    assert reset["detail"]["factors"] == ["password", "authenticator secret"]
    assert (refused["username"], refused["success"]) == ("bob", False)
    assert enrolment(desk).totp_secret not in json.dumps(desk.audit_rows())
    from auth_server.notifications import Notifications

    with desk.desk().site() as site:
        [message] = [json.loads(one.body)["message"] for one in Notifications(site.database).list()]
    assert message.startswith("Replaced of ann by ") and ": password, authenticator secret. If ann does not" in message


def test_an_account_that_is_deleted_meanwhile_is_not_made_again(desk, monkeypatch):
    from provisioning import user_reset

    hashed = user_reset._password_hash

    def delete_first(site, asked):
        accounts_of(site).delete("ann")
        return hashed(site, asked)

    monkeypatch.setattr(user_reset, "_password_hash", delete_first)
    refused = desk("user", "reset", "ann", "--forget-password", "--yes")
    assert refused.exit_code == 1 and "there is no account ann" in refused.stderr
    assert desk.json("user", "list") == {"users": []}
