"""`user bind | unbind`: at which kiosks a person may log in."""

from datetime import timedelta

import pytest

from auth_contract.actions import Action
from auth_server.accounts import Accounts
from auth_server.changes import NewFactors
from provisioning.user_lookup import changes_of

LOBBY_1, LOBBY_2, DEVICE = "b8:27:eb:12:34:56", "b8:27:eb:00:00:02", "02:00:5e:10:00:07"


@pytest.fixture
def two(with_notify, new_key):
    """A site with ann, bound to lobby-1, and a second kiosk."""
    assert with_notify("kiosk", "add", "lobby-2", "--public-key", new_key(), "--mac", LOBBY_2).exit_code == 0
    return with_notify


def macs(command) -> set[str]:
    return set(command.json("user", "show", "ann")["user"]["mac_addresses"])


def test_bound_to_a_kiosk_by_its_id_and_to_a_device_by_its_mac(two):
    done = two("user", "bind", "ann", "lobby-2", "--mac", "02-00-5E-10-00-07")
    assert done.stdout == f"ann may log in at: {DEVICE}, lobby-1, lobby-2.\n"
    assert macs(two) == {LOBBY_1, LOBBY_2, DEVICE}
    again = two.json("user", "bind", "ann", "lobby-2")
    assert again["changed"] == 0 and set(again["user"]["mac_addresses"]) == {LOBBY_1, LOBBY_2, DEVICE}
    assert "ann was bound already." in two("user", "bind", "ann", "lobby-2").stdout


def test_unbound_of_one_of_several_without_a_question(two):
    two("user", "bind", "ann", "lobby-2")
    assert two("user", "unbind", "ann", "lobby-1").stdout == "ann may log in at: lobby-2.\n"
    assert "ann was not bound there." in two("user", "unbind", "ann", "lobby-1").stdout
    assert macs(two) == {LOBBY_2}


def test_unbinding_the_last_asks_first(two):
    refused = two("user", "unbind", "ann", "lobby-1", typed="n\n")
    assert refused.exit_code == 1 and "ann will not be able to log in anywhere. Unbind?" in refused.stderr
    assert macs(two) == {LOBBY_1}
    assert two("user", "unbind", "ann", "lobby-1", "--yes").stdout == "ann may log in at: nowhere.\n"


def test_it_asks_too_where_all_of_several_go_at_once(two):
    two("user", "bind", "ann", "lobby-2")
    assert two("user", "unbind", "ann", "lobby-1", "lobby-2").exit_code == 1
    assert macs(two) == {LOBBY_1, LOBBY_2}


@pytest.mark.parametrize("verb", ["bind", "unbind"])
@pytest.mark.parametrize(
    ("arguments", "exit_code", "message"),
    [
        (["ann"], 2, "name a kiosk or more, or give --mac"),
        (["ann", "lobby-9"], 1, "there is no kiosk lobby-9: `4auth-provision kiosk list` tells which there are"),
        (["ann", "lobby-2", "lobby-9"], 1, "there is no kiosk lobby-9"),
        (["bob", "lobby-1"], 1, "there is no account bob"),
        (["ann", LOBBY_1], 2, "String should match pattern"),
        (["ann", "--mac", "ff:ff:ff:ff:ff:ff"], 2, "a MAC address is not all zero and not a multicast address"),
    ],
)
def test_refused(two, verb, arguments, exit_code, message):
    refused = two("user", verb, *arguments)
    assert refused.exit_code == exit_code and message in " ".join(refused.stderr.split())
    assert macs(two) == {LOBBY_1}


def test_attempts_that_are_open_end(two):
    opened_at = two.clock()
    two.clock.pass_(seconds=10)
    two("user", "bind", "ann", "lobby-2")
    with two.desk().site() as site, site.database.transaction() as session:
        now = two.clock() + timedelta(seconds=1)
        accounts = Accounts(site.database, site.keyring.field, "4auth")
        assert not accounts.spend(session, "ann", step=None, opened_at=opened_at, now=now)
        assert accounts.spend(session, "ann", step=None, opened_at=two.clock(), now=now)


@pytest.mark.parametrize(("action", "is_ended"), [(Action.UPDATE_MAC, True), (Action.RECOVER_PASSWORD, False)])
def test_a_move_that_waits_ends_because_it_would_undo_this(two, pend, told, action, is_ended):
    pend(two, action=action, new=NewFactors(mac_addresses=frozenset({LOBBY_1})))
    two("user", "bind", "ann", "lobby-2")
    with two.desk().site() as site:
        assert (changes_of(site).pending("ann") is None) is is_ended
    assert (("change_cancelled", "ann") in told(two)) is is_ended


def test_each_is_audited_and_told_and_what_changed_nothing_is_not_told(two, told):
    two("user", "bind", "ann", "lobby-2")
    two("user", "unbind", "ann", "lobby-1")
    two("user", "unbind", "ann", "lobby-1")
    two("user", "bind", "ann", "lobby-9")
    rows = [(row["action"], row["success"], row["detail"]["kiosks"]) for row in two.audit_rows()[-4:]]
    assert rows == [
        ("admin.user.bind", True, ["lobby-2"]),
        ("admin.user.unbind", True, ["lobby-1"]),
        ("admin.user.unbind", True, ["lobby-1"]),
        ("admin.user.bind", False, ["lobby-9"]),
    ]
    assert told(two) == [("factor_reset", "ann")] * 2
