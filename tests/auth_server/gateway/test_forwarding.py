"""What a client is told when the way to the server breaks: never yes, and "unknown" where it may have been done."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from auth_client.client import Surroundings
from auth_client.errors import (
    Refused,
    ReplyLost,
    ServerNotTrusted,
    ServerUnavailable,
    ServerUnreachable,
)
from auth_contract.actions import Action, Reason
from auth_contract.messages import AttemptReply, ErrorReply, GatewayRefusal, LoginReply
from auth_server.gateway import answers
from auth_server.gateway.forwarding import Forwarder
from auth_server.gateway.heartbeat import Heartbeat

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
PEER = "192.0.2.7"
AROUND = Surroundings(lambda: NOW, lambda: 0.0, lambda _s: None, lambda: "N" * 22)
FRAME = {
    "cmd": "100",
    "username": "ann",
    "password": "Correct horse 7",
    "totp": "123456",
    "faceID": base64.b64encode(b"\xff\xd8\xff" + b"\0" * 40).decode(),
    "mac": "02:00:5e:77:00:01",
    "client_ts_utc": "2026-11-22T09:30:00Z",
}


class Server:
    """The server as a client of the gateway's sees it: it keeps what it was sent and ends as it is told to."""

    clock_offset_s = 0.0
    faults = ("another key than a pinned one is shown at https://" + "a" * 200,)

    def __init__(self, *, opening: Exception | None = None, ending: Exception | None = None) -> None:
        self.opening, self.ending = opening, ending
        self.asked: list[Any] = []

    def open_attempt(self, action: Action, name: str = "", *, peer: str | None = None) -> AttemptReply:
        if self.opening is not None:
            raise self.opening
        return AttemptReply(attempt_id="A" * 22, nonce="N" * 22, expires_at=NOW)

    def submit(self, action: Action, request: Any, nonce: str) -> LoginReply:
        self.asked.append(request)
        if self.ending is not None:
            raise self.ending
        return LoginReply(username="ann", granted_at=NOW, message="Access granted.", assertion="")

    def note_refusal(self, refusal: GatewayRefusal) -> None:
        self.asked.append(refusal)
        if self.ending is not None:
            raise self.ending

    def heartbeat(self, beat: Any) -> Any:
        self.asked.append(beat)
        raise self.ending or AssertionError("nobody answers here")


def answer(server: Server, frame: Any = FRAME) -> dict[str, Any]:
    forwarder = Forwarder(lambda: server, AROUND)  # type: ignore[arg-type]
    return dict(json.loads(forwarder.answer(json.dumps(frame).encode(), PEER)))


def test_what_is_granted_is_told_so_and_the_client_is_named():
    server = Server()
    assert answer(server) == {"status": "ok", "message": "Access granted."}
    assert [request.peer for request in server.asked] == [PEER]


ENDS: list[tuple[Callable[[], Exception], str]] = [
    (lambda: ReplyLost("gone"), answers.UNKNOWN_END),
    (lambda: ServerUnavailable("the reply with status 200 is no LoginReply"), answers.UNKNOWN_END),
    (lambda: ServerUnreachable("nothing was sent"), answers.UNAVAILABLE),
    (lambda: ServerNotTrusted("f" * 64, ("0" * 64,), "auth.example:8443"), answers.UNAVAILABLE),
    (lambda: Refused(403, ErrorReply(reason=Reason.DENIED, message="That did not work.")), "That did not work."),
]


@pytest.mark.parametrize(("error", "message"), ENDS)
def test_what_may_have_been_done_is_said_to_be_unknown_and_all_else_to_be_undone(error, message):
    assert answer(Server(ending=error())) == {"status": "error", "message": message}


@pytest.mark.parametrize("error", [ServerUnavailable("away"), ServerUnreachable("away")])
def test_where_no_attempt_was_opened_nothing_was_done(error):
    server = Server(opening=error)
    assert answer(server) == {"status": "error", "message": answers.UNAVAILABLE}
    assert server.asked == []


def test_what_nobody_foresaw_is_an_answer_with_a_number_and_nothing_else():
    said = answer(Server(ending=ZeroDivisionError("Correct horse 7")))
    assert said["status"] == "error" and said["message"].startswith(answers.UNAVAILABLE) and "horse" not in str(said)


@pytest.mark.parametrize("error", [None, ServerUnavailable("away"), ZeroDivisionError("broken")])
def test_a_broken_rule_is_told_whether_the_server_could_write_it_down_or_not(error):
    server = Server(ending=error)
    said = answer(server, {**FRAME, "totp": 123456})
    assert said["status"] == "error" and "totp" in said["message"]
    (noted,) = server.asked
    assert (noted.username, noted.peer, noted.action, noted.field) == ("ann", PEER, Action.LOGIN, "totp")


def test_who_is_not_named_is_not_written_down():
    server = Server()
    answer(server, {"cmd": "999"})
    assert server.asked == []


@pytest.mark.parametrize("error", [ServerUnavailable("away"), ZeroDivisionError("broken")])
def test_a_heartbeat_that_fails_is_a_fault_and_the_next_one_tells_of_it(error):
    server = Server(ending=error)
    heartbeat = Heartbeat(server, AROUND, version="1", interval_s=30.0)  # type: ignore[arg-type]
    heartbeat.beat()
    assert heartbeat.fault
    heartbeat.beat()
    assert [beat.state.last_error for beat in server.asked] == [None, heartbeat.fault]
    assert [beat.faults for beat in server.asked] == [(server.faults[0][:120],)] * 2
    assert server.asked[0].mac is None
