"""A sender that dribbles its request is dropped, leaves a row, and is in nobody's way."""

import json
import sys
import time
from contextlib import closing

import pytest

from auth_contract import paths
from auth_contract.actions import Action
from auth_server.tls import REQUEST_TIMEOUT_S

REQUEST_S = 1.5

_HURRIED = f"""
import functools, sys
from auth_server import tls, wsgi
tls.server_context = functools.partial(tls.server_context, request_timeout_s={REQUEST_S})
sys.exit(wsgi.main())
"""


@pytest.fixture
def hurried(house):
    """The server with a shorter time for a request than its 15 s."""
    house.site.stop_server()
    house.site.start_server(sys.executable, "-c", _HURRIED)
    yield house
    house.site.stop_server()


def test_a_login_whose_body_dribbles_is_dropped_and_audited_and_its_attempt_is_used(hurried, wire):
    with closing(hurried.client()) as client:
        attempt = client.open_attempt(Action.LOGIN)
    person = hurried.person()
    submission = hurried.submission(attempt, person)
    body = submission.model_dump_json().encode()
    head = {**wire.signed(paths.LOGIN, body, attempt.nonce), "Content-Length": str(len(body))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    with closing(wire.connect()) as connection:
        connection.sendall(f"POST {paths.LOGIN} HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode())
        began, others = time.monotonic(), 0
        for number in range(len(body)):
            try:
                connection.sendall(body[number : number + 1])
            except OSError:
                break
            hurried.login(hurried.person())  # others are served meanwhile
            others += 1
            if hurried.rows()[0].reason == "malformed":
                break
        assert time.monotonic() - began < REQUEST_TIMEOUT_S - 1, "by its own limit, and not by the usual one"
    assert others >= 1
    hurried.until(lambda: any(row.reason == "malformed" for row in hurried.rows()[:3]), 5, "an audit row")
    row = next(row for row in hurried.rows() if row.reason == "malformed")
    detail = hurried.detail(row)
    assert "in time" in json.dumps(detail)
    assert detail["attempt"] == attempt.attempt_id
    status, reply = wire.post(paths.LOGIN, body, attempt.nonce)
    assert (status, reply["reason"]) == (409, "start_again")
