"""What the years bring besides `test_rolling.py`: backups, a server that is lost, a kiosk that goes."""

import json

import pytest

from tests.deploy.controller import PlayFailed
from tests.deploy.drills import IN_DRILLS
from tests.deploy.lab import KIOSK, SERVER

pytestmark = [pytest.mark.slow, pytest.mark.deploy, IN_DRILLS]

GRANTED = "[+] Welcome, ada: Access granted."


@pytest.fixture(scope="module")
def backed_up(deployed, ada):
    """The site after its first backup; what other tests made is away."""
    deployed.lab.ssh(SERVER, "rm -f /var/lib/4auth/backup/*")
    with pytest.raises(PlayFailed, match="no backup of the last two days"):
        deployed.play("status.yml")
    deployed.play("backup.yml")
    return deployed


def test_a_site_with_a_backup_is_well(backed_up):
    assert "serves 1 kiosks" in backed_up.play("status.yml").said


def test_backup_and_keys_come_to_the_controller_the_keys_encrypted(backed_up):
    folder = backed_up.inventory.parent
    backup = max((folder / "backups" / SERVER.name).iterdir())
    keys = max((folder / "keys" / SERVER.name).iterdir())
    assert backup.suffix == ".4auth-backup"
    assert keys.read_text().startswith("$ANSIBLE_VAULT;")
    assert keys.stat().st_mode & 0o077 == 0


def test_a_kiosk_that_cannot_be_told_of_a_key_keeps_it_from_use(backed_up, ada):
    before = backed_up.provision("site", "pin")["pin"]
    backed_up.lab.plug(KIOSK, is_in=False)
    try:
        with pytest.raises(PlayFailed, match=f"{KIOSK.name} could not be told of the next key"):
            backed_up.play("rotate.yml", "-e", "rotate=tls")
    finally:
        backed_up.lab.plug(KIOSK, is_in=True)
    assert backed_up.provision("site", "pin")["pin"] == before
    assert ada.log_in().startswith(GRANTED)


def test_nginx_trusts_a_server_whose_key_is_two_rotations_old(backed_up, ada):
    """Without a gateway the server is not started anew for a new TLS key."""
    runs = "systemctl show --property=MainPID --value 4auth-server"
    before = backed_up.lab.ssh(SERVER, runs)
    for _ in range(2):
        backed_up.play("rotate.yml", "-e", json.dumps({"rotate": "tls", "auth_server_gateway": False}))
    assert backed_up.lab.ssh(SERVER, runs) == before
    assert ada.log_in().startswith(GRANTED)


def test_a_lost_server_is_restored_on_new_hardware(backed_up, ada):
    backed_up.play("backup.yml")
    folder = backed_up.inventory.parent
    backup = max((folder / "backups" / SERVER.name).iterdir())
    keys = max((folder / "keys" / SERVER.name).iterdir())
    backed_up.lab.ssh(SERVER, "systemctl stop 4auth-server nginx && rm -rf /etc/4auth /var/lib/4auth /opt/4auth")
    files = ("-e", f"restore_backup={backup}", "-e", f"restore_keys={keys}")
    with pytest.raises(PlayFailed, match="does not open with vault_backup_passphrase"):
        backed_up.play("restore.yml", *files, "-e", "vault_backup_passphrase=another-one-than-then")
    backed_up.play("restore.yml", *files)
    assert backed_up.lab.ssh(SERVER, "systemctl is-active 4auth-server || true").strip() == "inactive"
    with pytest.raises(PlayFailed, match="has keys already"):
        backed_up.play("restore.yml", *files, "-e", "restore_accept=true")
    backed_up.play("restore.yml", *files[:2], "-e", "restore_accept=true")
    assert ada.log_in().startswith(GRANTED)
    assert backed_up.provision("audit", "verify")["ok"]


def test_a_new_machine_takes_the_place_of_a_kiosk_that_was_shut_out(backed_up, ada):
    backed_up.provision("kiosk", "disable", KIOSK.name, "--yes")
    renew = "rm /var/lib/4auth/kiosk/device.pem && 4auth-kiosk identity --json && systemctl restart 4auth-kiosk"
    backed_up.lab.ssh(KIOSK, renew)
    with pytest.raises(PlayFailed, match="another key or MAC"):
        backed_up.play("enrol-kiosk.yml")
    backed_up.play("enrol-kiosk.yml", "-e", "kiosk_replace=true")
    assert ada.log_in().startswith(GRANTED)


def test_a_kiosk_that_goes_leaves_no_key_and_is_shut_out(backed_up):
    with pytest.raises(PlayFailed, match="Name it twice"):
        backed_up.play("decommission.yml", "--limit", KIOSK.name)
    backed_up.play("decommission.yml", "--limit", KIOSK.name, "-e", f"decommission={KIOSK.name}")
    assert not backed_up.provision("kiosk", "show", KIOSK.name)["kiosk"]["enabled"]
    left = backed_up.lab.ssh(KIOSK, "ls -d /etc/4auth /var/lib/4auth /opt/4auth /etc/systemd/system/4auth-* || true")
    assert left == ""
