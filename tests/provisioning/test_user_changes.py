"""`user changes | cancel-change`: what was asked for at kiosks, and its end."""

from datetime import timedelta

import pytest

from auth_contract.actions import Action
from auth_server.changes import NewFactors
from provisioning.user_lookup import accounts_of, changes_of

SECRET = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"


@pytest.mark.parametrize(
    ("asked", "needs", "waits"),
    [
        ({}, ["approval"], "approval; ends 2026-11-22 09:45:00Z"),
        ({"action": Action.RECOVER_TOTP}, ["code", "approval"], "code, then approval; ends 2026-11-22 09:40:00Z"),
        ({"cooling_off_s": 60}, ["approval", "time"], "approval, then time; ends 2026-11-22 09:45:00Z"),
    ],
)
def test_what_waits_is_listed_with_what_it_waits_for_and_without_its_content(with_ann, pend, asked, needs, waits):
    pend(with_ann, new=NewFactors(totp_secret=SECRET, password_hash=b"$2b$12$new"), **asked)
    shown = with_ann("user", "changes")
    assert waits in shown.stdout and "lobby-1" in shown.stdout
    [listed] = with_ann.json("user", "changes")["changes"]
    assert listed["username"] == "ann" and listed["needs"] == needs and listed["in_force_at"] is None
    assert SECRET not in shown.stdout + str(listed) and "$2b$" not in shown.stdout + str(listed)


def test_what_waits_for_time_alone_says_from_when_it_is_in_force(with_ann, pend):
    at = with_ann.clock() + timedelta(days=2)
    pend(with_ann, is_approval_needed=False, approved_by="grace", cooling_off_s=172_800, in_force_at=at)
    assert "in force from 2026-11-24 09:30:00Z" in with_ann("user", "changes").stdout
    [listed] = with_ann.json("user", "changes")["changes"]
    assert (listed["approved_by"], listed["expires_at"]) == ("grace", None)
    with_ann.clock.pass_(days=3)
    assert len(with_ann.json("user", "changes")["changes"]) == 1, "the server puts it in force, and nobody else"


def test_what_has_expired_is_gone_before_it_is_forgotten(with_ann, pend):
    pend(with_ann)
    with_ann.clock.pass_(seconds=900)
    assert with_ann.json("user", "changes") == {"changes": []}
    assert with_ann.json("user", "show", "ann")["pending_change"] is None
    refused = with_ann("user", "cancel-change", "ann", "--yes")
    assert "ann has no pending change: `4auth-provision user changes` tells who has one" in refused.stderr


def test_cancel_asks_and_ends_it_and_leaves_what_was(with_notify, pend, told):
    change = pend(with_notify)
    refused = with_notify("user", "cancel-change", "ann", typed="n\n")
    assert refused.exit_code == 1 and "recover_password of ann, approval; ends" in refused.stderr
    with with_notify.desk().site() as site:
        before = accounts_of(site).enrolment("ann")
    done = with_notify("user", "cancel-change", "ann", "--yes")
    assert done.stdout == "The change of ann is cancelled: recover_password.\n"
    with with_notify.desk().site() as site:
        assert changes_of(site).pending("ann") is None
        assert accounts_of(site).enrolment("ann") == before
    assert told(with_notify) == [("change_cancelled", "ann")]
    row = with_notify.audit_rows()[-1]
    assert (row["action"], row["username"], row["success"]) == ("admin.user.cancel-change", "ann", True)
    assert row["detail"]["change"] == {"id": change.change_id, "action": "recover_password", "kiosk": "lobby-1"}


def test_there_is_nothing_to_cancel_twice(with_ann, pend):
    pend(with_ann)
    assert with_ann("user", "cancel-change", "ann", "--yes").exit_code == 0
    assert with_ann("user", "cancel-change", "ann", "--yes").exit_code == 1
    assert with_ann.audit_rows()[-1]["success"] is False


def test_a_registration_is_cancelled_though_nobody_has_the_account(with_kiosk, pend):
    pend(with_kiosk, username="bob", action=Action.REGISTER)
    shown = with_kiosk.json("user", "show", "bob")
    assert shown["user"] is None and shown["pending_change"]["action"] == "register"
    assert "no account yet" in with_kiosk("user", "show", "bob").stdout
    assert with_kiosk("user", "cancel-change", "bob", "--yes").exit_code == 0
    assert with_kiosk("user", "show", "bob").exit_code == 1


def test_a_change_that_another_took_the_place_of_meanwhile_is_not_cancelled(with_ann, pend, monkeypatch):
    """The administrator agreed to the end of the one that was shown."""
    from provisioning.desk import Desk

    pend(with_ann)
    monkeypatch.setattr(Desk, "confirm", lambda *_, **__: pend(with_ann, change_id="another"))
    assert with_ann("user", "cancel-change", "ann").exit_code == 1
    with with_ann.desk().site() as site:
        assert changes_of(site).pending("ann").change_id == "another"
