"""The audit log goes away from the server, in files that prove themselves where there is no site."""

import json
import subprocess
import sys

import pytest

from tests.deploy.drills import IN_DRILLS
from tests.deploy.lab import SERVER

pytestmark = [pytest.mark.slow, pytest.mark.deploy]


def proved(folder, project_folder) -> dict:
    """What a machine says of shipped files that has neither settings nor keys."""
    words = ("--settings", "/nowhere/server.toml", "--json", "audit", "verify", "--shipped", str(folder))
    done = subprocess.run(
        [sys.executable, "-m", "provisioning", *words], cwd=project_folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_the_unit_ships_and_backup_brings_it_away(deployed, ada, project_folder):
    assert deployed.lab.ssh(SERVER, "systemctl is-active 4auth-audit-ship.timer").strip() == "active"
    folder = deployed.inventory.parent / "audit" / SERVER.name
    before: set[str] = set()
    for _ in range(2):
        ada.log_in()
        # Signed by the server within a minute, or by an act at the command line at once.
        deployed.provision("kiosk", "disable", "gateway", "--yes")
        deployed.provision("kiosk", "enable", "gateway")
        newest = deployed.provision("audit", "list", "--limit", "1")["rows"][0]["id"]
        deployed.play("backup.yml")
        report = proved(folder, project_folder)
        assert report["ok"] and report["rows"] == report["head"]["row"] >= newest
        here = {path.name for path in folder.iterdir()}
        assert before < here, "what was there stays, and something came"
        before = here
    told = deployed.provision("audit", "verify")
    assert report["keys"] == told["keys"], "and the site's own key made them"


def test_the_timer_rests_while_checkpoints_are_not_copied(deployed):
    """As in an upgrade, whose database of before must not be behind what was shipped."""
    shown = "systemctl show -p ActiveState --value 4auth-audit-ship.timer"
    deployed.lab.ssh(SERVER, "systemctl stop 4auth-checkpoint.timer")
    assert deployed.lab.ssh(SERVER, shown).strip() == "inactive"
    deployed.lab.ssh(SERVER, "systemctl start 4auth-checkpoint.timer")
    assert deployed.lab.ssh(SERVER, shown).strip() == "active"
    assert deployed.lab.ssh(SERVER, "systemctl --failed --plain --no-legend") == ""


@IN_DRILLS
def test_another_folder_takes_one_variable(deployed, ada):
    deployed.lab.ssh(SERVER, "install -d -o fourauth -g fourauth -m 0700 /srv/away")
    deployed.write_inventory(auth_server_ship_to="/srv/away")
    try:
        deployed.play("site.yml", "--limit", SERVER.name)
        deployed.lab.ssh(SERVER, "systemctl start 4auth-audit-ship.service")
        assert deployed.lab.ssh(SERVER, "ls /srv/away").startswith("audit-000000000001-")
    finally:
        deployed.write_inventory()
    deployed.play("site.yml", "--limit", SERVER.name)
