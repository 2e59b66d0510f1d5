"""A kiosk and a gateway that know two servers of one database, and what people see of it when one is gone."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from auth_contract.actions import Action
from demo.site import Site
from tests import postgres
from tests.e2e.conftest import House, house_of
from tests.e2e.gateways import DEVICE, Gate, made_gate
from tests.e2e.plain_client import Who

pytestmark = pytest.mark.slow

PEOPLE = 12
SEEN_WITHIN_S = 40.0


@dataclass
class Pair:
    """The same house at two servers, and its gateway."""

    first: House
    second: House
    gate: Gate

    @property
    def section(self) -> dict[str, Any]:
        """The settings of a device that knows both."""
        return {"url": [self.first.site.url, self.second.site.url], "pins": [self.first.site.pin]}

    def asked(self, house: House, person: str) -> int:
        """How many submissions in this person's name a server has judged, by its own log."""
        attempts = {House.detail(row).get("attempt") for row in self.first.rows(person)}
        lines = (json.loads(line) for line in house.site.server_log.read_text().splitlines() if line.startswith("{"))
        return sum(line.get("action") == "login" and line.get("attempt") in attempts for line in lines)


@pytest.fixture(scope="module")
def made_pair(
    tmp_path_factory: pytest.TempPathFactory, models_folder: Any, ada_folder: Any, postgresql_server: postgres.Server
) -> Iterator[Pair]:
    """Two servers with a worker each, and a gateway, none of which runs yet."""
    url = postgresql_server.url(postgresql_server.new())
    folder = tmp_path_factory.mktemp("pair")
    site = Site(folder, models_folder.absolute(), name="pair", presence="passive", postgresql=url)
    for first in house_of(site, ada_folder, people=PEOPLE):
        site.settings.write_text(site.settings.read_text().replace("workers = 2", "workers = 1"))
        gate = made_gate(first)
        second = replace(first, site=site.sibling(tmp_path_factory.mktemp("second")))
        try:
            yield Pair(first, second, gate)
        finally:
            gate.kill()
            second.site.kill_server()


@pytest.fixture
def pair(made_pair: Pair) -> Pair:
    """Both servers running."""
    for house in (made_pair.first, made_pair.second):
        if house.site.server is None:
            house.site.start_server()
    return made_pair


def kill(house: House) -> None:
    """End a server as a power cut would, and its connections with it: what is sent afterwards is sent to nobody."""
    workers = house.worker_pids()
    house.site.kill_server()
    House.until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers), SEEN_WITHIN_S, "its workers end")


@contextmanager
def hanging(site: Site) -> Iterator[None]:
    """A server that takes connections and does nothing more."""
    assert site.server is not None
    os.killpg(site.server.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(site.server.pid, signal.SIGCONT)


def test_a_login_goes_to_one_server_while_both_are_there(pair: Pair) -> None:
    person = pair.first.person()
    with closing(pair.first.client(**pair.section)) as client:
        attempt = client.open_attempt(Action.LOGIN)
        client.submit(Action.LOGIN, pair.first.submission(attempt, person), attempt.nonce)
    assert (pair.asked(pair.first, person.name), pair.asked(pair.second, person.name)) == (1, 0)


def test_a_server_killed_after_it_opened_the_attempt(pair: Pair) -> None:
    person = pair.first.person()
    with closing(pair.first.client(**pair.section)) as client:
        attempt = client.open_attempt(Action.LOGIN)
        submission = pair.first.submission(attempt, person)
        kill(pair.first)
        assert client.submit(Action.LOGIN, submission, attempt.nonce).username == person.name
    assert len(pair.second.grants(person.name)) == 1
    assert (pair.asked(pair.first, person.name), pair.asked(pair.second, person.name)) == (0, 1)
    assert pair.second.verify().ok


def test_a_server_that_hangs_costs_one_time_out(pair: Pair) -> None:
    with hanging(pair.first.site), closing(pair.first.client(**pair.section, connect_timeout_s=2)) as client:
        took_s = []
        for _ in range(2):
            began = time.monotonic()
            client.open_attempt(Action.LOGIN)
            took_s.append(time.monotonic() - began)
    assert took_s[0] >= 2 > took_s[1], took_s


def test_people_at_a_kiosk_see_nothing_of_a_server_that_dies_and_comes_back(pair: Pair) -> None:
    log = pair.first.site.folder / "kiosk-1" / "kiosk.log"

    def in_use() -> str:
        lines = (json.loads(line) for line in log.read_text().splitlines() if line.startswith("{"))
        return next((line["address"] for line in [*lines][::-1] if line["event"] == "server_changed"), "none yet")

    before, during, after = (pair.first.person() for _ in range(3))
    server = {**pair.section, "heartbeat_s": 1, "away_s": 2}
    with pair.first.kiosk_process(server=server) as kiosk:
        assert kiosk.enter(pair.first.entry(before)).startswith(f"Welcome, {before.name}")
        entry = pair.first.entry(during)
        for line in entry.lines()[:2]:
            kiosk.press(**line)
        House.until(lambda: "Your code" in kiosk.screen[-1], SEEN_WITHIN_S, "the code is asked for")
        kill(pair.first)
        kiosk.press(**entry.lines()[2])
        assert kiosk.answer().startswith(f"Welcome, {during.name}")
        House.until(lambda: in_use() == pair.second.site.url, SEEN_WITHIN_S, "the second is in use")
        pair.first.site.start_server()
        House.until(lambda: in_use() == pair.first.site.url, SEEN_WITHIN_S, "the first is in use again")
        assert kiosk.enter(pair.first.entry(after)).startswith(f"Welcome, {after.name}")
    assert not [line for line in kiosk.screen if "Out of service" in line]
    assert pair.asked(pair.second, during.name) == pair.asked(pair.first, after.name) == 1


def test_a_gateway_goes_on_with_the_other_server(pair: Pair) -> None:
    with pair.gate.running(server=pair.section), pair.gate.client() as client:
        for is_killed in (False, True):
            if is_killed:
                kill(pair.first)
            person = pair.gate.person()
            who = Who(person.name, person.password, DEVICE)
            reply = client.log_in(who, person.code(), pair.first.picture.read_bytes())
            assert reply["status"] == "ok", reply
            assert pair.asked(pair.second, person.name) == int(is_killed)
