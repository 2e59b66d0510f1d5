"""From two bare hosts to an open door: the playbooks, the units, nginx, and a login over the bridge."""

import json
import sys

import pytest

from tests.deploy.controller import PlayFailed
from tests.deploy.lab import CONTROLLER, KIOSK, SERVER
from tests.deploy.people import said

pytestmark = [pytest.mark.slow, pytest.mark.deploy]


def test_a_look_at_bare_hosts_changes_nothing(operator, looked):
    assert all(changes > 5 for changes in looked.changed.values()), looked.changed
    for host in operator.lab.hosts:
        assert operator.lab.ssh(host, "ls -d /opt/4auth /etc/4auth /var/lib/4auth 2>/dev/null || true") == ""


def test_a_login_over_the_bridge_opens_the_door(deployed, ada):
    assert ada.log_in().startswith("[+] Welcome, ada: Access granted. The door is open.")
    opened = [json.loads(line) for line in said(deployed.lab) if '"door_opened"' in line]
    assert [line["username"] for line in opened] == ["ada"]

    row = deployed.provision("audit", "list", "--limit", "1")["rows"][0]
    mac = deployed.lab.ssh(KIOSK, "cat /sys/class/net/host0/address").strip()
    assert (row["action"], row["reason"], row["username"], row["kiosk_id"]) == ("login", "granted", "ada", KIOSK.name)
    # Behind nginx, which the server believes about it.
    assert row["source_address"] == KIOSK.address
    device = row["detail"]["verdicts"]["device"]
    assert (device["mac"], device["is_kiosks_own"]) == (mac, True)
    assert deployed.provision("kiosk", "show", KIOSK.name)["kiosk"]["mac_address"] == mac
    assert opened[0]["jti"] == row["detail"]["assertion"]


def test_a_kiosk_in_its_sandbox_reports_nothing_but_what_the_lab_is(deployed, ada):
    faults = deployed.provision("kiosk", "show", KIOSK.name)["kiosk"]["faults"]
    assert [fault for fault in faults if not fault.startswith(("host0: ", "development mode: "))] == []
    assert any(fault.startswith("development mode: ") for fault in faults)


def test_the_second_time_nothing_changes(deployed, ada):
    for playbook in ("site.yml", "enrol-kiosk.yml"):
        again = deployed.play(playbook)
        assert set(again.changed.values()) == {0}, again.said


def test_a_change_of_one_variable_changes_one_thing(deployed, ada):
    deployed.write_inventory(base_journal_days=30)
    looked = deployed.play("site.yml", "--check", "--diff")
    deployed.write_inventory()
    assert looked.changed == {SERVER.name: 1, KIOSK.name: 1}, looked.said
    assert "+MaxRetentionSec=30day" in looked.said


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"base_journal_day": 30}, "Nothing reads base_journal_day"),
        ({"base_journal_days": "a month"}, "base_journal_days"),
        ({"ansible_host": SERVER.address}, "have one ansible_host"),
    ],
    ids=["misspelt", "of another type", "one machine under two names"],
)
def test_a_slip_in_the_inventory_is_told_before_anything_is_done(deployed, changes, refusal):
    with pytest.raises(PlayFailed, match=refusal):
        deployed.play("site.yml", "-e", json.dumps(changes))


def test_the_firewall_is_what_the_inventory_names(deployed):
    rules = deployed.lab.ssh(SERVER, "nft list chain inet filter input")
    assert "policy drop" in rules
    assert f'ip saddr {CONTROLLER} tcp dport 22 accept comment "operators"' in rules
    assert 'ip saddr 10.77.0.0/24 tcp dport 8443 accept comment "kiosks"' in rules


MANY = f"""
import socket, time
made = [socket.socket() for _ in range(100)]
for one in made:
    one.setblocking(False)
    one.connect_ex(("{SERVER.address}", 8443))
time.sleep(2)
print(sum(one.connect_ex(("{SERVER.address}", 8443)) in (0, 106) for one in made))
"""


def test_one_machine_gets_no_more_connections_than_the_inventory_says(deployed):
    """Silent ones too, of which nginx counts none. The kiosk's own agent has some of the 64."""
    assert 32 <= int(deployed.lab.ssh(KIOSK, "python3 -", text=MANY)) <= 64


@pytest.mark.parametrize(
    ("from_host", "to", "port", "is_open"),
    [
        (KIOSK, SERVER, 8443, True),
        (KIOSK, SERVER, 22, False),
        (KIOSK, SERVER, 80, False),
        (KIOSK, SERVER, 8444, False),
        (KIOSK, SERVER, 9464, False),
        (SERVER, KIOSK, 22, False),
        (SERVER, KIOSK, 9465, False),
    ],
    ids=lambda value: getattr(value, "name", str(value)),
)
def test_hosts_reach_of_each_other_what_they_need(deployed, from_host, to, port, is_open):
    knock = f"timeout 2 bash -c '</dev/tcp/{to.address}/{port}' 2>/dev/null && echo open || echo shut"
    assert deployed.lab.ssh(from_host, knock).strip() == ("open" if is_open else "shut")


STRANGER = """
import socket, ssl, sys
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
if sys.argv[2:] == ["old"]:
    context.maximum_version = ssl.TLSVersion.TLSv1_2
with context.wrap_socket(socket.create_connection((sys.argv[1], 8443), 5)) as connection:
    connection.sendall(b"POST /v1/login HTTP/1.1\\r\\nHost: x\\r\\nX-Forwarded-For: 192.0.2.99\\r\\n"
        b"Content-Type: application/json\\r\\nContent-Length: 4000000\\r\\n\\r\\n")
    print(connection.recv(4096).split(b"\\r\\n")[0].decode())
"""


def test_a_stranger_is_refused_before_a_body_is_read_and_known_by_its_own_address(deployed):
    """No byte of the declared 4 MB is ever sent, and what the stranger says of its address counts for nothing."""
    answer = deployed.lab.inside(sys.executable, "-c", STRANGER, SERVER.address, timeout_s=10)
    assert answer.startswith("HTTP/1.1 401 ")
    row = deployed.provision("audit", "list", "--limit", "1")["rows"][0]
    assert (row["success"], row["source_address"]) == (False, CONTROLLER)


def test_tls_1_2_is_not_spoken(deployed):
    with pytest.raises(RuntimeError, match=r"(?i)protocol.version"):
        deployed.lab.inside(sys.executable, "-c", STRANGER, SERVER.address, "old", timeout_s=10)
