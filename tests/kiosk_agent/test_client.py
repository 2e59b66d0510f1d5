"""The client against a real TLS server: pins, signatures, and what is sent again and what never."""

import json
import os

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from requests.exceptions import InvalidSchema

from auth_client.client import AuthClient, Surroundings
from auth_client.errors import Refused, ReplyLost, ServerNotTrusted, ServerUnavailable, ServerUnreachable
from auth_client.pinning import pinned_session
from auth_client.sender import REPLY_MAX_BYTES
from auth_client.settings import ServerSettings
from auth_contract.actions import Action, Reason
from auth_contract.messages import (
    GATEWAY_MEMBERS,
    SUBMISSIONS,
    ChangeReply,
    FrameMark,
    HeartbeatRequest,
    LoginRequest,
    SubmissionRequest,
)
from auth_contract.paths import SUBMISSION

KIOSK, MAC, NONCE = "front-door", "00:1b:21:0a:0b:0c", "N" * 22
BEAT = HeartbeatRequest(agent_version="1", mac=MAC)
DENIED = {"outcome": "refused", "reason": "denied", "message": "No."}


@pytest.fixture
def login(clock, picture) -> LoginRequest:
    return LoginRequest(
        attempt_id="A" * 22,
        username="alice",
        password="Secret-Pass",
        totp="424242",
        frames=(picture,),
        mac=MAC,
        client_ts_utc=clock.now(),
    )


CHANGES = [action for action in Action if action is not Action.LOGIN]


def submission_of(action: Action, picture: bytes, clock) -> SubmissionRequest:
    """A whole submission of any action."""
    members = {
        "attempt_id": "A" * 22,
        "username": "alice",
        "mac": MAC,
        "client_ts_utc": clock.now(),
        "person": "bob",
        "permission": "0123456789ABCDEF",
        "password": "Secret-Pass",
        "new_password": "Newer-Pass",
        "totp": "424242",
        "new_totp": "535353",
        "change_id": "C" * 22,
        "frames": (picture,) * 3,
        "new_frames": (picture,) * 3,
        "marks": tuple(FrameMark(at_ms=100 * part, part=part) for part in range(3)),
    }
    model = SUBMISSIONS[action]
    return model.model_validate({name: members[name] for name in model.model_fields.keys() - GATEWAY_MEMBERS})


def client_for(url: str, pins: tuple[str, ...], around: Surroundings) -> AuthClient:
    return AuthClient(ServerSettings(url=url, pins=pins), KIOSK, Ed25519PrivateKey.generate(), around)


EXCHANGES = {
    "open_attempt": lambda client, _login: client.open_attempt(Action.LOGIN),
    "heartbeat": lambda client, _login: client.heartbeat(BEAT),
    "jwks": lambda client, _login: client.jwks(),
    "submit": lambda client, login: client.submit(Action.LOGIN, login, NONCE),
}
PATHS = {
    "open_attempt": "/v1/attempts",
    "heartbeat": "/v1/heartbeat",
    "jwks": "/.well-known/jwks.json",
    "submit": "/v1/login",
}


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_each_exchange_is_signed_and_answered(exchange, client, server, login) -> None:
    assert EXCHANGES[exchange](client, login)
    assert [request.path for request in server.requests] == [PATHS[exchange]]
    assert server.signature_faults == []


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_server_with_another_key_gets_no_byte(exchange, server, around, clock, login) -> None:
    stranger = client_for(server.url, ("0" * 64, "1" * 64), around)
    with pytest.raises(ServerNotTrusted, match=server.pin):
        EXCHANGES[exchange](stranger, login)
    server.close()
    assert server.connections == 1, "and it is not tried again"
    assert (server.app_bytes, server.requests) == (0, [])
    assert clock.slept == []


@pytest.mark.parametrize("place", [0, 1])
def test_the_current_and_the_next_key_are_both_good(place, server, around) -> None:
    pins = [("f" * 64), ("f" * 64)]
    pins[place] = server.pin
    client_for(server.url, tuple(pins), around).open_attempt(Action.LOGIN)
    assert len(server.requests) == 1


def test_nothing_but_https_and_nothing_from_the_environment(monkeypatch, server) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    monkeypatch.setitem(os.environ, "REQUESTS_CA_BUNDLE", "/nowhere")
    session = pinned_session((server.pin,))
    assert session.get(f"{server.url}/.well-known/jwks.json", timeout=5).status_code == 200
    with pytest.raises(InvalidSchema):
        session.get("http://127.0.0.1:1/", timeout=5)
    with pytest.raises(ServerNotTrusted, match="proxy"):
        session.get(f"{server.url}/", proxies={"https": "http://127.0.0.1:1"}, timeout=5)
    session.close()


def test_the_signature_covers_what_the_contract_says(client, server, clock, login) -> None:
    client.submit(Action.LOGIN, login, NONCE)
    request = server.requests[0]
    created = int(clock.now().timestamp())
    assert request.headers["Signature-Input"] == (
        'kiosk=("@method" "@path" "content-type" "content-digest");'
        f'created={created};keyid="{KIOSK}";alg="ed25519";nonce="{NONCE}";tag="4auth-v1"'
    )
    assert request.json["client_ts_utc"] == "2026-11-22T09:30:00Z"
    assert "Date" not in request.headers


def test_each_try_has_a_nonce_of_its_own(client, server) -> None:
    server.answer("/v1/attempts", "drop", "drop", server.attempt())
    client.open_attempt(Action.LOGIN)
    client.heartbeat(BEAT)
    nonces = [request.signature_nonce for request in server.requests]
    assert len(set(nonces)) == len(nonces) == 4


@pytest.mark.parametrize("exchange", ["open_attempt", "heartbeat", "jwks"])
def test_what_is_safe_is_tried_again_with_growing_waits(exchange, client, server, clock, login) -> None:
    server.answer(PATHS[exchange], "drop")
    with pytest.raises(ServerUnavailable):
        EXCHANGES[exchange](client, login)
    assert len(server.requests) == 3
    assert clock.slept == [0.3, 0.6]


def test_a_submission_is_never_sent_twice(client, server, clock, login) -> None:
    server.answer("/v1/login", "drop")
    with pytest.raises(ReplyLost, match="not sent again"):
        client.submit(Action.LOGIN, login, NONCE)
    assert len(server.requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_a_refusal_is_an_answer_and_not_tried_again(exchange, client, server, login, clock) -> None:
    server.answer(PATHS[exchange], server.reply(status=403, body=DENIED))
    with pytest.raises((Refused, ServerUnavailable)) as caught:
        EXCHANGES[exchange](client, login)
    if isinstance(caught.value, Refused):
        assert (caught.value.status, caught.value.reply.reason) == (403, Reason.DENIED)
    assert len(server.requests) == 1
    assert clock.slept == []


@pytest.mark.parametrize(
    "fields",
    [
        {"status": 200, "body": DENIED},
        {"status": 200, "body": {}},
        {"status": 200, "body": ["granted"]},
        {"status": 403, "body": {"outcome": "granted"}},
        {"status": 500, "body": "oops"},
        {"raw": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n\xff\xfe\x00ab"},
    ],
)
def test_a_reply_that_the_contract_does_not_know_is_no_answer(fields, client, server, login) -> None:
    server.answer("/v1/login", server.reply(**fields))
    with pytest.raises(ServerUnavailable):
        client.submit(Action.LOGIN, login, NONCE)
    assert len(server.requests) == 1


def raw_grant(server, change) -> bytes:
    """A good grant, and what `change` makes of its text."""
    text = change(json.dumps(server.grant().body)).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text + " " * REPLY_MAX_BYTES,
        lambda text: text.replace('{"outcome"', '{"outcome": "granted", "outcome"'),
        lambda text: text.replace('"granted"', '"refused"'),
        lambda text: text[:-1],
    ],
    ids=["too long", "a key twice", "another outcome", "cut off"],
)
def test_a_good_grant_in_a_bad_form_is_no_grant(change, client, server, login) -> None:
    server.answer("/v1/login", server.reply(raw=raw_grant(server, lambda text: text)))
    assert client.submit(Action.LOGIN, login, NONCE).username == "alice"
    server.answer("/v1/login", server.reply(raw=raw_grant(server, change)))
    with pytest.raises(ServerUnavailable):
        client.submit(Action.LOGIN, login, NONCE)


def test_a_redirect_is_not_followed(client, server, login) -> None:
    for status in (301, 302, 303, 307, 308):
        server.answer("/v1/login", server.reply(status=status, headers=(("Location", f"{server.url}/v1/attempts"),)))
        with pytest.raises(ServerUnavailable):
            client.submit(Action.LOGIN, login, NONCE)
    assert server.at("/v1/attempts") == []


def test_a_reply_that_drips_is_given_up(server, kiosk_key, clock, around, login) -> None:
    slow = Surroundings(around.now, lambda: clock.moved_s, clock.sleep, around.new_nonce)
    settings = ServerSettings(url=server.url, pins=(server.pin,))
    client = AuthClient(settings, KIOSK, kiosk_key, slow)

    def late(request):
        clock.moved_s += settings.connect_timeout_s + settings.read_timeout_s + 1
        return server.reply(body=DENIED)

    server.answer("/v1/login", late)
    with pytest.raises(ReplyLost):
        client.submit(Action.LOGIN, login, NONCE)


def test_no_error_of_the_client_shows_a_secret(client, server, login, picture) -> None:
    for answer in ("drop", server.reply(body={"assertion": "the.secret.token"})):
        server.answer("/v1/login", answer)
        with pytest.raises(ServerUnavailable) as caught:
            client.submit(Action.LOGIN, login, NONCE)
        shown = f"{caught.value!r} {caught.value.__cause__!r} {login!r}"
        for secret in ("Secret-Pass", "424242", "the.secret.token", "/9j/"):
            assert secret not in shown


def test_nobody_there(around, clock) -> None:
    with pytest.raises(ServerUnavailable, match="Connection refused"):
        client_for("https://127.0.0.1:9", ("0" * 64,), around).open_attempt(Action.LOGIN)
    assert clock.slept == [0.3, 0.6]


def test_a_submission_without_a_connection_was_not_sent(around, login, clock) -> None:
    with pytest.raises(ServerUnreachable, match="nothing was sent"):
        client_for("https://127.0.0.1:9", ("0" * 64,), around).submit(Action.LOGIN, login, NONCE)
    assert clock.slept == []


def test_a_server_that_went_after_the_opening_was_sent_nothing(client, server, login, clock) -> None:
    client.open_attempt(Action.LOGIN)
    server.close()
    with pytest.raises(ServerUnreachable):
        client.submit(Action.LOGIN, login, NONCE)
    assert server.at("/v1/login") == []
    assert clock.slept == []


# --- all actions go one way


@pytest.mark.parametrize("action", CHANGES)
def test_each_action_is_sent_to_its_path_and_answered_by_a_change(action, client, server, picture, clock) -> None:
    server.answer(SUBMISSION[action], server.change())
    client.open_attempt(action)
    reply = client.submit(action, submission_of(action, picture, clock), NONCE)
    assert isinstance(reply, ChangeReply)
    assert (server.at(SUBMISSION[action])[0].signature_nonce, server.opened) == (NONCE, [action])
    assert (server.signature_faults, server.contract_faults) == ([], [])


@pytest.mark.parametrize("action", CHANGES)
def test_no_submission_of_any_action_is_sent_twice(action, client, server, picture, clock) -> None:
    server.answer(SUBMISSION[action], "drop")
    with pytest.raises(ReplyLost, match="not sent again"):
        client.submit(action, submission_of(action, picture, clock), NONCE)
    assert (len(server.requests), clock.slept) == (1, [])


@pytest.mark.parametrize("action", CHANGES)
def test_a_granted_login_is_no_answer_to_a_change(action, client, server, picture, clock) -> None:
    server.answer(SUBMISSION[action], server.grant())
    with pytest.raises(ServerUnavailable):
        client.submit(action, submission_of(action, picture, clock), NONCE)


def test_a_change_is_no_answer_to_a_login(client, server, login) -> None:
    server.answer("/v1/login", server.change())
    with pytest.raises(ServerUnavailable):
        client.submit(Action.LOGIN, login, NONCE)


@pytest.mark.parametrize("action", CHANGES)
def test_no_message_shows_a_secret(action, client, server, picture, clock) -> None:
    request = submission_of(action, picture, clock)
    server.answer(SUBMISSION[action], server.new_secret("alice"))
    reply = client.submit(action, request, NONCE)
    for secret in ("Secret-Pass", "Newer-Pass", "0123456789ABCDEF", "424242", "535353", "JBSWY3DP", "/9j/", "\\xff"):
        assert secret not in f"{request!r} {reply!r}"
