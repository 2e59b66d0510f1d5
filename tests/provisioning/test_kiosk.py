"""`kiosk add | list | show | disable | enable`."""

import json

import pytest

from auth_server.kiosks import Kiosks

KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
MAC = "b8:27:eb:12:34:56"


def test_an_added_kiosk_is_what_the_server_finds(command):
    added = command.json("kiosk", "add", "lobby-1", "--public-key", KEY, "--mac", "B8-27-EB-12-34-56")["kiosk"]
    assert added == {
        "kiosk_id": "lobby-1",
        "enabled": True,
        "mac_address": MAC,
        "public_key": KEY,
        "last_seen_at": None,
        "agent_version": None,
    }
    with command.desk().site() as site:
        found = Kiosks(site.database).find("lobby-1")
    assert found.enabled and found.mac_address == MAC
    assert found.public_key.hex() == "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"  # RFC 8032, 7.1


@pytest.mark.parametrize(
    ("kiosk_id", "key", "mac", "exit_code", "message"),
    [
        ("Lobby 1", KEY, MAC, 2, "'Lobby 1': String should match pattern"),
        ("lobby-2", KEY[:-4], MAC, 2, "an Ed25519 public key has 32 bytes, this one has 29"),
        ("lobby-2", KEY + "AAA", MAC, 2, "an Ed25519 public key has 32 bytes, this one has 34"),
        ("lobby-2", "not a key!", MAC, 2, "a public key is base64url without padding, as the kiosk prints it"),
        ("lobby-2", KEY, "b8:27:eb:12:34", 2, "a MAC address has six pairs of hexadecimal digits"),
        ("lobby-2", KEY, "00:00:00:00:00:00", 2, "a MAC address is not all zero and not a multicast address"),
        ("lobby-2", KEY, "01:00:5e:00:00:01", 2, "a MAC address is not all zero and not a multicast address"),
        ("lobby-1", None, MAC, 1, "kiosk 'lobby-1' is registered already: choose another id"),
        ("lobby-2", "of lobby-1", MAC, 1, "kiosk lobby-1 has this key: a key is made on one kiosk and never copied"),
    ],
)
def test_refused(with_kiosk, new_key, kiosk_id, key, mac, exit_code, message):
    if key == "of lobby-1":
        key = with_kiosk.json("kiosk", "show", "lobby-1")["kiosk"]["public_key"]
    before = with_kiosk.json("kiosk", "list")
    result = with_kiosk("kiosk", "add", kiosk_id, "--public-key", key or new_key(), "--mac", mac)
    assert result.exit_code == exit_code
    assert message in " ".join(result.stderr.split())
    assert with_kiosk.json("kiosk", "list") == before


def test_disable_asks_first_and_no_means_no(with_kiosk):
    refused = with_kiosk("kiosk", "disable", "lobby-1", typed="n\n")
    assert refused.exit_code == 1
    assert "Nobody will be able to log in at kiosk lobby-1. Disable it?" in refused.stderr
    assert with_kiosk.json("kiosk", "show", "lobby-1")["kiosk"]["enabled"]


def test_disable_does_nothing_where_nobody_can_answer(with_kiosk):
    assert with_kiosk("kiosk", "disable", "lobby-1").exit_code == 1
    assert with_kiosk.json("kiosk", "show", "lobby-1")["kiosk"]["enabled"]


def test_disable_and_enable(with_kiosk):
    assert with_kiosk("kiosk", "disable", "lobby-1", typed="y\n").stdout == "Kiosk lobby-1 is now disabled.\n"
    assert with_kiosk("kiosk", "disable", "lobby-1", "--yes").stdout == "Kiosk lobby-1 was already disabled.\n"
    assert "lobby-1  disabled" in with_kiosk("kiosk", "list").stdout
    assert with_kiosk.json("kiosk", "enable", "lobby-1")["kiosk"]["enabled"]


@pytest.mark.parametrize("verb", ["show", "enable", "disable"])
def test_a_kiosk_that_is_not_there(with_kiosk, verb):
    result = with_kiosk("kiosk", verb, "lobby-9", "--json")
    assert result.exit_code == 1
    message = "there is no kiosk lobby-9: `4auth-provision kiosk list` tells which there are"
    assert json.loads(result.stdout) == {"error": {"kind": "Refused", "message": message}}
    assert result.stderr == f"4auth-provision: {message}\n"


def test_each_act_leaves_one_row_with_its_author_and_a_refused_one_too(with_kiosk, monkeypatch):
    monkeypatch.setenv("SUDO_USER", "grace")
    with_kiosk("kiosk", "disable", "lobby-1", "--yes")
    with_kiosk("kiosk", "enable", "lobby-9")
    with_kiosk("kiosk", "list")
    _, added, disabled, refused = with_kiosk.audit_rows()
    assert (added["action"], added["kiosk_id"], added["success"]) == ("admin.kiosk.add", "lobby-1", True)
    assert added["detail"]["mac"] == MAC
    assert (disabled["action"], disabled["kiosk_id"], disabled["reason"]) == ("admin.kiosk.disable", "lobby-1", "done")
    assert disabled["detail"]["administrator"].endswith("(sudo by grace)")
    assert (refused["action"], refused["success"], refused["reason"]) == ("admin.kiosk.enable", False, "refused")
    assert "there is no kiosk lobby-9" in refused["detail"]["why"]


def test_an_act_whose_row_cannot_be_written_does_not_happen(with_kiosk):
    """Effect and audit row are one transaction."""
    from sqlalchemy import text

    from auth_server.errors import StoreError
    from provisioning.act import Act, commit

    with with_kiosk.desk().site() as site:
        with site.database.transaction() as session:
            session.execute(
                text("CREATE TRIGGER full BEFORE INSERT ON access_logs BEGIN SELECT RAISE(ABORT, 'disk full'); END")
            )
        act = Act("admin.kiosk.disable", with_kiosk.clock(), kiosk_id="lobby-1")
        with pytest.raises(StoreError), commit(site.database, act) as database:
            Kiosks(database).set_enabled("lobby-1", False)
        assert Kiosks(site.database).find("lobby-1").enabled
