"""`kiosk add | list | show | disable | enable | replace-key`."""

import json
import secrets
from dataclasses import replace

import pytest

from auth_contract.actions import Action
from auth_contract.messages import KioskState
from auth_server.accounts import NewAccount
from auth_server.attempts import Attempts
from auth_server.changes import NewFactors
from auth_server.domain import Template
from auth_server.errors import AttemptRefused
from auth_server.kiosks import Kiosks
from auth_server.tickets import Tickets
from provisioning.act import administrator
from provisioning.user_lookup import accounts_of, changes_of
from tests.postgres import IN_A_FILE

KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
MAC = "b8:27:eb:12:34:56"
PERSON = NewAccount(
    username="somebody",
    password_hash=b"",
    totp_secret="JBSWY3DPEHPK3PXP",
    totp_last_step=0,
    template=Template("4auth", b""),
    face_png=b"",
    mac_addresses=frozenset(),
)


def test_an_added_kiosk_is_what_the_server_finds(command):
    added = command.json("kiosk", "add", "lobby-1", "--public-key", KEY, "--mac", "B8-27-EB-12-34-56")["kiosk"]
    assert added == {
        "kiosk_id": "lobby-1",
        "enabled": True,
        "is_gateway": False,
        "mac_address": MAC,
        "public_key": KEY,
        "last_seen_at": None,
        "agent_version": None,
        "faults": [],
        "state": {},
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
    assert with_kiosk("kiosk", "list").stdout.splitlines()[1].endswith(f"  {word}")
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


@IN_A_FILE
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


@pytest.mark.parametrize(
    ("stale", "expected"),
    [("9m", ["lobby-1", "never"]), ("10m", ["never"]), ("1d", ["never"])],
)
def test_stale_lists_the_enabled_ones_that_were_not_seen_for_so_long(with_kiosk, new_key, stale, expected):
    for number, kiosk_id in enumerate(("never", "off")):
        with_kiosk("kiosk", "add", kiosk_id, "--public-key", new_key(), "--mac", f"02:00:5e:10:00:0{number}")
    with_kiosk("kiosk", "disable", "off", "--yes")
    with with_kiosk.desk().site() as site, site.database.transaction() as session:
        Kiosks(site.database).record_heartbeat(session, "lobby-1", with_kiosk.clock(), "4.0.0", ())
    with_kiosk.clock.pass_(minutes=10)
    shown = with_kiosk.json("kiosk", "list", "--stale", stale)["kiosks"]
    assert [kiosk["kiosk_id"] for kiosk in shown] == expected


@pytest.mark.parametrize("span", ["", "10", "0m", "-5m", "10 m", "ten", "1.5h", "4000d", "9" * 20 + "s"])
def test_a_span_is_a_number_and_a_unit(with_kiosk, span):
    refused = with_kiosk("kiosk", "list", "--stale", span)
    assert refused.exit_code == 2 and "a span" in refused.stderr


class TestReplaceKey:
    """A machine that died or was stolen: from one moment on only the new key speaks for the kiosk."""

    def replace(self, command, key, *more):
        return command("kiosk", "replace-key", "lobby-1", "--public-key", key, *more)

    def test_the_new_key_is_the_kiosks_and_the_old_one_nobodys(self, with_ann, new_key):
        old, key = with_ann.json("kiosk", "show", "lobby-1")["kiosk"]["public_key"], new_key()
        with with_ann.desk().site() as site, site.database.transaction() as session:
            Kiosks(site.database).record_heartbeat(session, "lobby-1", with_ann.clock(), "4.0.0", ("camera: none",))
        done = self.replace(with_ann, key, "--yes", "--json")
        assert done.exit_code == 0, done.stderr
        shown = with_ann.json("kiosk", "show", "lobby-1")["kiosk"]
        assert json.loads(done.stdout)["kiosk"] == shown
        assert (shown["public_key"], shown["mac_address"], shown["enabled"]) == (key, MAC, True)
        assert (shown["last_seen_at"], shown["agent_version"], shown["faults"]) == (None, None, [])
        assert old not in str(with_ann.json("kiosk", "list"))
        assert with_ann.json("user", "show", "ann")["user"]["mac_addresses"] == [MAC]

    def test_it_asks_first(self, with_ann, new_key):
        before = with_ann.json("kiosk", "list")
        arguments = ("--public-key", new_key(), "--mac", "02:00:5e:10:00:09")
        refused = with_ann("kiosk", "replace-key", "lobby-1", *arguments, typed="n\n")
        assert refused.exit_code == 1
        asked = " ".join(refused.stderr.split())
        assert "The present key of kiosk lobby-1 will open nothing, and what is under way there ends." in asked
        assert f"1 person move from {MAC} to the new MAC. Go on?" in asked
        assert with_ann.json("kiosk", "list") == before

    def test_open_attempts_end_and_those_of_other_kiosks_stay(self, with_ann, new_key):
        with_ann("kiosk", "add", "lobby-2", "--public-key", new_key(), "--mac", "02:00:5e:10:00:02")
        now = with_ann.clock()
        with with_ann.desk().site() as site:
            attempts = Attempts(site.database, lambda: secrets.token_urlsafe(16))
            opened = {k: attempts.open(kiosk_id=k, action=Action.LOGIN, now=now) for k in ("lobby-1", "lobby-2")}
        done = json.loads(self.replace(with_ann, new_key(), "--yes", "--json").stdout)
        assert done["attempts_ended"] == 1
        with with_ann.desk().site() as site:
            attempts = Attempts(site.database, lambda: "")
            use = {"action": Action.LOGIN, "now": now}
            with pytest.raises(AttemptRefused, match="was used before"):
                attempts.consume(kiosk_id="lobby-1", nonce=opened["lobby-1"].nonce, **use)
            assert attempts.consume(kiosk_id="lobby-2", nonce=opened["lobby-2"].nonce, **use)

    def test_what_was_asked_for_there_ends_and_is_told(self, with_notify, new_key, pend, told):
        with_notify("kiosk", "add", "lobby-2", "--public-key", new_key(), "--mac", "02:00:5e:10:00:02")
        pend(with_notify)
        pend(with_notify, username="bob", action=Action.REGISTER)
        pend(with_notify, username="cy", action=Action.REGISTER, kiosk_id="lobby-2")
        done = self.replace(with_notify, new_key(), "--yes")
        assert "The pending change of ann has ended: it was asked for there." in done.stdout
        assert [c["username"] for c in with_notify.json("user", "changes")["changes"]] == ["cy"]
        assert told(with_notify) == [("change_cancelled", "ann"), ("change_cancelled", "bob")]

    def test_another_mac_takes_everybody_along(self, with_ann, new_key, pend):
        new_mac = "02:00:5e:10:00:09"
        accounts = {"bob": {MAC, "02:00:5e:10:00:02"}, "cy": {MAC, new_mac}, "dee": {"02:00:5e:10:00:02"}}
        with with_ann.desk().site() as site:
            for name, macs in accounts.items():
                accounts_of(site).add(replace(PERSON, username=name, mac_addresses=frozenset(macs)), with_ann.clock())
        with_ann("user", "invite", "eve", "--kiosk", "lobby-1")
        waiting = NewFactors(mac_addresses=frozenset({MAC, "02:00:5e:10:00:03"}))
        pend(with_ann, username="fay", action=Action.REGISTER, kiosk_id="lobby-2", new=waiting)
        opened_at = with_ann.clock()
        with_ann.clock.pass_(minutes=1)
        done = json.loads(self.replace(with_ann, new_key(), "--mac", new_mac, "--yes", "--json").stdout)
        assert done["people_moved"] == 3
        with with_ann.desk().site() as site:
            bound = {name: set(accounts_of(site).find(name).mac_addresses) for name in ("ann", *accounts)}
            [ticket] = Tickets(site.database).list(with_ann.clock())
            change = changes_of(site).pending("fay")
            with site.database.transaction() as session:
                is_open = [
                    accounts_of(site).spend(session, name, step=None, opened_at=opened_at, now=with_ann.clock())
                    for name in ("ann", "dee")
                ]
        assert bound == {
            "ann": {new_mac},
            "bob": {new_mac, "02:00:5e:10:00:02"},
            "cy": {new_mac},
            "dee": {"02:00:5e:10:00:02"},
        }
        assert ticket.mac_addresses == {new_mac}
        assert change.new.mac_addresses == {new_mac, "02:00:5e:10:00:03"}
        assert is_open == [False, True], "an attempt that was opened at the old machine gets nothing"

    @pytest.mark.parametrize(
        ("options", "exit_code", "message"),
        [
            ({"kiosk": "lobby-9"}, 1, "there is no kiosk lobby-9"),
            ({"key": "of lobby-1"}, 1, "this is the key that kiosk lobby-1 has: make a new one on the new machine"),
            ({"key": "of lobby-2"}, 1, "kiosk lobby-2 has this key: a key is made on one kiosk and never copied"),
            ({"key": "c2hvcnQ"}, 2, "an Ed25519 public key has 32 bytes, this one has 5"),
            ({"mac": "02:00:5e:10:00:02"}, 1, "kiosk lobby-2 has the MAC 02:00:5e:10:00:02: no two kiosks may share"),
            ({"mac": "nothing"}, 2, "a MAC address has six pairs"),
        ],
        ids=str,
    )
    def test_refused(self, with_kiosk, new_key, options, exit_code, message):
        with_kiosk("kiosk", "add", "lobby-2", "--public-key", new_key(), "--mac", "02:00:5e:10:00:02")
        before = with_kiosk.json("kiosk", "list")
        key = options.get("key") or new_key()
        if key.startswith("of "):
            key = with_kiosk.json("kiosk", "show", key[3:])["kiosk"]["public_key"]
        mac = ["--mac", options["mac"]] if "mac" in options else []
        refused = with_kiosk(
            "kiosk", "replace-key", options.get("kiosk", "lobby-1"), "--public-key", key, *mac, "--yes"
        )
        assert refused.exit_code == exit_code and message in " ".join(refused.stderr.split())
        assert with_kiosk.json("kiosk", "list") == before

    def test_a_disabled_kiosk_stays_disabled(self, with_kiosk, new_key):
        with_kiosk("kiosk", "disable", "lobby-1", "--yes")
        done = self.replace(with_kiosk, new_key(), "--yes")
        assert "It is disabled: `4auth-provision kiosk enable lobby-1` lets it in." in done.stdout
        assert not with_kiosk.json("kiosk", "show", "lobby-1")["kiosk"]["enabled"]

    def test_the_row_says_both_keys_and_what_ended(self, with_ann, new_key, pend):
        old, key = with_ann.json("kiosk", "show", "lobby-1")["kiosk"]["public_key"], new_key()
        pend(with_ann)
        self.replace(with_ann, key, "--yes")
        row = with_ann.audit_rows()[-1]
        assert (row["action"], row["kiosk_id"], row["success"]) == ("admin.kiosk.replace-key", "lobby-1", True)
        detail = row["detail"]
        assert (detail["old_public_key"], detail["public_key"], detail["old_mac"]) == (old, key, MAC)
        assert (detail["attempts_ended"], detail["changes_ended"], detail["people_moved"]) == (0, ["ann"], 0)


# --- how a kiosk does


STATE = KioskState(
    interval_s=10.0,
    uptime_s=200_000,
    temperature_c=61.4,
    throttled=("under-voltage", "was throttled"),
    camera="dark",
    keypad="ok",
    door="ok",
    clock_offset_s=-1.25,
    last_error="the server was away",
)


def beat(with_kiosk, state) -> None:
    with with_kiosk.desk().site() as site, site.database.transaction() as session:
        Kiosks(site.database).record_heartbeat(session, "lobby-1", with_kiosk.clock(), "4.0.0", (), state)


def test_what_a_kiosk_told_of_itself_is_listed_and_shown(with_kiosk):
    beat(with_kiosk, STATE)
    line = with_kiosk("kiosk", "list").stdout.splitlines()[1]
    assert line.split("4.0.0")[1].split("  ") and "2 d" in line and "61 \u00b0C !" in line
    assert "camera dark" in line and "-1.2 s" in line and "keypad" not in line
    shown = with_kiosk("kiosk", "show", "lobby-1").stdout
    assert "under-voltage, was throttled" in shown and "the server was away" in shown
    told = with_kiosk.json("kiosk", "list")["kiosks"][0]
    assert told["state"] == STATE.model_dump(mode="json") and told["is_silent"] is False


def test_an_agent_of_before_tells_nothing_and_is_listed(with_kiosk):
    beat(with_kiosk, STATE)
    beat(with_kiosk, None)
    assert with_kiosk.json("kiosk", "list")["kiosks"][0]["state"] == {}
    assert with_kiosk("kiosk", "list").stdout.splitlines()[1].count(" -  ") >= 3


@pytest.mark.parametrize(
    ("state", "after_s", "marked"),
    [
        (STATE, 30, ""),
        (STATE, 31, "SILENT 31 s"),
        (None, 90, ""),
        (None, 91, "SILENT 1 min"),
        (STATE, 90_000, "SILENT 1 d"),
    ],
)
def test_a_kiosk_that_misses_three_signs_of_life_is_marked(with_kiosk, state, after_s, marked):
    beat(with_kiosk, state)
    with_kiosk.clock.pass_(seconds=after_s)
    line = with_kiosk("kiosk", "list").stdout.splitlines()[1]
    assert ("SILENT" in line) == bool(marked) and marked in line
    assert with_kiosk.json("kiosk", "list")["kiosks"][0]["is_silent"] == bool(marked)


def test_a_kiosk_that_is_shut_out_or_was_never_seen_is_not_missed(with_kiosk):
    assert with_kiosk.json("kiosk", "list")["kiosks"][0]["is_silent"] is False
    beat(with_kiosk, STATE)
    with_kiosk("kiosk", "disable", "lobby-1", "--yes")
    with_kiosk.clock.pass_(seconds=9999)
    assert "SILENT" not in with_kiosk("kiosk", "list").stdout
