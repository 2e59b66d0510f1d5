"""From two bare hosts to an open door: the playbooks, the units, nginx, and a login over the bridge."""

import json

import pytest

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
    assert row["detail"]["verdicts"]["device"]["is_kiosks_own"]
    assert deployed.provision("kiosk", "show", KIOSK.name)["kiosk"]["mac_address"] == mac
    assert opened[0]["jti"] == row["detail"]["assertion"]


def test_the_second_time_nothing_changes(deployed, ada):
    for playbook in ("site.yml", "enrol-kiosk.yml"):
        again = deployed.play(playbook)
        assert set(again.changed.values()) == {0}, again.said


def test_a_change_of_one_variable_changes_one_thing(deployed, ada):
    deployed.write_inventory(base_journal_days=30)
    looked = deployed.play("site.yml", "--check", "--diff")
    deployed.write_inventory()
    assert looked.changed == {SERVER.name: 2, KIOSK.name: 2}, looked.said  # the file, and its handler
    assert "+MaxRetentionSec=30day" in looked.said


def test_who_is_no_operator_and_no_kiosk_finds_no_port(deployed):
    """Only the kiosks' net may come to nginx; what else listens, the firewall hides."""
    listening = deployed.lab.ssh(SERVER, "ss -Hltn | awk '{print $4}'").split()
    assert {address.rpartition(":")[2] for address in listening} == {"22", "8443", "8444", "9464"}
    assert all(address.startswith("127.0.0.1:") for address in listening if address.endswith(("8444", "9464")))
    rules = deployed.lab.ssh(SERVER, "nft list chain inet filter input")
    assert "policy drop" in rules
    assert f'ip saddr {CONTROLLER} tcp dport 22 accept comment "operators"' in rules
    assert 'ip saddr 10.77.0.0/24 tcp dport 8443 accept comment "kiosks"' in rules
