"""What the years bring: backups, new keys, new releases and bad ones, a server that is lost, a kiosk that goes."""

import tomllib
from importlib import metadata

import pytest

from tests.deploy.controller import Change, PlayFailed, build
from tests.deploy.lab import KIOSK, SERVER

pytestmark = [pytest.mark.slow, pytest.mark.deploy]

GRANTED = "[+] Welcome, ada: Access granted."
NEWER, DEAF, DUMB = "0.1.1", "0.1.2", "0.1.3"


@pytest.fixture(scope="module")
def backed_up(deployed, ada):
    """The site after its first backup."""
    with pytest.raises(PlayFailed, match="no backup of the last two days"):
        deployed.play("status.yml")
    deployed.play("backup.yml")
    return deployed


def pins(operator) -> list[str]:
    return list(tomllib.loads(operator.lab.ssh(KIOSK, "cat /etc/4auth/kiosk.toml"))["server"]["pins"])


def test_a_site_with_a_backup_is_well(backed_up):
    assert "serves 1 kiosks" in backed_up.play("status.yml").said


def test_backup_and_keys_come_to_the_controller_the_keys_encrypted(backed_up):
    folder = backed_up.inventory.parent
    (backup,) = (folder / "backups" / SERVER.name).iterdir()
    (keys,) = (folder / "keys" / SERVER.name).iterdir()
    assert backup.suffix == ".4auth-backup"
    assert keys.read_text().startswith("$ANSIBLE_VAULT;")
    assert keys.stat().st_mode & 0o077 == 0


def test_kiosks_know_the_next_tls_key_before_they_meet_it(backed_up, ada):
    before = pins(backed_up)
    backed_up.play("rotate.yml", "-e", "rotate=tls")
    after = pins(backed_up)
    assert len(before) == len(after) == 1 and before != after
    assert after == [backed_up.provision("site", "pin")["pin"]]
    assert ada.log_in().startswith(GRANTED)


def test_a_new_field_key_seals_all_and_the_old_one_is_gone(backed_up, ada):
    backed_up.play("rotate.yml", "-e", "rotate=field")
    kept = [key for key in backed_up.provision("keys", "list")["keys"] if key["kind"] == "field"]
    assert len(kept) == 1
    assert ada.log_in().startswith(GRANTED)


def test_a_kiosk_gets_a_new_device_key(backed_up, ada):
    before = backed_up.provision("kiosk", "show", KIOSK.name)["kiosk"]["public_key"]
    backed_up.play("rotate.yml", "-e", "rotate=device")
    assert backed_up.provision("kiosk", "show", KIOSK.name)["kiosk"]["public_key"] != before
    assert ada.log_in().startswith(GRANTED)


def test_a_newer_release_comes_into_force_everywhere(backed_up, ada, project_folder, tmp_path):
    house = build(project_folder, tmp_path, NEWER)
    # What a run that was killed left there is no part of it.
    (name,) = (line for path in house.glob("*/kiosk.release") for line in path.read_text().split())
    half = f"/opt/4auth/releases/{name}/bin"
    backed_up.lab.ssh(KIOSK, f"mkdir -p {half} && ln -s /usr/bin/python3 {half}/python")
    backed_up.play("upgrade.yml", "-e", f"base_wheelhouse={house}")
    assert {backed_up.release(host).partition("-")[0] for host in backed_up.lab.hosts} == {NEWER}
    assert backed_up.provision("kiosk", "show", KIOSK.name)["kiosk"]["agent_version"] == NEWER
    assert ada.log_in().startswith(GRANTED)


@pytest.mark.parametrize(
    ("version", "change", "host"),
    [
        # The agent comes up, and never reaches its server.
        (DEAF, Change("auth_contract/paths.py", '"/v1/heartbeat"', '"/v1/nowhere"'), KIOSK),
        # The server comes up, and never says that it can serve.
        (
            DUMB,
            Change("auth_server/health.py", "    status = services", '    faults["x"] = "y"\n    status = services'),
            SERVER,
        ),
    ],
    ids=["kiosk", "server"],
)
def test_a_broken_release_is_taken_back(backed_up, ada, project_folder, tmp_path, version, change, host):
    before = backed_up.release(host)
    house = build(project_folder, tmp_path, version, change)
    with pytest.raises(PlayFailed, match=f"{host.name} did not do well with {version}"):
        backed_up.play("upgrade.yml", "-e", f"base_wheelhouse={house}")
    assert backed_up.release(host) == before
    assert ada.log_in().startswith(GRANTED)
    assert backed_up.provision("audit", "verify")["ok"]


def test_a_lost_server_is_restored_on_new_hardware(backed_up, ada):
    backed_up.play("backup.yml")
    folder = backed_up.inventory.parent
    backup = max((folder / "backups" / SERVER.name).iterdir())
    keys = max((folder / "keys" / SERVER.name).iterdir())
    backed_up.lab.ssh(SERVER, "systemctl stop 4auth-server nginx && rm -rf /etc/4auth /var/lib/4auth /opt/4auth")
    files = ("-e", f"restore_backup={backup}", "-e", f"restore_keys={keys}")
    with pytest.raises(PlayFailed, match="does not open with vault_backup_passphrase"):
        backed_up.play("restore.yml", *files, "-e", "vault_backup_passphrase=another-one-than-then")
    backed_up.play("restore.yml", *files, "-e", "restore_accept=true")
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


def test_the_versions_of_this_file_are_newer_than_the_checkouts():
    assert metadata.version("fourauth") < NEWER < DEAF < DUMB
