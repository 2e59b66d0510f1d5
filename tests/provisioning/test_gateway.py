"""`4auth-provision gateway` and `kiosk add --gateway`: who may come through, and the files of one."""

import stat
import tomllib
from pathlib import Path

import pytest

from auth_server.gateway.settings import GatewaySettings
from provisioning.tls import read_pin

KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
OTHER_KEY = "gCUWHFQ4ZjpVxbPXUOQwQ4o1-JMp1KYHqsd0KKMV1Kg"


def test_a_gateway_is_a_kiosk_without_a_mac(command):
    added = command.json("kiosk", "add", "gate-1", "--gateway", "--public-key", KEY)["kiosk"]
    assert (added["is_gateway"], added["mac_address"]) == (True, None)
    assert " gateway " in command("kiosk", "list").stdout
    assert "mac address:    -" in command("kiosk", "show", "gate-1").stdout


def refused(command, code: int, *arguments: str) -> str:
    """What the command says of a refusal with this exit code."""
    result = command(*arguments)
    assert result.exit_code == code, result.output
    return result.stderr


WRONG = [
    ("kiosk", "add", "gate-1", "--public-key", KEY),
    ("kiosk", "add", "gate-1", "--public-key", KEY, "--gateway", "--mac", "02:00:5e:10:00:01"),
]


@pytest.mark.parametrize("arguments", WRONG)
def test_it_has_a_mac_or_is_a_gateway_and_not_both(command, arguments):
    said = refused(command, 2, *arguments)
    assert "--mac, or say --gateway" in said


def test_two_gateways_do_not_share_a_mac_that_they_do_not_have(command):
    for gateway_id, key in (("gate-1", KEY), ("gate-2", OTHER_KEY)):
        command.json("kiosk", "add", gateway_id, "--gateway", "--public-key", key)
    assert [kiosk["mac_address"] for kiosk in command.json("kiosk", "list")["kiosks"]] == [None, None]


def test_nobody_is_bound_to_a_gateway(with_ann):
    with_ann("kiosk", "add", "gate-1", "--gateway", "--public-key", KEY)
    said = refused(with_ann, 1, "user", "bind", "ann", "gate-1")
    assert "gate-1 is a gateway" in said and "gateway allow" in said


def test_a_gateway_gets_a_new_key_and_no_mac(command):
    command("kiosk", "add", "gate-1", "--gateway", "--public-key", KEY)
    again = ("kiosk", "replace-key", "gate-1", "--public-key", OTHER_KEY, "--yes")
    assert "has no MAC" in refused(command, 1, *again, "--mac", "02:00:5e:10:00:01")
    done = command.json(*again)["kiosk"]
    assert (done["public_key"], done["mac_address"]) == (OTHER_KEY, None)


def test_a_name_is_listed_before_or_after_it_has_an_account(with_ann):
    for name in ("ann", "Zoë"):
        assert with_ann.json("gateway", "allow", name)["changed"] is True
    assert with_ann.json("gateway", "allow", "zoë")["changed"] is False
    assert with_ann.json("gateway", "list")["names"] == ["ann", "zoë"]
    assert "may come through one" in with_ann("user", "show", "ann").stdout
    assert with_ann.json("gateway", "forbid", "ann")["changed"] is True
    assert with_ann.json("gateway", "forbid", "ann")["changed"] is False
    assert with_ann.json("gateway", "list")["names"] == ["zoë"]


def test_that_no_gateway_is_let_in_yet_is_told(command):
    assert "gateway.enabled = true" in command("gateway", "allow", "ann").stdout


def test_a_new_kiosk_tells_who_was_bound_to_its_mac_before(with_ann):
    """Through a gateway a person may claim the MAC of a machine that is a kiosk tomorrow."""
    with_ann("user", "bind", "ann", "--mac", "02:00:5e:77:00:09")
    added = with_ann("kiosk", "add", "lobby-9", "--public-key", KEY, "--mac", "02:00:5e:77:00:09")
    assert "may log in there: ann" in added.stdout and "user unbind NAME lobby-9" in added.stdout
    assert with_ann.audit_rows()[-1]["detail"]["bound_already"] == ["ann"]


def test_each_change_of_the_list_is_a_row(command):
    command("gateway", "allow", "ann")
    command("gateway", "forbid", "ann")
    rows = command.json("audit", "list", "--user", "ann")["rows"]
    assert [row["action"] for row in rows] == ["admin.gateway.forbid", "admin.gateway.allow"]


def test_whoever_gets_the_name_of_a_deleted_person_is_not_listed(with_ann):
    with_ann("gateway", "allow", "ann")
    with_ann("user", "delete", "ann", "--yes")
    assert with_ann.json("gateway", "list")["names"] == []


def test_a_new_site_has_the_files_of_a_gateway(made_site: Path):
    folder = made_site / "gateway"
    settings = GatewaySettings.model_validate(tomllib.loads((folder / "gateway.toml").read_text()))
    assert settings.server.pins == (read_pin(made_site / "tls" / "server.crt"),)
    assert settings.listen.tls_key == folder / "gateway.key"
    assert read_pin(settings.listen.tls_certificate) != settings.server.pins[0], "a key of its own"
    assert stat.S_IMODE(settings.listen.tls_key.stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_site_of_before_gets_them_too_and_nothing_is_overwritten(command, tmp_path: Path):
    folder = tmp_path / "second"
    made = command.json("gateway", "init", "--folder", str(folder), "--id", "gate-2", "--port", "65433")
    settings = GatewaySettings.model_validate(tomllib.loads(Path(made["settings"]).read_text()))
    assert (settings.gateway_id, settings.listen.port) == ("gate-2", 65433)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert "cannot be made" in refused(command, 1, "gateway", "init", "--folder", str(folder))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
