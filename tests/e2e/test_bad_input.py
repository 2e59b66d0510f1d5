"""Broken and hostile requests over the real socket: each has its answer, and the server goes on serving."""

import base64
import json
import struct
import time
from contextlib import closing

import pytest

from auth_contract import paths
from auth_contract.actions import Action
from auth_contract.limits import BODY_MAX_BYTES
from auth_server.bootstrap import new_token

ATTEMPT = b'{"action":"login"}'


@pytest.fixture(autouse=True)
def still_serving(house):
    """After each of these tests an honest login is granted, and no worker was lost."""
    before = house.worker_pids()
    yield
    assert house.worker_pids() == before
    assert house.login(house.person()).outcome == "granted"


def test_a_body_above_four_mebibytes_is_refused_before_it_is_sent(wire):
    headers = {**wire.signed(paths.ATTEMPTS, ATTEMPT, new_token()), "Content-Length": str(BODY_MAX_BYTES + 1)}
    status, reply = wire.send(paths.ATTEMPTS, headers, b"")  # nothing of it: the answer must not wait for it
    assert (status, reply["reason"], reply["field"]) == (413, "malformed", "content-length")


def test_a_strangers_body_is_not_waited_for(wire):
    began = time.monotonic()
    status, reply = wire.send(paths.LOGIN, {"Content-Type": "application/json", "Content-Length": "4000000"}, b"")
    assert (status, reply["reason"]) == (401, "kiosk_refused")
    assert time.monotonic() - began < 3


def test_a_chunked_body_is_refused(wire):
    headers = {**wire.signed(paths.ATTEMPTS, ATTEMPT, new_token()), "Transfer-Encoding": "chunked"}
    status, reply = wire.send(paths.ATTEMPTS, headers, b"12\r\n" + ATTEMPT + b"\r\n0\r\n\r\n")
    assert (status, reply["reason"], reply["field"]) == (422, "malformed", "content-length")


def test_a_body_that_stops_half_way_is_refused_and_audited(house, wire):
    """Only until the sender hangs up; one that stays silent is dropped by `tls`, see its tests."""
    headers = {**wire.signed(paths.ATTEMPTS, ATTEMPT, new_token()), "Content-Length": str(len(ATTEMPT))}
    before = len(house.rows())
    head = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    with closing(wire.connect()) as connection:
        connection.sendall(f"POST {paths.ATTEMPTS} HTTP/1.1\r\nHost: x\r\n{head}\r\n".encode() + ATTEMPT[:5])
    house.until(lambda: len(house.rows()) == before + 1, 5, "an audit row")
    assert (house.rows()[0].reason, house.rows()[0].kiosk_id) == ("malformed", "kiosk-1")


NO_HTTP = {
    "noise": b"\x00\xff" * 200 + b"\r\n\r\n",
    "a request line of 2 KiB": b"GET /" + b"a" * 2048 + b" HTTP/1.1\r\n\r\n",
    "a hundred header fields": b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % n for n in range(100)) + b"\r\n",
    "a header field of 8 KiB": b"GET / HTTP/1.1\r\nX: " + b"a" * 8192 + b"\r\n\r\n",
    "two lengths": b"POST /v1/login HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "a length and chunks": b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": b"POST /v1/login HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
}


@pytest.mark.parametrize("case", NO_HTTP)
def test_what_is_no_proper_http_is_refused(wire, case):
    with closing(wire.connect()) as connection:
        connection.sendall(NO_HTTP[case])
        status, _ = wire.read(connection)
    assert 400 <= status < 500


def huge_jpeg() -> bytes:
    """A JPEG header that claims 65535 x 65535 pixels."""
    return b"\xff\xd8\xff\xc0\x00\x11\x08" + struct.pack(">HH", 65535, 65535) + b"\x03" + b"\x01\x11\x00" * 3


BAD_LOGINS = {
    "a name with NUL": ({"username": "ada\0"}, "username"),
    "an unknown key": ({"is_admin": True}, "is_admin"),
    "thirty-three frames": ({"frames": ["/9j/"] * 33}, "frames"),
    "a frame of four gigapixels": ({"frames": [base64.b64encode(huge_jpeg()).decode()]}, "frames.0"),
    "a name nested in lists": ({"username": [[[[["ada"]]]]]}, "username"),
}


@pytest.mark.parametrize("case", BAD_LOGINS)
def test_a_login_with_a_broken_field_names_the_field(house, wire, case):
    changes, field = BAD_LOGINS[case]
    with closing(house.client()) as client:
        attempt = client.open_attempt(Action.LOGIN)
    good = house.submission(attempt, house.person()).model_dump(mode="json")
    status, reply = wire.post(paths.LOGIN, json.dumps({**good, **changes}).encode(), attempt.nonce)
    assert (status, reply["reason"], reply["field"]) == (422, "malformed", field)
    assert house.rows()[0].reason == "malformed"


def test_a_picture_that_only_looks_like_one_is_refused(house, wire):
    """Its header is right and its pixels are not: only decoding finds out."""
    jpeg = bytearray(house.picture.read_bytes())
    del jpeg[len(jpeg) // 4 :]
    with closing(house.client()) as client:
        attempt = client.open_attempt(Action.LOGIN)
    good = house.submission(attempt, house.person()).model_dump(mode="json")
    frames = [base64.b64encode(bytes(jpeg)).decode()]
    status, reply = wire.post(paths.LOGIN, json.dumps({**good, "frames": frames}).encode(), attempt.nonce)
    assert status in {403, 422}
    assert reply["reason"] in {"capture_again", "denied", "malformed"}


def test_a_replayed_request_is_refused(house, wire):
    headers = {**wire.signed(paths.ATTEMPTS, ATTEMPT, new_token()), "Content-Length": str(len(ATTEMPT))}
    assert wire.send(paths.ATTEMPTS, headers, ATTEMPT)[0] == 200
    status, reply = wire.send(paths.ATTEMPTS, headers, ATTEMPT)
    assert (status, reply["reason"]) == (401, "kiosk_refused")
    assert "replayed" in house.detail(house.rows()[0])["why"]
