"""`user show` and `user list`: what is known of people, and of any number of them."""

from datetime import timedelta

import pytest

from auth_contract.actions import Action
from auth_server.accounts import NewAccount
from auth_server.directory import Directory, Wanted
from auth_server.domain import Template
from auth_server.lockouts import Lockouts, Reservation
from provisioning.user_lookup import accounts_of

MAC = "b8:27:eb:12:34:56"


def fail(command, times, kiosk="lobby-1", name="ann", **more):
    """Fail so often at one moment, after the last wait of all."""
    with command.desk().site() as site:
        for number in range(times):
            command.clock.pass_(hours=1 if number >= 4 else 0)
            outcome = Lockouts(site.database).reserve(
                username=name, kiosk_id=kiosk, is_own_kiosk=kiosk == "lobby-1", now=command.clock(), **more
            )
            assert isinstance(outcome, Reservation)


def failures(command):
    return {f["place"]: (f["failures"], f["locked_until"]) for f in command.json("user", "show", "ann")["failures"]}


def test_failures_are_shown_for_each_place_with_the_end_of_a_wait(with_ann):
    assert failures(with_ann) == {}
    fail(with_ann, 2)
    fail(with_ann, 5, kiosk="annex")
    until = with_ann.clock() + timedelta(seconds=30)
    assert failures(with_ann) == {
        "own_kiosks": (2, None),
        "own_kiosks_in_a_row": (2, None),
        "kiosk annex": (5, until.isoformat()),
        "kiosk lobby-1": (2, None),
    }
    shown = with_ann("user", "show", "ann").stdout
    assert f"5 at kiosk annex, last 2026-11-22 10:30:00Z; locked until {until:%H:%M:%S}Z" in shown
    with_ann.clock.pass_(seconds=30)
    assert failures(with_ann)["kiosk annex"] == (5, None), "counted still, and let in"


def test_what_the_server_would_take_for_forgotten_is_not_shown(with_ann):
    fail(with_ann, 5)
    with_ann.clock.pass_(days=8)
    assert failures(with_ann) == {"own_kiosks_in_a_row": (5, None)}


def test_after_a_clock_was_set_back_the_wait_is_that_of_the_rule(with_ann):
    fail(with_ann, 5)
    with_ann.clock.pass_(days=-30)
    until = with_ann.clock() + timedelta(seconds=30)
    assert failures(with_ann)["kiosk lobby-1"] == (5, until.isoformat())


def test_what_is_closed_for_good_says_who_opens_it(with_ann):
    fail(with_ann, 100, kiosk="annex", is_anywhere=True)
    shown = with_ann.json("user", "show", "ann")["failures"]
    assert [f["place"] for f in shown if f["closed"]] == ["anywhere_in_a_row"]
    assert "closed until `4auth-provision user unlock`" in with_ann("user", "show", "ann").stdout
    with_ann.clock.pass_(days=365)
    assert [f["closed"] for f in with_ann.json("user", "show", "ann")["failures"]] == [True]
    assert names(with_ann, "--locked") == ["ann"]


@pytest.mark.parametrize("is_anywhere", [False, True])
def test_unlock_forgets_every_counter_of_the_name_and_of_no_other(with_ann, is_anywhere):
    for name in ("ann", "bob"):
        fail(with_ann, 101 if is_anywhere else 6, kiosk="annex", name=name, is_anywhere=False)
        fail(with_ann, 100, name=name, kiosk="third", is_anywhere=is_anywhere)
    assert with_ann("user", "unlock", "ann", "--yes").exit_code == 0
    assert failures(with_ann) == {}
    with with_ann.desk().site() as site:
        reserve = Lockouts(site.database).reserve
        for kiosk in ("annex", "third", "lobby-1"):
            asked = {"kiosk_id": kiosk, "is_own_kiosk": kiosk == "lobby-1", "is_anywhere": True}
            assert isinstance(reserve(username="ann", now=with_ann.clock(), **asked), Reservation)
        assert not isinstance(
            reserve(username="bob", kiosk_id="third", is_own_kiosk=False, now=with_ann.clock()), Reservation
        )


def test_a_pending_change_and_an_invitation_are_shown(with_ann, pend):
    pend(with_ann, action=Action.RECOVER_FACE)
    assert with_ann.json("user", "show", "ann")["pending_change"]["needs"] == ["approval"]
    expected = "pending:        recover_face at kiosk lobby-1, approval; ends 2026-11-22 09:45:00Z"
    assert expected in with_ann("user", "show", "ann").stdout
    with_ann("user", "invite", "bob", "--kiosk", "lobby-1", "--hours", "2")
    bob = with_ann.json("user", "show", "bob")
    assert bob["user"] is None and bob["pending_change"] is None
    assert (bob["invitation"]["kiosks"], bob["invitation"]["expires_at"]) == (["lobby-1"], "2026-11-22T11:30:00+00:00")
    with_ann.clock.pass_(hours=2)
    assert with_ann("user", "show", "bob").exit_code == 1


def test_a_kiosk_that_took_the_place_of_another_gives_the_place_its_name(with_ann, new_key):
    with_ann("kiosk", "disable", "lobby-1", "--yes")
    with_ann("kiosk", "add", "a-new-one", "--public-key", new_key(), "--mac", MAC)
    assert "kiosks:         a-new-one\n" in with_ann("user", "show", "ann").stdout


def add(command, *names):
    with command.desk().site() as site:
        for name in names:
            account = NewAccount(
                username=name,
                password_hash=b"",
                totp_secret="JBSWY3DPEHPK3PXP",
                totp_last_step=0,
                template=Template("4auth", b""),
                face_png=b"",
                mac_addresses=frozenset({MAC, f"02:00:5e:10:00:{len(name):02x}"}),
            )
            accounts_of(site).add(account, command.clock())


def names(command, *arguments):
    return [user["username"] for user in command.json("user", "list", *arguments)["users"]]


class TestList:
    """Filters, pages, and a list of any length."""

    @pytest.fixture
    def people(self, with_ann, pend):
        """Five people: disabled, disabled by failures, locked, changing, and ann."""
        add(with_ann, "bob", "cy", "dee", "eve")
        with_ann("user", "disable", "bob", "--yes")
        fail(with_ann, 52, name="cy")
        with_ann.clock.pass_(hours=2)
        fail(with_ann, 5, name="dee", kiosk="annex")
        pend(with_ann, username="eve")
        return with_ann

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ([], ["ann", "bob", "cy", "dee", "eve"]),
            (["--disabled"], ["bob", "cy"]),
            (["--locked"], ["dee"]),
            (["--pending"], ["eve"]),
            (["--pending", "--locked"], []),
            (["--after", "bob"], ["cy", "dee", "eve"]),
            (["--after", "bob", "--limit", "2"], ["cy", "dee"]),
            (["--limit", "99"], ["ann", "bob", "cy", "dee", "eve"]),
            (["--after", "eve"], []),
            (["--disabled", "--after", "bob"], ["cy"]),
        ],
    )
    def test_who_is_listed(self, people, arguments, expected):
        assert names(people, *arguments) == expected
        heads, *lines = people("user", "list", *arguments).stdout.splitlines()
        assert heads.split() == ["NAME", "STANDING", "KIOSKS", "SINCE"]
        assert [line.split()[0] for line in lines] == expected

    def test_a_wait_that_has_ended_and_a_change_that_expired_are_not_listed(self, people):
        people.clock.pass_(minutes=20)
        assert names(people, "--locked") == [] and names(people, "--pending") == []

    @pytest.mark.parametrize("page", [1, 2, 3, 4, 5, 6, 1000])
    def test_pages_of_any_size_hold_each_once(self, people, page):
        with people.desk().site() as site:
            for wanted in (Wanted(), Wanted(is_locked=True), Wanted(is_disabled=True)):
                pages = list(Directory(site.database, page).pages(wanted, people.clock()))
                whole = [a for found in Directory(site.database).pages(wanted, people.clock()) for a in found]
                assert [account for found in pages for account in found] == whole
                assert all(0 < len(found) <= page for found in pages)
            accounts = accounts_of(site).list()
            assert [a for found in Directory(site.database, page).pages(Wanted(), people.clock()) for a in found] == (
                accounts
            )

    def test_without_anybody(self, command):
        assert command("user", "list").stdout == "NAME  STANDING  KIOSKS  SINCE\n"
        assert command.json("user", "list") == {"users": []}
