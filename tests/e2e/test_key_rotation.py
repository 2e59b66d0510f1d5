"""Every key of a serving site is changed and the old ones removed, and nobody at a kiosk notices."""

import json
import threading
import time
from collections import deque
from contextlib import closing
from datetime import UTC, datetime, timedelta

import jwt
import pytest
from click.testing import CliRunner

from auth_contract.actions import Action
from auth_server.key_forms import FORMS, Kind
from auth_server.password_policy import hash_password
from kiosk_agent.assertion import AssertionVerifier
from provisioning.__main__ import cli
from provisioning.desk import Desk

PEOPLE = 60
CLIENTS = 2


class Logins:
    """People who log in one after another at two kiosks; each kiosk verifies what it is given, as a real one does."""

    def __init__(self, house, people) -> None:
        self.house = house
        self.people = deque(people)
        self.granted: list[tuple[str, str]] = []
        self.faults: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(f"kiosk-{n + 1}",)) for n in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def more(self, count: int) -> None:
        """Go on once so many more people were let in, or something failed."""
        wanted = len(self.granted) + count
        self.house.until(lambda: self.faults or len(self.granted) >= wanted, 60, "logins")
        assert self.faults == []

    def _run(self, kiosk_id: str) -> None:
        try:
            with closing(self.house.client(kiosk_id)) as client:
                verifier = AssertionVerifier(client.jwks, site=self.house.site.name, kiosk_id=kiosk_id)
                while not self._stop.is_set():
                    self._log_in(client, verifier, kiosk_id)
        except BaseException as fault:  # told by the test, in the main thread
            self.faults.append(fault)

    def _log_in(self, client, verifier, kiosk_id: str) -> None:
        person = self.people.popleft()
        self.people.append(person)
        self._wait_for_code_of(person)
        attempt = client.open_attempt(Action.LOGIN)
        submission = self.house.submission(attempt, person, kiosk_id=kiosk_id)
        reply = client.submit(Action.LOGIN, submission, attempt.nonce)
        verifier.verify(reply.assertion, username=person.name, nonce=attempt.nonce, now=datetime.now(UTC))
        self.granted.append((person.name, jwt.get_unverified_header(reply.assertion)["kid"]))

    def _wait_for_code_of(self, person) -> None:
        while person._next_step > int(time.time()) // 30 + 1 and not self._stop.is_set():
            self._stop.wait(0.2)


class Administrator:
    """Runs `4auth-provision keys` in this process, so that what waits for minutes need not be waited for."""

    def __init__(self, house) -> None:
        self.house = house
        self.ahead = timedelta()

    def __call__(self, *arguments: str) -> dict:
        desk = Desk(self.house.site.settings, now=lambda: datetime.now(UTC) + self.ahead, pause=lambda _: None)
        done = CliRunner().invoke(cli, ["keys", *arguments, "--json"], obj=desk, catch_exceptions=False)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)


@pytest.mark.slow
def test_nobody_is_refused_while_every_key_is_rotated_and_retired(house):
    person_of = type(house.person())
    password_hash = hash_password(house.person().password)
    people = [house.enrol(person_of(f"rotated {number}"), password_hash) for number in range(PEOPLE)]
    keys, logged_before = Administrator(house), house.site.server_log.stat().st_size
    before = {key["id"] for key in keys("list")["keys"]}
    with closing(house.client()) as client:
        kid_before = client.jwks()["keys"][0]["kid"]
    with Logins(house, people) as logins:
        logins.more(2)
        for kind in Kind:
            keys("add", kind.value)
        logins.more(2)
        keys.ahead = timedelta(minutes=2)
        for kind in Kind:
            keys("rotate", kind.value)
            logins.more(3)
        keys.ahead = timedelta(minutes=6)
        for kind in Kind:
            keys("retire", kind.value, "--yes")
            logins.more(3)
        for _ in range(2):  # and once more without a key added beforehand
            keys.ahead += timedelta(minutes=4)
            for kind in (Kind.DATABASE, Kind.FIELD):
                keys("rotate", kind.value)
            keys.ahead += timedelta(minutes=4)
            for kind in (Kind.DATABASE, Kind.FIELD):
                keys("retire", kind.value, "--yes")
            logins.more(2)
    assert logins.faults == []
    kids = [kid for _, kid in logins.granted]
    assert kids[0] == kid_before and kids[-1] != kid_before
    with closing(house.client()) as client:
        assert [key["kid"] for key in client.jwks()["keys"]] == [kids[-1]]

    told = keys("list")["keys"]
    assert [(key["kind"], key["state"]) for key in told if key["id"] not in before] == [
        *((kind.value, "in-use") for kind in FORMS),
    ]
    assert [key["kind"] for key in told if key["id"] in before] == ["audit"], "a public half, to prove what it signed"
    assert keys("check")["ok"]
    assert {name for name, _ in logins.granted} <= {row.username for row in house.grants()}
    assert len([row for row in house.grants() if row.username.startswith("rotated")]) == len(logins.granted)
    report = house.verify()
    assert report.ok, report.findings
    log = house.site.server_log.read_bytes()[logged_before:].decode()
    assert '"event": "incident"' not in log and "not a database" not in log
    house.site.stop_server()
    house.site.start_server()
    assert house.login(house.person()).outcome == "granted"
