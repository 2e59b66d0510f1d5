"""A kiosk's sign of life is stored, and what is wrong with the kiosk becomes a row when it changes."""

import json

import pytest

from auth_contract import paths
from auth_server.bootstrap import new_token


def beat(site, mac=None, faults=()):
    report = {"agent_version": "0.1.0", "mac": mac or site.kiosk.mac, "faults": list(faults)}
    reply = site.post(paths.HEARTBEAT, json.dumps(report).encode(), nonce=new_token())
    assert reply.status_code == 200, reply.text
    return reply.json


def rows(site):
    return [row for row in site.services.audit.rows() if row.action == "heartbeat"]


def test_it_tells_the_servers_time_and_notes_the_kiosk(site):
    assert beat(site)["server_ts_utc"].startswith("2026-11-22T09:30:05")
    kiosk = site.services.kiosks.find("kiosk-1")
    assert (kiosk.last_seen_at, kiosk.agent_version, kiosk.faults) == (site.time.now(), "0.1.0", ())
    assert rows(site) == []


def test_faults_are_a_row_when_they_come_and_when_they_go_and_not_in_between(site):
    for faults in ((), ("camera: no picture",), ("camera: no picture",), (), ()):
        beat(site, faults=faults)
    assert [(row.reason, row.success) for row in reversed(rows(site))] == [("faults", False), ("sound", True)]
    assert "camera: no picture" in rows(site)[1].detail


def test_another_mac_than_the_registered_one_is_a_fault(site):
    beat(site, mac="02:00:5e:10:00:99")
    assert site.services.kiosks.find("kiosk-1").faults == (
        "its MAC is 02:00:5e:10:00:99, and 02:00:5e:10:00:01 is registered",
    )


@pytest.mark.parametrize("fault", ["\x1b[2J", "a\nb", "x" * 121])
def test_a_fault_that_could_steer_a_terminal_is_refused(site, fault):
    report = {"agent_version": "0.1.0", "mac": site.kiosk.mac, "faults": [fault]}
    reply = site.post(paths.HEARTBEAT, json.dumps(report).encode(), nonce=new_token())
    assert (reply.status_code, reply.json["reason"]) == (422, "malformed")
