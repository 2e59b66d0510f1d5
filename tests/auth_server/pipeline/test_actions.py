"""Every action but a log in, through the real pipeline: what it needs, what it does, when the old factor ends."""

import json
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp
import pytest

from auth_contract.actions import Action
from auth_server.admins import Role
from auth_server.domain import Factor
from auth_server.policy import POLICY, RECOVERIES

NEW_PASSWORD = "Quiet marmot 42"
SECOND_PERSON = {"actions": {action.value: {"second_person": True} for action in RECOVERIES}}
COOLING_OFF = {"actions": {action.value: {"cooling_off_s": 3600} for action in RECOVERIES}}
BOTH = {"actions": {action.value: {"second_person": True, "cooling_off_s": 3600} for action in RECOVERIES}}
WRONG = {
    Factor.PASSWORD: {"password": "Wrong horse 8"},
    Factor.TOTP: {"totp": "000000"},
    Factor.FACE: {"who": "eve"},
    Factor.DEVICE: {"mac": "02:00:5e:10:00:99"},
    Factor.KIOSK: {"mac": "02:00:5e:10:00:99"},
    Factor.CLOCK: {"client_ts_utc": "2026-11-22T09:33:05Z"},
    Factor.NEW_FACE: {"new_who": "print of ada"},
    Factor.PERMISSION: {"permission": "0" * 25},
}


def secret_of(reply: Any) -> str:
    """The secret that the QR code of a pending change holds."""
    return str(parse_qs(urlsplit(reply.json["pending"]["provisioning_uri"]).query)["secret"][0])


def invite(site: Any, name: str = "bob", **span: float) -> str:
    return str(
        site.services.authenticator.effects.tickets.invite(
            name, (), "root", site.time.now(), timedelta(**(span or {"hours": 1}))
        )
    )


def register(site: Any, permission: str, **changes: Any) -> Any:
    return site.submit(Action.REGISTER, **{"username": "bob", "permission": permission, "new_who": "bob", **changes})


def confirm(site: Any, pending: Any, *, secret: str | None = None, **changes: Any) -> Any:
    code = pyotp.TOTP(secret or secret_of(pending)).at(site.time.now())
    return site.submit(
        Action.CONFIRM,
        **{
            "username": pending.json["username"],
            "change_id": pending.json["pending"]["change_id"],
            "new_totp": code,
            **changes,
        },
    )


def account(site: Any, name: str) -> Any:
    return site.services.accounts.find(name)


class TestRegister:
    def test_a_ticket_makes_an_account_once_a_first_code_is_shown(self, site: Any) -> None:
        pending = register(site, invite(site))
        assert pending.status_code == 200, pending.text
        assert pending.json["pending"]["needs"] == ["code"]
        assert account(site, "bob") is None
        done = confirm(site, pending)
        assert done.status_code == 200 and "pending" not in done.json, done.text
        assert account(site, "bob").mac_addresses == {site.kiosk.mac}
        site.next_code()
        code = pyotp.TOTP(secret_of(pending)).at(site.time.now())
        again = site.login(who="bob", username="bob", password=NEW_PASSWORD, totp=code)
        assert again.status_code == 200, again.text

    def test_the_first_code_is_used_up(self, site: Any) -> None:
        pending = register(site, invite(site))
        assert confirm(site, pending).status_code == 200
        code = pyotp.TOTP(secret_of(pending)).at(site.time.now())
        assert site.login(who="bob", username="bob", password=NEW_PASSWORD, totp=code).status_code == 403

    def test_an_administrators_secret_does_so_too_and_the_log_names_whose(self, site: Any) -> None:
        secret = site.services.authenticator.effects.admins.add("grace", Role.ADMIN, site.time.now())
        pending = register(site, secret.lower())
        assert site.last_row()["detail"]["verdicts"]["permission"]["by"] == "grace"
        assert confirm(site, pending).status_code == 200
        assert account(site, "bob") is not None

    @pytest.mark.parametrize("role", [Role.SUPERVISOR, Role.AUDITOR])
    def test_no_other_role_may(self, site: Any, role: Role) -> None:
        admins = site.services.authenticator.effects.admins
        admins.add("grace", Role.ADMIN, site.time.now())
        assert register(site, admins.add("sue", role, site.time.now())).status_code == 403

    def test_an_administrator_who_was_removed_meanwhile_gave_no_leave(self, site: Any) -> None:
        admins = site.services.authenticator.effects.admins
        admins.add("ada", Role.ADMIN, site.time.now())
        pending = register(site, admins.add("grace", Role.ADMIN, site.time.now()))
        admins.remove("grace")
        assert confirm(site, pending).status_code == 409
        assert account(site, "bob") is None

    def test_a_ticket_that_names_kiosks_binds_to_these_alone(self, site: Any) -> None:
        tickets = site.services.authenticator.effects.tickets
        ticket = tickets.invite("bob", {site.other_kiosk.mac}, "root", site.time.now(), timedelta(hours=1))
        assert confirm(site, register(site, ticket)).status_code == 200
        assert account(site, "bob").mac_addresses == {site.other_kiosk.mac}

    def test_a_ticket_is_for_one_name(self, site: Any) -> None:
        assert register(site, invite(site), username="eve").status_code == 403

    def test_a_ticket_ends(self, site: Any) -> None:
        ticket = invite(site, minutes=1)
        site.time.moment += timedelta(minutes=1, seconds=1)
        assert register(site, ticket).status_code == 403

    def test_a_ticket_works_once(self, site: Any) -> None:
        ticket = invite(site)
        assert confirm(site, register(site, ticket)).status_code == 200
        with site.services.database.transaction() as session:
            assert not site.services.authenticator.effects.tickets.find(ticket, site.time.now())
            del session
        assert register(site, ticket).status_code == 403

    def test_whose_ticket_was_withdrawn_meanwhile_gets_no_account(self, site: Any) -> None:
        pending = register(site, invite(site))
        site.services.authenticator.effects.tickets.revoke("bob")
        assert confirm(site, pending).status_code == 409
        assert account(site, "bob") is None
        assert site.last_row()["reason"] == "start_again"

    def test_a_name_in_use_is_told_to_who_has_leave_and_to_nobody_else(self, site: Any) -> None:
        secret = site.services.authenticator.effects.admins.add("grace", Role.ADMIN, site.time.now())
        taken = register(site, secret, username="ada")
        assert (taken.status_code, taken.json["field"]) == (422, "username")
        assert "account" in taken.json["rule"]
        guess = register(site, "0" * 25, username="ada")
        assert guess.json == register(site, "0" * 25, username="nobody").json

    def test_nothing_is_half_registered(self, site: Any) -> None:
        pending = register(site, invite(site))
        site.time.moment += timedelta(seconds=601)
        assert confirm(site, pending).status_code == 409
        site.services.housekeeping.run()
        assert account(site, "bob") is None
        assert site.services.authenticator.changes.list() == []

    def test_a_weak_password_is_refused_by_its_rule_and_costs_no_try(self, site: Any) -> None:
        ticket = invite(site)
        for _ in range(7):
            weak = register(site, ticket, new_password="password1")
            assert (weak.status_code, weak.json["field"]) == (422, "new_password")
            assert "common" in weak.json["rule"]
        assert register(site, ticket).status_code == 200

    @pytest.mark.parametrize("hint", ["no_face", "several_faces", "blurred"])
    def test_pictures_that_cannot_be_enrolled_are_taken_again(self, site: Any, hint: str) -> None:
        again = register(site, invite(site), new_who=hint)
        assert (again.json["reason"], again.json["capture_hint"]) == ("capture_again", hint)

    def test_failures_count_at_the_kiosk_and_lock_nobody_out_of_logging_in(self, site: Any) -> None:
        for _ in range(5):
            assert register(site, "0" * 25, username="ada").status_code == 403
        assert register(site, "0" * 25, username="eve").status_code == 423
        assert site.login().status_code == 200


class TestConfirm:
    def test_a_wrong_code_may_be_followed_by_a_right_one(self, site: Any) -> None:
        pending = register(site, invite(site))
        assert confirm(site, pending, new_totp="000000").status_code == 403
        assert confirm(site, pending).status_code == 200

    def test_five_codes_may_be_tried(self, site: Any) -> None:
        pending = register(site, invite(site))
        for _ in range(5):
            assert confirm(site, pending, new_totp="000000").status_code == 403
        assert confirm(site, pending).json["reason"] == "start_again"

    def test_only_at_the_kiosk_that_asked(self, site: Any) -> None:
        pending = register(site, invite(site))
        elsewhere = confirm(site, pending, kiosk=site.other_kiosk)
        assert elsewhere.json["reason"] == "start_again"

    def test_once(self, site: Any) -> None:
        pending = register(site, invite(site))
        assert confirm(site, pending).status_code == 200
        assert confirm(site, pending).json["reason"] == "start_again"

    def test_a_newer_request_takes_the_place_of_the_one_before(self, site: Any) -> None:
        ticket = invite(site)
        first, second = register(site, ticket), register(site, ticket)
        assert confirm(site, first).json["reason"] == "start_again"
        assert confirm(site, second).status_code == 200


class TestWhatEachNeeds:
    @pytest.mark.parametrize(
        ("action", "factor"),
        [
            (action, factor)
            for action in (*RECOVERIES, Action.CANCEL, Action.APPROVE)
            for factor in POLICY[action].factors
            if factor in WRONG
        ],
    )
    def test_one_wrong_factor_denies_in_the_same_words_and_changes_nothing(
        self, site: Any, action: Action, factor: Factor
    ) -> None:
        before = _stored(site)
        refused = site.submit(action, person="bob", **WRONG[factor])
        assert (refused.status_code, refused.json["reason"]) == (403, "denied")
        assert refused.json["message"] == "That did not work."
        verdicts = site.verdicts()
        assert set(verdicts) == {f.value for f in POLICY[action].factors}
        assert verdicts[factor.value] is False
        assert _stored(site) == before

    @pytest.mark.parametrize("action", RECOVERIES)
    def test_a_disabled_account_recovers_nothing(self, site: Any, action: Action) -> None:
        site.services.accounts.set_enabled("ada", False)
        assert site.submit(action).status_code == 403

    @pytest.mark.parametrize("action", RECOVERIES)
    def test_an_unknown_name_reads_the_same(self, site: Any, action: Action) -> None:
        known = site.submit(action, password="Wrong horse 8", totp="000000")
        unknown = site.submit(action, username="nobody")
        assert (known.status_code, known.json) == (unknown.status_code, unknown.json)


class TestRecover:
    def test_the_old_totp_secret_works_until_a_code_of_the_new_one_is_shown(self, site: Any) -> None:
        pending = site.submit(Action.RECOVER_TOTP)
        assert pending.json["pending"]["needs"] == ["code"]
        assert site.login().status_code == 200
        site.next_code()
        assert confirm(site, pending).status_code == 200
        site.next_code()
        assert site.login().status_code == 403
        code = pyotp.TOTP(secret_of(pending)).at(site.time.now())
        assert site.login(totp=code).status_code == 200

    def test_a_code_that_was_used_stays_used_across_a_new_secret(self, site: Any) -> None:
        """And the new secret's codes are all new: that of the half minute in which the old one served too."""
        used = site.code()
        assert site.login(totp=used).status_code == 200
        pending = site.submit(Action.RECOVER_TOTP)
        totp, now = pyotp.TOTP(secret_of(pending)), site.time.now()
        before, same = totp.at(now - timedelta(seconds=30)), totp.at(now)
        assert confirm(site, pending, new_totp=before).status_code == 200
        assert [site.login(totp=code).status_code for code in (used, before, same, same)] == [403, 403, 200, 403]

    def test_a_new_password(self, site: Any) -> None:
        assert site.submit(Action.RECOVER_PASSWORD).status_code == 200
        site.next_code()
        assert site.login().status_code == 403
        assert site.login(password=NEW_PASSWORD).status_code == 200

    def test_its_code_is_used_up(self, site: Any) -> None:
        assert site.submit(Action.RECOVER_PASSWORD).status_code == 200
        assert site.login(password=NEW_PASSWORD).status_code == 403

    def test_a_new_face(self, site: Any) -> None:
        assert site.submit(Action.RECOVER_FACE, new_who="older ada").status_code == 200
        site.next_code()
        assert site.login().status_code == 403
        assert site.login(who="older ada").status_code == 200
        assert site.services.accounts.face_picture("ada") == b"png of older ada"

    def test_another_device(self, site: Any) -> None:
        moved = site.submit(Action.UPDATE_MAC, kiosk=site.other_kiosk)
        assert moved.status_code == 200, moved.text
        assert account(site, "ada").mac_addresses == {site.other_kiosk.mac}
        site.next_code()
        assert site.login().status_code == 403
        assert site.login(kiosk=site.other_kiosk, mac=site.other_kiosk.mac).status_code == 200

    @pytest.mark.parametrize("action", [Action.RECOVER_PASSWORD, Action.RECOVER_FACE, Action.UPDATE_MAC])
    def test_attempts_that_were_open_end(self, site: Any, action: Action) -> None:
        opened = site.open()
        site.time.moment += timedelta(seconds=1)
        assert site.submit(action).status_code == 200
        site.next_code()
        right = site.fields(opened, password=NEW_PASSWORD if action is Action.RECOVER_PASSWORD else "Correct horse 7")
        late = site.post("/v1/login", json.dumps(right).encode(), nonce=opened["nonce"])
        assert late.status_code == 403
        assert "factor changed" in site.last_row()["detail"]["why"]

    def test_it_never_resets_the_count_of_failures(self, site: Any) -> None:
        for _ in range(4):
            assert site.login(totp="000000").status_code == 403
        assert site.submit(Action.RECOVER_TOTP).status_code == 200
        assert site.login(totp="000000").status_code == 403
        assert site.login(totp="000000").status_code == 423

    def test_guesses_at_all_kiosks_together_are_limited_where_no_own_one_is_needed(self, site: Any) -> None:
        strangers = [type(site.kiosk)(f"kiosk-{n}", f"02:00:5e:10:00:1{n}", site.time.now) for n in range(3, 9)]
        for kiosk in strangers:
            site.services.kiosks.add(kiosk.kiosk_id, kiosk.key.public_key().public_bytes_raw(), kiosk.mac)
        *five, sixth = strangers
        for kiosk in five:
            assert site.submit(Action.UPDATE_MAC, kiosk=kiosk, totp="000000").status_code == 403
        assert site.submit(Action.UPDATE_MAC, kiosk=sixth).status_code == 423
        assert site.submit(Action.UPDATE_MAC).status_code == 200, "at the own kiosk nobody is held up by it"


@pytest.mark.parametrize("sections", [SECOND_PERSON], indirect=True)
class TestSecondPerson:
    def approve(self, site: Any, **changes: Any) -> Any:
        return site.submit(
            Action.APPROVE,
            **{"username": "sue", "person": "ada", "who": "sue", "kiosk": site.other_kiosk, **changes},
        )

    def test_nothing_changes_before_a_supervisor_approves(self, site: Any, sue: Any) -> None:
        asked = site.submit(Action.RECOVER_PASSWORD)
        assert asked.json["pending"]["needs"] == ["approval"]
        site.next_code()
        assert site.login().status_code == 200
        assert self.approve(site).status_code == 200
        site.next_code()
        assert site.login().status_code == 403
        assert site.login(password=NEW_PASSWORD).status_code == 200

    def test_not_at_the_same_kiosk(self, site: Any, sue: Any) -> None:
        site.submit(Action.RECOVER_PASSWORD)
        same = self.approve(site, kiosk=site.kiosk)
        assert (same.status_code, same.json["field"]) == (422, "person")

    def test_not_after_the_window(self, site: Any, sue: Any) -> None:
        site.submit(Action.RECOVER_PASSWORD)
        site.time.moment += timedelta(seconds=901)
        assert self.approve(site).status_code == 422

    def test_not_by_oneself(self, site: Any) -> None:
        site.services.authenticator.effects.admins.add("ada", Role.SUPERVISOR, site.time.now())
        site.services.accounts.bind("ada", site.other_kiosk.mac, site.time.now())
        site.submit(Action.RECOVER_PASSWORD)
        site.next_code()
        assert self.approve(site, username="ada", who="ada").status_code == 422

    def test_not_without_the_role(self, site: Any, sue: Any) -> None:
        site.submit(Action.RECOVER_PASSWORD)
        site.services.authenticator.effects.admins.add("root", Role.ADMIN, site.time.now())
        site.services.authenticator.effects.admins.set_role("sue", Role.AUDITOR)
        assert self.approve(site).status_code == 403
        assert site.verdicts()["supervisor"] is False

    def test_a_new_secret_needs_its_code_first(self, site: Any, sue: Any) -> None:
        asked = site.submit(Action.RECOVER_TOTP)
        assert asked.json["pending"]["needs"] == ["code", "approval"]
        assert self.approve(site).status_code == 422
        waiting = confirm(site, asked)
        assert waiting.json["pending"]["needs"] == ["approval"]
        assert "provisioning_uri" not in waiting.json["pending"]
        site.next_code()
        assert self.approve(site).status_code == 200
        site.next_code()
        assert site.login(totp=pyotp.TOTP(secret_of(asked)).at(site.time.now())).status_code == 200


class TestCoolingOff:
    @pytest.mark.parametrize("sections", [COOLING_OFF], indirect=True)
    def test_the_old_factor_works_until_the_time_is_over(self, site: Any) -> None:
        asked = site.submit(Action.RECOVER_PASSWORD)
        assert asked.json["pending"]["needs"] == ["time"]
        until = datetime.fromisoformat(asked.json["pending"]["in_force_at"])
        assert until - site.time.now() == timedelta(hours=1)
        site.time.moment += timedelta(minutes=59)
        site.services.housekeeping.run()
        told = site.login()
        assert told.status_code == 200 and "asked for in your name" in told.json["message"]
        site.time.moment += timedelta(minutes=1)
        site.services.housekeeping.run()
        assert site.login().status_code == 403
        assert site.login(password=NEW_PASSWORD).status_code == 200

    @pytest.mark.parametrize("sections", [COOLING_OFF], indirect=True)
    def test_it_is_put_in_force_once_with_one_row(self, site: Any) -> None:
        site.submit(Action.RECOVER_PASSWORD)
        site.time.moment += timedelta(hours=2)
        site.services.housekeeping.run()
        site.services.housekeeping.run()
        rows = [row for row in site.services.audit.rows() if row.action == "change_in_force"]
        assert len(rows) == 1 and rows[0].success

    @pytest.mark.parametrize("sections", [COOLING_OFF], indirect=True)
    def test_it_is_cancelled_at_any_kiosk_with_the_old_factors(self, site: Any) -> None:
        site.submit(Action.RECOVER_PASSWORD)
        site.next_code()
        assert site.submit(Action.CANCEL, kiosk=site.other_kiosk).status_code == 200
        site.time.moment += timedelta(hours=2)
        site.services.housekeeping.run()
        assert site.login().status_code == 200

    def test_what_does_not_wait_cannot_be_cancelled(self, site: Any) -> None:
        nothing = site.submit(Action.CANCEL)
        assert (nothing.status_code, nothing.json["field"]) == (422, "username")

    @pytest.mark.parametrize("sections", [BOTH], indirect=True)
    def test_the_time_begins_with_the_approval(self, site: Any, sue: Any) -> None:
        site.submit(Action.RECOVER_PASSWORD)
        site.time.moment += timedelta(minutes=10)
        TestSecondPerson().approve(site)
        change = site.services.authenticator.changes.pending("ada")
        assert change.in_force_at == site.time.now() + timedelta(hours=1)


@pytest.mark.parametrize("sections", [{"actions": {"register": {"enabled": False}}}], indirect=True)
def test_an_action_can_be_switched_off(site: Any) -> None:
    refused = site.post("/v1/attempts", b'{"action":"register"}', nonce="a" * 22)
    assert (refused.status_code, refused.json["field"]) == (422, "action")


def test_no_secret_is_kept_in_the_clear(site: Any) -> None:
    ticket = invite(site)
    pending = register(site, ticket)
    confirm(site, pending)
    site.submit(Action.RECOVER_PASSWORD)
    kept = "".join(str(row) for row in site.services.audit.rows())
    with site.services.database.read() as session:
        tables = ("users", "user_keys", "changes", "tickets", "notifications", "attempts")
        kept += "".join(str(session.connection().exec_driver_sql(f"SELECT * FROM {t}").all()) for t in tables)  # noqa: S608
    for secret in (ticket, ticket.replace("-", ""), secret_of(pending), NEW_PASSWORD, "provisioning", "otpauth"):
        assert secret not in kept


def _stored(site: Any) -> list[Any]:
    """All that an account's factors and pending changes are."""
    with site.services.database.read() as session:
        return [
            session.connection().exec_driver_sql(f"SELECT * FROM {table}").all()  # noqa: S608
            for table in ("users", "user_keys", "user_devices", "changes")
        ]
