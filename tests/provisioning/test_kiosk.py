"""`kiosk add | list | show | disable | enable`."""

import json

import pytest

from auth_server.kiosks import Kiosks
from provisioning.act import administrator

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
        "faults": [],
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
        ("lobby-2", None, "B8-27-EB-12-34-56", 1, f"kiosk lobby-1 has the MAC {MAC}: no two kiosks may share one."),
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


def test_a_machine_that_lost_its_key_is_registered_anew_once_its_old_entry_is_disabled(with_kiosk, new_key):
    again = ("kiosk", "add", "lobby-2", "--public-key", new_key(), "--mac", MAC)
    assert "`4auth-provision kiosk disable lobby-1` first" in " ".join(with_kiosk(*again).stderr.split())
    with_kiosk("kiosk", "disable", "lobby-1", "--yes")
    assert with_kiosk(*again).exit_code == 0
    both = with_kiosk("kiosk", "enable", "lobby-1")
    assert both.exit_code == 1
    assert f"kiosk lobby-2 has the MAC {MAC}" in both.stderr
    assert not with_kiosk.json("kiosk", "show", "lobby-1")["kiosk"]["enabled"]
    with_kiosk("kiosk", "disable", "lobby-2", "--yes")
    assert with_kiosk("kiosk", "enable", "lobby-1").exit_code == 0


@pytest.mark.parametrize(
    ("faults", "word"),
    [((), "no fault"), (("clock is -90 s off the server's",), "1 fault"), (("camera \x1b[2J", "no door"), "2 faults")],
)
def test_what_a_kiosk_reported_is_shown_and_steers_no_terminal(with_kiosk, faults, word):
    assert "faults:         -" in with_kiosk("kiosk", "show", "lobby-1").stdout, "it was never seen"
    with with_kiosk.desk().site() as site, site.database.transaction() as session:
        Kiosks(site.database).record_heartbeat(session, "lobby-1", with_kiosk.clock(), "4.0.0", faults)
    assert with_kiosk("kiosk", "list").stdout.splitlines()[1].endswith(f"4.0.0    {word}")
    shown = with_kiosk("kiosk", "show", "lobby-1").stdout
    assert f"faults:         {word}\n" in shown and "\x1b" not in shown
    assert all(f"  {fault}\n".replace("\x1b", "\\x1b") in shown for fault in faults)
    assert with_kiosk.json("kiosk", "show", "lobby-1")["kiosk"]["faults"] == list(faults)


@pytest.mark.parametrize(
    ("uid", "login", "name"),
    [
        (0, "0", "root"),
        (0, "4294967295", "root"),  # no login: a timer, or a system without pam_loginuid
        (0, None, "root"),
        (0, "1", "root (login daemon)"),
        (1, "0", "daemon (login root)"),
        (4_000_000_001, "4000000002", "uid 4000000001 (login uid 4000000002)"),
    ],
)
def test_an_administrator_is_whom_the_kernel_names(uid, login, name, tmp_path):
    path = tmp_path / "loginuid"
    if login is not None:
        path.write_text(login)
    assert administrator(uid, path) == name


def test_each_act_leaves_one_row_with_its_author_and_a_refused_one_too(with_kiosk, monkeypatch):
    for variable in ("SUDO_USER", "LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(variable, "grace")
    with_kiosk("kiosk", "disable", "lobby-1", "--yes")
    with_kiosk("kiosk", "enable", "lobby-9")
    with_kiosk("kiosk", "list")
    _, added, disabled, refused = with_kiosk.audit_rows()
    assert (added["action"], added["kiosk_id"], added["success"]) == ("admin.kiosk.add", "lobby-1", True)
    assert added["detail"]["mac"] == MAC
    assert (disabled["action"], disabled["kiosk_id"], disabled["reason"]) == ("admin.kiosk.disable", "lobby-1", "done")
    assert disabled["detail"]["administrator"] == administrator()
    assert "grace" not in disabled["detail"]["administrator"], "the environment is the caller's to choose"
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
