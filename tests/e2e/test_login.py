"""One login through the whole house: keypad, camera, kiosk, TLS, four factors, store, screen, door."""

import json
from contextlib import closing

import jwt
import pytest

from auth_contract.actions import Action
from auth_server.assertions import METHODS
from kiosk_agent import login
from kiosk_agent.events import Ending
from kiosk_agent.settings import load_settings


def door_lines(house, kiosk_id="kiosk-1"):
    """What the door of a kiosk logged."""
    text = (house.site.folder / kiosk_id / "kiosk.log").read_text()
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return [line for line in lines if line["event"] == "door_opened"]


def test_a_person_types_and_looks_and_the_door_opens_once(house):
    person = house.person()
    with house.kiosk_process() as kiosk:
        assert kiosk.enter(house.entry(person)).startswith(f"Welcome, {person.name}")
        house.until(lambda: door_lines(house), 5, "the door's line in the log")
    (row,) = house.rows(person.name)
    (line,) = [line for line in door_lines(house) if line["username"] == person.name]
    assert (row.success, row.reason, row.kiosk_id) == (True, "granted", "kiosk-1")
    assert house.detail(row)["assertion"] == line["jti"]
    assert all(verdict["passed"] for verdict in house.detail(row)["verdicts"].values())
    assert set(house.detail(row)["verdicts"]) == {"password", "totp", "face", "device", "clock"}
    assert house.verify().ok


def test_a_wrong_password_keeps_the_door_shut(house):
    person = house.person()
    with house.kiosk_process() as kiosk:
        assert kiosk.enter(house.entry(person, password="Quiet marmot 43")).startswith("Access denied")
    (row,) = house.rows(person.name)
    assert (row.success, row.reason) == (False, "denied")
    assert [line for line in door_lines(house) if line["username"] == person.name] == []


@pytest.fixture
def one_login(house, tmp_path):
    """Runs `kiosk_agent.login()` with a script for a keypad."""

    def run(person, **typed):
        entry = house.entry(person, **typed)
        script = tmp_path / "keys.jsonl"
        # One login begins where the name is asked for, with no key to wake the kiosk.
        first, *others = entry.lines()
        lines = [{**first, "step": "name"}, *others]
        script.write_text("".join(json.dumps(line) + "\n" for line in lines))
        path = house.site.kiosk_settings(
            "kiosk-2",
            mac_override="02:00:5e:10:00:02",
            camera={"kind": "replay", "sources": [str(house.scene / "rest")]},
            keypad={"kind": "scripted", "script": str(script)},
        )
        return login(load_settings(path))

    return run


def test_a_python_program_gets_true_and_an_assertion_that_anybody_can_verify(house, one_login):
    person = house.person()
    result = one_login(person)
    assert result
    assert (result.username, result.reason) == (person.name, Ending.GRANTED)
    with closing(house.client()) as client:
        keys = jwt.PyJWKSet.from_dict(client.jwks())
    key = keys[jwt.get_unverified_header(result.assertion)["kid"]]
    claims = jwt.decode(
        result.assertion,
        key,
        algorithms=["EdDSA"],
        audience="house",
        issuer="4auth:house",
        options={"require": ["exp"]},
    )
    assert (claims["sub"], claims["kiosk"], tuple(claims["amr"])) == (person.name, "kiosk-2", METHODS)
    (row,) = house.rows(person.name)
    assert house.detail(row)["assertion"] == claims["jti"]
    assert result.assertion not in repr(result)


def test_a_python_program_gets_false_and_the_reason(house, one_login):
    result = one_login(house.person(), password="Quiet marmot 43")
    assert not result
    assert (result.is_granted, result.reason, result.assertion) == (False, Ending.DENIED, "")
    assert result.message


def test_an_attempt_is_submitted_even_where_the_server_was_started_anew_meanwhile(house):
    """The kept connection is gone, and the client notices before it sends: nothing is lost and nothing sent twice."""
    person = house.person()
    with closing(house.client()) as client:
        attempt = client.open_attempt(Action.LOGIN)
        house.site.stop_server()
        house.site.start_server()
        assert client.submit(Action.LOGIN, house.submission(attempt, person, person.code()), attempt.nonce).username
    assert [row.success for row in house.rows(person.name)] == [True]
