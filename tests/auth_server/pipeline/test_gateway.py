"""What a client of a gateway can have, and what it cannot: the gateway's signature proves nothing of the client."""

import base64
import json
from datetime import timedelta
from typing import Any, ClassVar

import pyotp
import pytest

from auth_contract import paths
from auth_contract.actions import Action
from auth_contract.messages import SUBMISSIONS
from auth_server.admins import Role
from auth_server.bootstrap import new_token
from auth_server.changes import Asked, NewFactors
from auth_server.enforcement import EffectRefused
from auth_server.gateway_names import GatewayNames
from auth_server.policy import POLICY, RECOVERIES, WIRE_ACTIONS, through_gateway

from .conftest import MAC, NEW_PASSWORD, PASSWORD, FakeKiosk, picture

CLIENT, OTHER_CLIENT, PEER = "02:00:5e:77:00:01", "02:00:5e:77:00:02", "192.0.2.7"
OPEN = {"gateway": {"enabled": True, "passive_alone": True, "recoveries": True}}
LIVELY = {**OPEN, "face": {"models": "none", "presence": "both"}}
EVERYBODY = {"gateway": {**OPEN["gateway"], "users": "all"}}


@pytest.fixture
def sections(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A site that lets a gateway in, unless a test says otherwise."""
    return dict(getattr(request, "param", OPEN))


class Client:
    """A client elsewhere, and the gateway that speaks for it."""

    def __init__(self, site, mac: str = CLIENT, peer: str | None = PEER) -> None:
        self.site, self.mac, self.peer = site, mac, peer
        self.gate = FakeKiosk("gate-1", mac, site.time.now)
        site.services.kiosks.add("gate-1", self.gate.key.public_key().public_bytes_raw(), None)

    def open(self, action: Action = Action.LOGIN, username: str = "ada") -> Any:
        asked = {"action": action.value, "username": username}
        body = json.dumps(asked | ({} if self.peer is None else {"peer": self.peer})).encode()
        return self.site.post(paths.ATTEMPTS, body, nonce=new_token(), kiosk=self.gate)

    def ask(self, action: Action = Action.LOGIN, *, who: str = "ada", **changes: Any) -> Any:
        """Ask for an action with all that it needs, right, with changes."""
        opened = self.open(action, changes.get("username", "ada"))
        if opened.status_code != 200:
            return opened
        face = [base64.b64encode(picture(who)).decode()]
        right = {
            "attempt_id": opened.json["attempt_id"],
            "username": "ada",
            "mac": self.mac,
            "peer": self.peer,
            "client_ts_utc": self.site.time.now().isoformat(),
            "password": PASSWORD,
            "totp": self.site.code(),
            "frames": face,
            "new_password": NEW_PASSWORD,
            "new_frames": face,
            "new_mac": OTHER_CLIENT if action is Action.UPDATE_MAC else None,
            **changes,
        }
        wanted = SUBMISSIONS[action].model_fields
        body = json.dumps({name: value for name, value in right.items() if name in wanted and value is not None})
        return self.site.post(paths.SUBMISSION[action], body.encode(), nonce=opened.json["nonce"], kiosk=self.gate)


@pytest.fixture
def client(site) -> Client:
    """A client of which ada's account knows the device, and she may come through the gateway."""
    made = Client(site)
    GatewayNames(site.services.database).allow("ada")
    site.services.accounts.bind("ada", CLIENT, site.time.now() - timedelta(minutes=5))
    return made


def refusal(reply) -> tuple[int, str, str]:
    return reply.status_code, reply.json["reason"], reply.json["message"]


def test_a_person_of_four_factors_is_granted_and_the_row_says_through_what(client, site):
    reply = client.ask()
    assert reply.status_code == 200 and reply.json["username"] == "ada"
    row = site.last_row()
    assert (row["kiosk"], row["action"], row["success"]) == ("gate-1", "login", True)
    assert row["detail"]["gateway"] == {"peer": PEER}
    assert row["detail"]["verdicts"]["device"] == {
        "passed": True, "claimed_mac": CLIENT, "has_leave": True, "is_a_kiosks": False, "is_bound": True,
    }  # fmt: skip


WRONG = [
    ("password", {"password": "Wrong horse 7"}),
    ("totp", {"totp": "000000"}),
    ("face", {"who": "eve"}),
    ("face", {"who": "print of ada"}),
    ("device", {"mac": OTHER_CLIENT}),
    ("clock", {"client_ts_utc": "2026-11-22T09:00:00Z"}),
]


@pytest.mark.parametrize(("factor", "changes"), WRONG)
def test_one_wrong_factor_is_a_denial_that_does_not_say_which(client, site, factor, changes):
    assert refusal(client.ask(**changes)) == (403, "denied", "That did not work.")
    passed = site.verdicts()
    assert [name for name, is_good in passed.items() if not is_good] == [factor]


def test_the_mac_of_a_registered_kiosk_is_no_claim_that_counts(client, site):
    """Ada is bound to it, and that kiosk would have signed."""
    assert refusal(client.ask(mac=MAC))[1] == "denied"
    assert site.last_row()["detail"]["verdicts"]["device"]["is_a_kiosks"] is True


def test_a_name_that_is_not_listed_is_denied_like_any_other(client, site):
    before = refusal(client.ask(password="Wrong horse 7"))
    GatewayNames(site.services.database).forbid("ada")
    assert refusal(client.ask()) == before, "from the next request on"
    assert site.last_row()["detail"]["verdicts"]["device"]["has_leave"] is False
    assert refusal(client.ask(username="nobody")) == before


@pytest.mark.parametrize("sections", [EVERYBODY], indirect=True)
def test_a_site_may_let_everybody_come(client, site):
    GatewayNames(site.services.database).forbid("ada")
    assert client.ask().status_code == 200


@pytest.mark.parametrize("sections", [LIVELY], indirect=True)
def test_nobody_is_asked_to_move_and_the_look_of_the_picture_is_judged(client, site):
    assert "movements" not in client.open().json or client.open().json["movements"] == []
    assert client.ask().status_code == 200
    site.next_code()
    assert refusal(client.ask(who="print of ada"))[1] == "denied"


SHUT = {"gateway": {"enabled": True, "users": "all"}}


@pytest.mark.parametrize("sections", [SHUT], indirect=True)
@pytest.mark.parametrize("action", sorted(WIRE_ACTIONS))
def test_where_the_look_alone_does_not_do_people_are_sent_to_a_kiosk(client, site, action):
    assert refusal(client.ask(action)) == (403, "use_kiosk", "This cannot be done from here. Please go to a kiosk.")
    row = site.last_row()
    assert (row["reason"], row["username"], row["kiosk"]) == ("use_kiosk", "ada", "gate-1")
    assert row["detail"]["gateway"] == {"peer": PEER}


UNCHANGED = {"gateway": {"enabled": True, "passive_alone": True}}


@pytest.mark.parametrize("sections", [UNCHANGED], indirect=True)
@pytest.mark.parametrize("action", sorted(WIRE_ACTIONS))
def test_no_factor_is_changed_through_it_unless_the_settings_say_so(client, site, action):
    """Since a new one counts at the person's kiosks: a password and a photograph would lead to the door."""
    reply = client.ask(action)
    assert (reply.json.get("reason") == "use_kiosk") == (action in RECOVERIES)


@pytest.mark.parametrize("sections", [{}], indirect=True)
def test_no_gateway_is_let_in_unless_the_settings_say_so(client, site):
    assert refusal(client.open())[:2] == (401, "kiosk_refused")
    row = site.last_row()
    assert "gateway.enabled = false" in row["detail"]["why"] and row["kiosk"] == "gate-1"


@pytest.mark.parametrize("action", sorted(set(Action) - WIRE_ACTIONS))
def test_what_the_wire_has_no_code_for_is_refused(client, action):
    """So a stolen gateway can neither approve nor cancel."""
    assert refusal(client.open(action))[:2] == (422, "malformed")


def test_a_gateway_names_its_client_and_a_kiosk_none(client, site):
    client.peer = None
    assert client.open().json["field"] == "peer"
    asked = json.dumps({"action": "login", "peer": PEER}).encode()
    assert site.post(paths.ATTEMPTS, asked, nonce=new_token()).json["field"] == "peer"


def test_a_submission_must_name_its_client_too(client):
    opened = client.open()
    client.open = lambda *_: opened
    client.peer = None
    assert client.ask().json["field"] == "peer"


def test_what_is_a_gateways_alone_is_refused_of_a_kiosk(client, site):
    assert site.submit(Action.UPDATE_MAC, new_mac=OTHER_CLIENT).json["field"] == "new_mac"
    one = [base64.b64encode(picture("ada")).decode()]
    assert site.submit(Action.RECOVER_FACE, new_frames=one).json["field"] == "new_frames"


class TestChanges:
    """What is asked for through a gateway is in force at once, and touches nothing that is a kiosk's."""

    def test_a_new_secret_needs_no_first_code(self, client, site):
        reply = client.ask(Action.RECOVER_TOTP)
        assert "pending" not in reply.json and "Scan the picture" in reply.json["message"]
        code = pyotp.parse_uri(reply.json["provisioning_uri"]).at(site.time.now())
        assert refusal(client.ask())[1] == "denied", "the old secret is dead"
        assert client.ask(totp=code).status_code == 200, "in the half minute in which it was made"

    def test_a_name_is_registered_by_one_picture_and_bound_to_what_the_client_claims(self, client, site):
        admin = site.services.authenticator.effects.admins.add("root", Role.ADMIN, site.time.now())
        asked = {"username": "bob", "permission": admin, "who": "bob"}
        assert refusal(client.ask(Action.REGISTER, **asked))[1] == "denied", "the name is not listed"
        GatewayNames(site.services.database).allow("bob")
        assert refusal(client.ask(Action.REGISTER, **asked, mac=MAC))[1] == "denied", "that is a kiosk's"
        reply = client.ask(Action.REGISTER, **asked)
        code = pyotp.parse_uri(reply.json["provisioning_uri"]).at(site.time.now())
        assert site.services.accounts.enrolment("bob").mac_addresses == {CLIENT}
        assert client.ask(username="bob", password=NEW_PASSWORD, totp=code, who="bob").status_code == 200

    def test_a_ticket_binds_to_its_kiosks_as_well(self, client, site):
        now = site.time.now()
        tickets = site.services.authenticator.judge.tickets
        ticket = tickets.invite("bob", [MAC], "root", now, timedelta(hours=1))
        GatewayNames(site.services.database).allow("bob")
        assert client.ask(Action.REGISTER, username="bob", permission=ticket, who="bob").status_code == 200
        assert site.services.accounts.enrolment("bob").mac_addresses == {MAC, CLIENT}

    def test_another_device_takes_the_place_of_the_claimed_ones_and_of_no_kiosk(self, client, site):
        reply = client.ask(Action.UPDATE_MAC)
        assert reply.json["message"].startswith("Your account is bound to the new device now.")
        assert site.services.accounts.enrolment("ada").mac_addresses == {MAC, OTHER_CLIENT}

    def test_nobody_is_bound_to_a_kiosk_from_elsewhere(self, client, site):
        bound = site.services.accounts.enrolment("ada").mac_addresses
        assert refusal(client.ask(Action.UPDATE_MAC, new_mac=site.other_kiosk.mac))[1] == "denied"
        assert site.services.accounts.enrolment("ada").mac_addresses == bound

    def test_a_new_face_of_one_picture(self, client, site):
        assert client.ask(Action.RECOVER_FACE, who="ada after the accident").status_code == 200
        site.next_code()
        assert refusal(client.ask())[1] == "denied"
        assert client.ask(who="ada after the accident").status_code == 200

    def test_a_claimed_device_that_became_a_kiosk_meanwhile_is_not_bound(self, client, site):
        """Where a change waited: nobody may choose a kiosk from elsewhere, tomorrow's neither."""
        client.ask(Action.UPDATE_MAC)
        pending = site.services.authenticator.effects
        change = pending.changes.new(
            Asked(
                username="ada",
                action=Action.UPDATE_MAC,
                kiosk_id="gate-1",
                new=NewFactors(mac_addresses=frozenset({MAC, CLIENT}), claimed_mac=CLIENT),
            ),
            POLICY[Action.UPDATE_MAC],
            site.time.now(),
        )
        key = FakeKiosk("kiosk-3", CLIENT, site.time.now).key.public_key().public_bytes_raw()
        site.services.kiosks.add("kiosk-3", key, CLIENT)
        with site.services.database.transaction() as session, pytest.raises(EffectRefused, match="is a kiosk now"):
            pending.put_in_force(session, change, site.time.now())

    def test_a_print_is_not_enrolled(self, client):
        assert refusal(client.ask(Action.RECOVER_FACE, who="print of ada"))[1] == "denied"

    def test_a_new_password(self, client, site):
        assert client.ask(Action.RECOVER_PASSWORD).status_code == 200
        site.next_code()
        assert client.ask(password=NEW_PASSWORD).status_code == 200


WAITING = {**OPEN, "actions": {"recover_totp": {"second_person": True, "cooling_off_s": 60}}}


@pytest.mark.parametrize("sections", [WAITING], indirect=True)
def test_what_else_a_site_asks_for_is_waited_for_all_the_same(client):
    reply = client.ask(Action.RECOVER_TOTP)
    assert reply.json["pending"]["needs"] == ["approval", "time"] and reply.json["pending"]["provisioning_uri"]


class TestFailures:
    """Guesses from anywhere close nothing where the person stands, and forget nothing that was counted there."""

    def test_five_close_the_gateway_for_a_name_and_no_kiosk(self, client, site):
        for _ in range(5):
            assert refusal(client.ask(password="Wrong horse 7"))[1] == "denied"
        assert refusal(client.ask())[1] == "locked"
        assert site.login().status_code == 200

    def test_nor_do_they_keep_anybody_from_moving_to_another_kiosk(self, client, site):
        for _ in range(5):
            client.ask(password="Wrong horse 7")
        assert site.submit(Action.UPDATE_MAC, kiosk=site.other_kiosk).status_code == 200

    def test_failures_to_move_at_a_kiosk_do_not_close_the_gateway(self, client, site):
        for _ in range(5):
            site.submit(Action.UPDATE_MAC, kiosk=site.other_kiosk, password="Wrong horse 7")
        assert client.ask().status_code == 200

    def test_another_gateway_is_no_new_start(self, client, site):
        for _ in range(5):
            client.ask(password="Wrong horse 7")
        second = FakeKiosk("gate-2", CLIENT, site.time.now)
        site.services.kiosks.add("gate-2", second.key.public_key().public_bytes_raw(), None)
        client.gate = second
        assert refusal(client.ask())[1] == "locked"

    def test_who_gets_in_forgets_what_was_tried_elsewhere_and_not_what_was_tried_at_the_kiosk(self, client, site):
        for _ in range(4):
            site.login(password="Wrong horse 7")
            client.ask(password="Wrong horse 7")
        assert client.ask().status_code == 200
        for _ in range(4):
            assert refusal(client.ask(password="Wrong horse 7"))[1] == "denied"
        site.login(password="Wrong horse 7")
        assert site.login().json["reason"] == "locked"

    def test_a_hundred_guesses_close_it_until_somebody_looks(self, client, site):
        for _ in range(100):
            reply = client.ask(password="Wrong horse 7")
            while reply.json["reason"] == "locked":
                site.time.moment += timedelta(seconds=reply.json["retry_after_s"])
                reply = client.ask(password="Wrong horse 7")
        site.time.moment += timedelta(hours=2)
        assert refusal(client.ask())[1] == "locked"
        assert site.login().status_code == 200, "at the own kiosk nothing of it counts"


def test_a_grant_brings_no_assertion(client, site):
    """Its clients have no use for one, and whoever breaks into the gateway shall have none."""
    assert client.ask().json["assertion"] == "" and "assertion" not in site.last_row()["detail"]


FOLLOWING = {**OPEN, "face": {"models": "none", "presence": "passive", "follow": True}}


@pytest.mark.parametrize("sections", [FOLLOWING], indirect=True)
def test_a_picture_from_elsewhere_draws_no_template_after_it(client, site):
    site.time.moment += timedelta(days=2)
    assert client.ask().status_code == 200
    assert "template_followed" not in site.last_row()["detail"]
    site.next_code()
    assert site.login().status_code == 200
    assert site.last_row()["detail"]["template_followed"] is True, "at a kiosk it would have been"


class TestReports:
    """What a gateway could not take is written down under the name that came with it."""

    REPORT: ClassVar = {"peer": PEER, "username": "ada", "action": "login", "field": "totp", "rule": "is a string"}

    def test_a_gateways_report_is_a_row(self, client, site):
        body = json.dumps(self.REPORT).encode()
        reply = site.post(paths.GATEWAY_REFUSALS, body, nonce=new_token(), kiosk=client.gate)
        assert (reply.status_code, reply.json) == (200, {"outcome": "noted"})
        row = site.last_row()
        assert (row["action"], row["success"], row["reason"], row["username"]) == ("login", False, "malformed", "ada")
        assert row["detail"]["gateway"] == {"peer": PEER} and row["detail"]["why"] == "totp: is a string"

    def test_it_is_written_once(self, client, site):
        body, nonce = json.dumps(self.REPORT).encode(), new_token()
        site.post(paths.GATEWAY_REFUSALS, body, nonce=nonce, kiosk=client.gate)
        assert site.post(paths.GATEWAY_REFUSALS, body, nonce=nonce, kiosk=client.gate).status_code == 401

    def test_a_flood_of_them_has_a_budget_and_is_counted(self, client, site):
        """What strangers cause cheaply must not fill the disk."""
        budget = site.services.row_budget
        while budget.spend("gateway gate-1") is not None:
            pass
        budget.drain()
        before = site.services.audit.head().sequence
        body = json.dumps(self.REPORT).encode()
        reply = site.post(paths.GATEWAY_REFUSALS, body, nonce=new_token(), kiosk=client.gate)
        assert reply.json == {"outcome": "noted"}, "the gateway has nothing to do with it"
        assert site.services.audit.head().sequence == before and budget.drain() == {"gateway gate-1": 1}

    def test_a_kiosk_has_none_to_report(self, client, site):
        reply = site.post(paths.GATEWAY_REFUSALS, json.dumps(self.REPORT).encode(), nonce=new_token())
        assert refusal(reply)[:2] == (401, "kiosk_refused")


def test_a_gateways_sign_of_life_has_no_mac_and_a_kiosks_lack_of_one_is_a_fault(client, site):
    beat = json.dumps({"agent_version": "1"}).encode()
    assert site.post(paths.HEARTBEAT, beat, nonce=new_token(), kiosk=client.gate).status_code == 200
    assert site.services.kiosks.find("gate-1").faults == ()
    site.post(paths.HEARTBEAT, beat, nonce=new_token())
    assert site.services.kiosks.find("kiosk-1").faults == (f"its MAC is none, and {MAC} is registered",)


@pytest.mark.parametrize("action", sorted(WIRE_ACTIONS))
def test_a_gateway_takes_no_factor_away(action):
    """By the table alone: what differs is where failures count, and the first code."""
    policy, there = POLICY[action], through_gateway(POLICY[action])
    assert there.factors == policy.factors and there.effect is policy.effect
