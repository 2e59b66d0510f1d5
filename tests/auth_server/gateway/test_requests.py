"""From a frame to the contract's message: what is taken over, and what a refusal may say."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from auth_contract.actions import Action
from auth_contract.messages import SUBMISSIONS
from auth_contract.wire import WIRE_REQUESTS
from auth_server.gateway.requests import Unusable, read_request, submission_of, wire_name

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
FACE = b"\xff\xd8\xff" + b"\0" * 40
WHOLE: dict[str, Any] = {
    "username": "Ann",
    "password": "Correct horse 7",
    "totp": "123456",
    "faceID": base64.b64encode(FACE).decode(),
    "new_faceID": base64.b64encode(FACE).decode(),
    "mac": "02-00-5E-77-00-01",
    "new_mac": "02:00:5e:77:00:02",
    "client_ts_utc": "2026-11-22T09:29:59Z",
    "new_password": "Quiet marmot 42",
    "admin_secret": "0123456789ABCDEF",
}


def frame(code: str, **changes: Any) -> bytes:
    return json.dumps({**WHOLE, "cmd": code, **({"totp": "new"} if code == "200" else {}), **changes}).encode()


@pytest.mark.parametrize("code", WIRE_REQUESTS)
def test_every_member_of_the_contracts_message_comes_from_the_wire(code):
    request = read_request(frame(code))
    message = submission_of(request, attempt_id="A" * 22, peer="192.0.2.7", now=NOW)
    assert type(message) is SUBMISSIONS[request.action]
    told = message.model_dump(exclude_none=True)
    assert (told["username"], told["mac"], told["peer"]) == ("ann", "02:00:5e:77:00:01", "192.0.2.7")
    assert told.get("frames", told.get("new_frames")) == (FACE,)
    assert message.client_ts_utc == (NOW if code == "200" else datetime(2026, 11, 22, 9, 29, 59, tzinfo=UTC))


def test_registering_names_what_is_new_as_the_contract_does():
    message = submission_of(read_request(frame("200")), attempt_id="A" * 22, peer="192.0.2.7", now=NOW)
    assert message.model_dump()["new_password"] == "Correct horse 7"
    assert message.model_dump()["permission"] == "0123456789ABCDEF"


def test_another_device_is_what_the_client_names():
    message = submission_of(read_request(frame("330")), attempt_id="A" * 22, peer="192.0.2.7", now=NOW)
    assert message.model_dump()["new_mac"] == "02:00:5e:77:00:02"


UNUSABLE = [
    (b"", "frame", None, None),
    (b"[]", "frame", None, None),
    (b"\xff\xfe", "frame", None, None),
    (b'{"cmd": "100", "cmd": "200"}', "frame", None, None),
    (b"[" * 100 + b"]" * 100, "frame", None, None),
    (b"{}", "cmd", None, None),
    (frame("999"), "cmd", "ann", None),
    (frame("100", cmd=100), "cmd", "ann", None),
    (frame("100", cmd=["100"]), "cmd", "ann", None),
    (frame("100", totp=123456), "totp", "ann", Action.LOGIN),
    (frame("100", username=7), "username", None, Action.LOGIN),
    (frame("100", username="no\x00body"), "username", None, Action.LOGIN),
    (frame("330", new_mac="somewhere"), "new_mac", "ann", Action.UPDATE_MAC),
]


@pytest.mark.parametrize(("text", "field", "username", "action"), UNUSABLE)
def test_what_breaks_a_rule_is_told_by_field_and_under_the_name_where_there_is_one(text, field, username, action):
    with pytest.raises(Unusable) as caught:
        read_request(text)
    fault = caught.value
    assert (fault.field, fault.username, fault.action) == (field, username, action)
    assert fault.rule and "horse" not in fault.rule


NAMES = [
    (Action.LOGIN, "frames.0", "faceID"),
    (Action.REGISTER, "new_password", "password"),
    (Action.REGISTER, "permission", "admin_secret"),
    (Action.RECOVER_PASSWORD, "new_password", "new_password"),
    (Action.RECOVER_FACE, "new_frames.0", "new_faceID"),
    (Action.UPDATE_MAC, "new_mac", "new_mac"),
    (Action.CANCEL, "password", "password"),
]


@pytest.mark.parametrize(("action", "field", "name"), NAMES)
def test_a_field_is_told_in_the_words_of_the_wire(action, field, name):
    assert wire_name(action, field) == name
