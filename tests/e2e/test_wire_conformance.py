"""What is said and answered on the wire, for each code and each refusal, and what the audit log keeps of it.

The replies stand here word for word, as they were recorded: what existing clients show to a person changes on
purpose or not at all.
"""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from tests.e2e.conftest import MACS, PASSWORD, Person
from tests.e2e.gateways import DEVICE, GATE_ID, OTHER_DEVICE, Gate
from tests.e2e.plain_client import PlainClient, frame, text_of

NEW_PASSWORD = "Quiet heron 1906"
PEER = {"peer": "127.0.0.1"}

ACTIONS = {
    "100": "login",
    "200": "register",
    "300": "recover_totp",
    "310": "recover_password",
    "320": "recover_face",
    "330": "update_mac",
}
FIELDS = {
    "100": ("username", "password", "totp", "faceID", "mac", "client_ts_utc"),
    "200": ("admin_secret", "username", "password", "totp", "faceID", "mac"),
    "300": ("username", "password", "faceID", "mac", "client_ts_utc"),
    "310": ("username", "totp", "faceID", "mac", "client_ts_utc", "new_password"),
    "320": ("username", "password", "totp", "new_faceID", "mac", "client_ts_utc"),
    "330": ("username", "password", "totp", "faceID", "mac", "client_ts_utc", "new_mac"),
}

OK = {
    "100": "Access granted.",
    "200": "You are registered. Scan the picture with your authenticator app now: it is shown once.",
    "300": "Your new authenticator entry is in force, the old one is dead. "
    "Scan the picture with your authenticator app now: it is shown once.",
    "310": "Your new password is in force.",
    "320": "Your new face pictures are in force.",
    "330": "Your account is bound to the new device now. Kiosks that it was bound to stay.",
}
DENIED = {"status": "error", "message": "That did not work."}
LOCKED = "Too many tries in a row. Please wait before the next one. "
"""Then the seconds: of the 30, what is left when the answer is made."""

NO_FACE = {"status": "error", "message": "No face was seen. Please look at the camera."}
USE_KIOSK = {"status": "error", "message": "This cannot be done from here. Please go to a kiosk."}
UNAVAILABLE = {"status": "error", "message": "The service is not available right now. Please try again shortly."}


@pytest.fixture
def client(gate: Gate) -> Iterator[PlainClient]:
    """A connection."""
    with gate.client() as client:
        yield client


def right(gate: Gate, cmd: str, person: Person, **changes: Any) -> dict[str, Any]:
    """All that a code carries, right for this person, with changes; a change to None leaves a field out."""
    picture = text_of(gate.house.picture.read_bytes())
    fields = {
        "username": person.name,
        "password": person.password,
        "totp": "new" if cmd == "200" else person.code() if "totp" in FIELDS[cmd] else "",
        "faceID": picture,
        "new_faceID": picture,
        "mac": DEVICE,
        "client_ts_utc": datetime.now(UTC).isoformat(),
        "new_password": NEW_PASSWORD,
        "new_mac": OTHER_DEVICE,
        "admin_secret": gate.admin_secret,
    }
    chosen = {name: fields[name] for name in FIELDS[cmd]} | changes
    return {"cmd": cmd, **{name: value for name, value in chosen.items() if value is not None}}


def newest(gate: Gate, person: Person) -> tuple[Any, dict[str, Any]]:
    """The newest audit row of somebody, and its detail."""
    row = gate.house.rows(person.name)[0]
    return row, gate.house.detail(row)


# Each code, granted


@pytest.mark.parametrize("cmd", FIELDS)
def test_a_code_with_all_that_it_asks_for_is_granted(cmd: str, gate: Gate, client: PlainClient) -> None:
    person = gate.newcomer() if cmd == "200" else gate.person()
    reply = client.ask(**right(gate, cmd, person))
    assert (reply.pop("status"), reply.pop("message")) == ("ok", OK[cmd])
    secret = {"qr_png_b64", "provisioning_uri"} if cmd in {"200", "300"} else set()
    assert set(reply) == secret
    row, detail = newest(gate, person)
    assert (row.action, row.success, row.kiosk_id, detail["gateway"]) == (ACTIONS[cmd], True, GATE_ID, PEER)


# Each factor, wrong

WRONG: dict[str, Callable[[Person], dict[str, Any]]] = {
    "password": lambda person: {"password": "Quiet marmot 43"},
    "totp": lambda person: {"totp": person.wrong_code()},
    "face": lambda person: {},
    "device": lambda person: {"mac": OTHER_DEVICE},
    "clock": lambda person: {"client_ts_utc": (datetime.now(UTC) - timedelta(seconds=130)).isoformat()},
}
JUDGED = {
    "100": ("password", "totp", "face", "device", "clock"),
    "300": ("password", "face", "device", "clock"),
    "310": ("totp", "face", "device", "clock"),
    "320": ("password", "totp", "device", "clock"),
    "330": ("password", "totp", "face", "clock"),
}


@pytest.mark.parametrize(("cmd", "factor"), [(cmd, factor) for cmd, factors in JUDGED.items() for factor in factors])
def test_a_wrong_factor_is_denied_in_the_same_words_as_any_other(
    cmd: str, factor: str, gate: Gate, client: PlainClient
) -> None:
    person = gate.person("of another face" if factor == "face" else "")
    assert client.ask(**right(gate, cmd, person, **WRONG[factor](person))) == DENIED
    row, detail = newest(gate, person)
    assert (row.action, row.success, row.reason, row.kiosk_id) == (ACTIONS[cmd], False, "denied", GATE_ID)
    assert detail["gateway"] == PEER
    assert [name for name, verdict in detail["verdicts"].items() if not verdict["passed"]] == [factor]


STRANGE: dict[str, Callable[[Gate, Person], dict[str, Any]]] = {
    "a name without an account": lambda gate, person: {"username": "nobody at all"},
    "a kiosk's MAC, which the account is bound to": lambda gate, person: {"mac": MACS["kiosk-1"]},
    "the picture that was enrolled": lambda gate, person: {"faceID": text_of(gate.house.poses[0].read_bytes())},
}


@pytest.mark.parametrize("case", STRANGE)
def test_what_is_wrong_otherwise_is_denied_in_the_same_words(case: str, gate: Gate, client: PlainClient) -> None:
    person = gate.person("at kiosks too")
    assert client.ask(**right(gate, "100", person, **STRANGE[case](gate, person))) == DENIED


def test_a_disabled_account_is_denied_in_the_same_words(gate: Gate, client: PlainClient) -> None:
    person = gate.person()
    gate.site.provision("user", "disable", person.name, "--yes")
    assert client.ask(**right(gate, "100", person)) == DENIED
    assert newest(gate, person)[1]["account"] == "disabled"


def test_a_name_that_may_not_come_this_way_is_denied_in_the_same_words(gate: Gate, client: PlainClient) -> None:
    person = gate.person("not listed")
    first, second = (right(gate, "100", person) for _ in range(2))
    assert client.ask(**first) == DENIED
    device = newest(gate, person)[1]["verdicts"]["device"]
    assert (device["has_leave"], device["is_bound"]) == (False, True)
    gate.site.provision("gateway", "allow", person.name)
    assert client.ask(**first)["status"] == "ok"
    gate.site.provision("gateway", "forbid", person.name)
    assert client.ask(**second) == DENIED


def test_a_wrong_admin_secret_is_denied_in_the_same_words(gate: Gate, client: PlainClient) -> None:
    person = gate.newcomer()
    assert client.ask(**right(gate, "200", person, admin_secret="0" * 25)) == DENIED
    assert (newest(gate, person)[0].action, newest(gate, person)[0].reason) == ("register", "denied")


# Refusals that tell a person what to do


def test_a_code_is_taken_once(gate: Gate, client: PlainClient) -> None:
    person = gate.person()
    request = right(gate, "100", person)
    assert [client.ask(**request)["status"] for _ in range(2)] == ["ok", "error"]


def test_who_fails_too_often_in_a_row_has_to_wait(gate: Gate, client: PlainClient) -> None:
    person = gate.person()
    wrong = right(gate, "100", person, password="Quiet marmot 43")
    assert [client.ask(**wrong) for _ in range(5)] == [DENIED] * 5
    told = client.ask(**right(gate, "100", person))
    assert told.keys() == {"status", "message"} and told["status"] == "error"
    assert told["message"].startswith(LOCKED)
    assert told["message"].removeprefix(LOCKED) in {f"({left} s)" for left in range(20, 31)}
    row, detail = newest(gate, person)
    assert (row.reason, detail["gateway"]) == ("locked", PEER)


def test_a_picture_without_a_face_is_asked_for_again(gate: Gate, client: PlainClient) -> None:
    out = io.BytesIO()
    Image.new("RGB", (640, 480), "grey").save(out, "JPEG")
    person = gate.person()
    assert client.ask(**right(gate, "100", person, faceID=text_of(out.getvalue()))) == NO_FACE
    row, detail = newest(gate, person)
    assert (row.reason, detail["gateway"]) == ("capture_again", PEER)


@pytest.mark.parametrize("cmd", ["200", "310"])
def test_a_weak_password_is_refused_with_the_rule(cmd: str, gate: Gate, client: PlainClient) -> None:
    person = gate.newcomer() if cmd == "200" else gate.person()
    name = "password" if cmd == "200" else "new_password"
    reply = client.ask(**right(gate, cmd, person, **{name: "lowercaseonly"}))
    assert reply == {
        "status": "error",
        "message": f"Something you entered has a form that cannot be used. {name}: a password has at least one "
        "upper-case letter, digit or special character",
    }
    assert newest(gate, person)[0].reason == "malformed"


def test_a_name_that_is_taken_is_told_to_who_may_register(gate: Gate, client: PlainClient) -> None:
    person = gate.person()
    reply = client.ask(**right(gate, "200", person))
    assert reply == {
        "status": "error",
        "message": "Something you entered has a form that cannot be used. "
        "username: is the name of an account already: choose another",
    }
    assert client.ask(**right(gate, "200", person, admin_secret="0" * 25)) == DENIED


# What is no proper request


def test_an_unknown_code_has_an_error_reply_and_the_connection_goes_on(gate: Gate, client: PlainClient) -> None:
    person = gate.person()
    for cmd in ("999", "", "login", "0100", "１００"):
        reply = client.ask(cmd, username=person.name)
        assert (reply["status"], set(reply)) == ("error", {"status", "message"})
    assert client.ask(**right(gate, "100", person))["status"] == "ok"


def twice(body: bytes, member: str) -> bytes:
    """A request in which a member stands twice."""
    return body[:-1] + f', "{member}": "x"}}'.encode()


MALFORMED: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "nothing": lambda request: b"",
    "no JSON": lambda request: b"GET / HTTP/1.1\r\n\r\n",
    "no UTF-8": lambda request: json.dumps(request).encode("utf-16"),
    "an array": lambda request: b"[" + json.dumps(request).encode() + b"]",
    "a string": lambda request: b'"100"',
    "null": lambda request: b"null",
    "cut short": lambda request: json.dumps(request).encode()[:-1],
    "followed by more": lambda request: json.dumps(request).encode() + b"{}",
    "a member twice": lambda request: twice(json.dumps(request).encode(), "username"),
    "the code twice": lambda request: twice(json.dumps(request).encode(), "cmd"),
    "a code that is a number": lambda request: json.dumps({**request, "cmd": 100}).encode(),
    "no code": lambda request: json.dumps({**request, "cmd": None}).encode(),
    "a hundred levels": lambda request: b'{"cmd":' + b"[" * 100 + b"]" * 100 + b"}",
    "100,000 levels": lambda request: b'{"cmd":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a number of 5,000 digits": lambda request: b'{"cmd":' + b"9" * 5000 + b"}",
    "NaN": lambda request: b'{"cmd":NaN}',
    "half a character": lambda request: b'{"cmd":"100","username":"\\ud800"}',
    "only brackets": lambda request: b"[" * 4_000_000,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_what_cannot_be_read_has_an_error_reply_and_the_connection_goes_on(
    case: str, gate: Gate, client: PlainClient
) -> None:
    request = {"cmd": "100", "username": "ada", "password": "Quiet marmot 42"}
    reply = client.ask_bytes(MALFORMED[case](request))
    assert (reply["status"], set(reply)) == ("error", {"status", "message"})
    assert "marmot" not in json.dumps(reply)
    assert client.ask("999")["status"] == "error", "the next one is answered"


BAD_FIELDS: dict[str, dict[str, Any]] = {
    "no name": {"username": None},
    "an empty name": {"username": ""},
    "a name with NUL": {"username": "ada\0"},
    "a name that is a list": {"username": ["ada"]},
    "no password": {"password": None},
    "a password that is a number": {"password": 12345678},
    "a password of 73 bytes": {"password": "Quiet marmot 42" + "x" * 58},
    "a code of five digits": {"totp": "12345"},
    "a code that is a number": {"totp": 123456},
    "a code in Arabic digits": {"totp": "١٢٣٤٥٦"},
    "no picture": {"faceID": None},
    "a picture that is not base64": {"faceID": "not base64!"},
    "a picture that is a PNG": {"faceID": text_of(b"\x89PNG\r\n\x1a\n")},
    "a picture that only begins like one": {"faceID": text_of(b"\xff\xd8\xff\xe0")},
    "a picture of 1 MiB and more": {"faceID": text_of(b"\xff\xd8\xff" + bytes(1024 * 1024))},
    "several pictures": {"faceID": ["/9j/"] * 2},
    "a MAC that is none": {"mac": "localhost"},
    "a multicast MAC": {"mac": "ff:ff:ff:ff:ff:ff"},
    "a time that is none": {"client_ts_utc": "now"},
    "a time that is a number": {"client_ts_utc": 1.7e9},
    "a day that there is not": {"client_ts_utc": "2026-02-30T00:00:00Z"},
}


@pytest.mark.parametrize("case", BAD_FIELDS)
def test_a_field_that_breaks_a_rule_is_told_without_its_value_and_is_in_the_log(
    case: str, gate: Gate, client: PlainClient
) -> None:
    person = gate.person()
    request = right(gate, "100", person, **BAD_FIELDS[case])
    reply = client.ask(**request)
    assert (reply["status"], set(reply)) == ("error", {"status", "message"})
    for value in BAD_FIELDS[case].values():
        assert not isinstance(value, str) or len(value) < 4 or value not in reply["message"]
    if "username" not in BAD_FIELDS[case]:
        row, detail = newest(gate, person)
        assert (row.action, row.reason, row.kiosk_id) == ("login", "malformed", GATE_ID)
        assert detail["gateway"] == PEER
        assert person.password not in json.dumps(detail)
    assert client.ask("999")["status"] == "error", "the next one is answered"


TIMES = ("%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.%f+00:00", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S.%f")


@pytest.mark.parametrize("form", TIMES)
def test_a_time_may_have_any_form_of_iso_8601_that_clients_send(form: str, gate: Gate, client: PlainClient) -> None:
    request = right(gate, "100", gate.person(), client_ts_utc=datetime.now(UTC).strftime(form))
    assert client.ask(**request)["status"] == "ok"


def test_several_requests_sent_at_once_are_answered_in_their_order(gate: Gate, client: PlainClient) -> None:
    person = gate.person()
    requests = [right(gate, "100", person, password="Quiet marmot 43"), {"cmd": "999"}, right(gate, "100", person)]
    client.send(b"".join(frame(json.dumps(request).encode()) for request in requests))
    replies = [client.reply() for _ in requests]
    assert [reply["status"] for reply in replies] == ["error", "error", "ok"]
    assert replies[0] == DENIED != replies[1]


def test_a_length_that_cannot_be_followed_has_an_error_reply_and_ends_the_connection(gate: Gate) -> None:
    with ExitStack() as stack:
        clients = {
            length: stack.enter_context(gate.client()) for length in (4 * 1024 * 1024 + 1, 2**31 - 1, 2**31, 2**32 - 1)
        }
        for length, client in clients.items():
            client.send(length.to_bytes(4, "big") + b"{}")
        assert [client.reply()["status"] for client in clients.values()] == ["error"] * 4
        assert all(client.is_ended() for client in clients.values())


def test_four_mebibytes_are_taken(gate: Gate, client: PlainClient) -> None:
    body = json.dumps(right(gate, "100", gate.person())).encode()
    assert client.ask_bytes(body + b" " * (4 * 1024 * 1024 - len(body)))["status"] == "ok"


@pytest.mark.parametrize("sent", [b"", b"\0", b"\0\0\0", b"\0\0\0\x10", b"\0\0\0\x10{"])
def test_a_client_that_leaves_half_way_is_let_go(sent: bytes, gate: Gate, client: PlainClient) -> None:
    client.send(sent) if sent else None
    client.close()
    with gate.client() as other:
        assert other.ask("999")["status"] == "error"


# What the site decides


def test_where_the_gateway_is_switched_off_nobody_is_judged(gate: Gate) -> None:
    person = gate.person()
    with gate.site_settings(enabled=False), gate.client() as client:
        reply = client.ask(**right(gate, "100", person))
    assert (reply["status"], set(reply)) == ("error", {"status", "message"})
    assert not any(row.success or "verdicts" in gate.house.detail(row) for row in gate.house.rows(person.name))


def test_where_a_picture_may_not_stand_for_a_person_the_reply_says_to_use_a_kiosk(gate: Gate) -> None:
    people = {cmd: gate.newcomer() if cmd == "200" else gate.person() for cmd in FIELDS}
    with gate.site_settings(passive_alone=False), gate.client() as client:
        replies = {cmd: client.ask(**right(gate, cmd, person)) for cmd, person in people.items()}
    assert replies == dict.fromkeys(FIELDS, USE_KIOSK)
    for cmd, person in people.items():
        row, detail = newest(gate, person)
        assert (row.action, row.reason, row.kiosk_id) == ("open_attempt", "use_kiosk", GATE_ID)
        assert detail["why"].startswith(f"{ACTIONS[cmd]}: gateway.passive_alone = false")
        assert detail["gateway"] == PEER


def test_where_no_factor_may_be_changed_from_elsewhere_log_in_and_registering_go_on(gate: Gate) -> None:
    people = {cmd: gate.newcomer() if cmd == "200" else gate.person() for cmd in FIELDS}
    with gate.site_settings(recoveries=False), gate.client() as client:
        replies = {cmd: client.ask(**right(gate, cmd, person)) for cmd, person in people.items()}
    assert {cmd for cmd, reply in replies.items() if reply == USE_KIOSK} == {"300", "310", "320", "330"}
    assert [replies[cmd]["status"] for cmd in ("100", "200")] == ["ok", "ok"]


def test_where_the_server_is_down_the_reply_says_so_and_the_connection_lasts_until_it_is_back(gate: Gate) -> None:
    person = gate.person()
    with gate.client() as client:
        gate.site.stop_server()
        assert client.ask(**right(gate, "100", person)) == UNAVAILABLE
        gate.site.start_server()
        assert client.ask(**right(gate, "100", person))["status"] == "ok"


def test_nothing_secret_is_in_the_gateways_log(gate: Gate) -> None:
    """Of all that was sent in this module."""
    log = gate.site.gateway_log.read_text()
    for secret in (PASSWORD, NEW_PASSWORD, gate.admin_secret, "otpauth:", "/9j/", "Traceback"):
        assert secret not in log
