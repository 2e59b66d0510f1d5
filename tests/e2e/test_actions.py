"""Every action over TLS, by the kiosk's real client, on real pictures and with two worker processes."""

from contextlib import closing
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from auth_client.errors import Refused
from auth_contract.actions import Action, Need
from auth_contract.messages import SUBMISSIONS, ChangeReply

MACS = {"kiosk-1": "02:00:5e:10:00:01", "kiosk-2": "02:00:5e:10:00:02"}
NEW_PASSWORD = "Silent otter 77"


def submit(house: Any, action: Action, person: Any, *, kiosk_id: str = "kiosk-1", **changes: Any) -> ChangeReply:
    """One attempt at an action, with all that it asks for."""
    picture = house.picture.read_bytes()
    wanted = SUBMISSIONS[action].model_fields
    with closing(house.client(kiosk_id)) as client:
        attempt = client.open_attempt(action)
        right: dict[str, Any] = {
            "attempt_id": attempt.attempt_id,
            "username": person.name,
            "mac": MACS[kiosk_id],
            "client_ts_utc": datetime.now(UTC),
            "password": person.password,
            "totp": person.code() if "totp" in wanted else "",
            "frames": (picture,),
            "new_frames": house.pictures(),
            "new_password": NEW_PASSWORD,
            **changes,
        }
        request = SUBMISSIONS[action](**{name: value for name, value in right.items() if name in wanted})
        return client.submit(action, request, attempt.nonce)


def confirm(house: Any, person: Any, pending: ChangeReply) -> ChangeReply:
    """Read the new secret as an app would, and show a first code of it."""
    assert pending.pending is not None and pending.pending.provisioning_uri is not None
    person.secret = parse_qs(urlsplit(pending.pending.provisioning_uri).query)["secret"][0]
    return submit(house, Action.CONFIRM, person, change_id=pending.pending.change_id, new_totp=person.code())


def test_an_invited_person_registers_and_logs_in(house: Any) -> None:
    invited = house.site.provision("user", "invite", "newcomer", "--kiosk", "kiosk-1")
    person = type(house.person())("newcomer", password=NEW_PASSWORD)
    pending = submit(house, Action.REGISTER, person, permission=invited["ticket"])
    assert pending.pending is not None and pending.pending.needs == (Need.CODE,)
    assert confirm(house, person, pending).pending is None
    assert house.login(person).username == "newcomer"
    assert "newcomer" in [user["username"] for user in house.site.provision("user", "list")["users"]]
    with pytest.raises(Refused) as again:
        submit(house, Action.REGISTER, person, permission=invited["ticket"])
    assert again.value.reply.reason == "denied"


def test_the_first_administrators_secret_registers_too(house: Any) -> None:
    secret = house.site.provision("admin", "add", "grace", "--role", "admin")["admin"]["secret"]
    person = type(house.person())("second newcomer", password=NEW_PASSWORD)
    assert confirm(house, person, submit(house, Action.REGISTER, person, permission=secret)).pending is None
    assert house.login(person).username == "second newcomer"


def test_a_new_totp_secret(house: Any) -> None:
    person = house.person()
    old = type(person)(person.name, secret=person.secret)
    pending = submit(house, Action.RECOVER_TOTP, person)
    assert house.login(old).username == person.name, "the old secret works until the new one is confirmed"
    assert confirm(house, person, pending).pending is None
    assert house.login(person).username == person.name
    with pytest.raises(Refused):
        house.login(old)


def test_a_new_password(house: Any) -> None:
    person = house.person()
    assert submit(house, Action.RECOVER_PASSWORD, person).pending is None
    person.password = NEW_PASSWORD
    assert house.login(person).username == person.name


def test_a_new_face(house: Any) -> None:
    person = house.person()
    assert submit(house, Action.RECOVER_FACE, person).pending is None
    assert house.login(person).username == person.name


def test_another_device(house: Any) -> None:
    person = house.person()
    assert submit(house, Action.UPDATE_MAC, person, kiosk_id="kiosk-2").pending is None
    assert house.login(person, kiosk_id="kiosk-2", mac=MACS["kiosk-2"]).username == person.name
    shown = house.site.provision("user", "show", person.name)["user"]
    assert shown["mac_addresses"] == [MACS["kiosk-2"]]


def test_the_log_holds_together(house: Any) -> None:
    assert house.verify().ok
