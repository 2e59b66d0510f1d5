"""What can happen to a server among logins: none that was acknowledged is lost, and nothing that it keeps is broken."""

import time

import pytest

from tests.deploy.disks import small_disk
from tests.deploy.drills import IN_DRILLS, wait_until
from tests.deploy.lab import SERVER
from tests.deploy.logins import Crowd

pytestmark = [pytest.mark.slow, pytest.mark.deploy, IN_DRILLS]

PEOPLE = 20
AMONG = 5
"""So many logins are granted before the fault comes; then others are under way."""

STORE = "/var/lib/4auth/server"
MASTER = "systemctl kill --kill-whom=main --signal=KILL 4auth-server"
WORKER = "m=$(systemctl show -p MainPID --value 4auth-server); read -r w _ < /proc/$m/task/$m/children; kill -9 $w"
STOPPED = "systemctl kill --kill-whom=all --signal=STOP 4auth-server"


@pytest.fixture
def twenty(crowd):
    return Crowd(crowd.site, crowd.people[:PEOPLE])


def kill_worker(drill):
    drill.site.lab.ssh(SERVER, WORKER)


def kill_master(drill):
    drill.site.lab.ssh(SERVER, MASTER)


def stop_all(drill):
    """The unit's watchdog is the only one who notices."""
    drill.site.lab.ssh(SERVER, STOPPED)


def cut_power(drill):
    cut = time.time()
    drill.site.lab.cut(SERVER)
    drill.is_shut_with("The login service cannot be reached.", cut)
    booted = time.time()
    drill.site.lab.boot(SERVER)
    drill.is_back(booted)


def log_in_through(drill, twenty, tmp_path, fault):
    """Twenty people log in, a fault comes among them, and at the end all were let in and nothing is forgotten."""
    before = drill.newest_row()
    seen = twenty.all_log_in(tmp_path, within_s=150)
    wait_until(lambda: len(seen.granted) >= AMONG, "the first logins")
    at = time.time()
    fault(seen)
    seen.end(within_s=180)
    assert {one["name"] for one in seen.granted} == {person.name for person in twenty.people}, seen.refused
    drill.tell("refused_or_lost", len(seen.refused))
    drill.tell("nobody_let_in_for_s", round(seen.away_s(at), 1))
    rows = {row["detail"].get("assertion") for row in drill.rows_since(before) if row["reason"] == "granted"}
    assert {one["granted"] for one in seen.granted} <= rows


@pytest.mark.parametrize("fault", [kill_worker, kill_master, stop_all, cut_power], ids=lambda fault: fault.__name__)
def test_no_acknowledged_login_is_lost(drill, twenty, tmp_path, fault):
    log_in_through(drill, twenty, tmp_path, lambda _: fault(drill))


def test_a_full_disk_lets_nobody_in_without_a_row_and_nothing_is_broken(drill, twenty, tmp_path):
    """Who comes meanwhile is refused with a reason, and the server says what it lacks."""

    def fill(seen):
        disk.fill()
        full = time.time()
        drill.is_shut_with("The login service cannot be reached.", full)
        wait_until(lambda: "unavailable" in {one["reason"] for one in seen.refused}, "somebody to be refused")
        assert drill.server_faults()["disk"].startswith(f"{STORE}/store has ")
        back = time.time()
        disk.empty()
        drill.is_back(back)
        assert drill.server_faults() == {}

    with small_disk(drill.site.lab, SERVER, STORE) as disk:
        log_in_through(drill, twenty, tmp_path, fill)
