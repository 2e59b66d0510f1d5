"""Servers of one database note themselves, and know of each other who lives and which keys each has."""

import shutil
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta

import pytest

from auth_server.errors import KeyringRefused
from auth_server.key_files import replace_key_file
from auth_server.key_forms import ASSERTION, FIELD, Kind, State
from auth_server.keyring import Keyring
from auth_server.servers import Servers


@pytest.fixture
def first(database, keyring) -> Servers:
    return Servers(database, keyring, "auth-1")


@pytest.fixture
def second(database, keys_folder, tmp_path) -> Servers:
    """On another host, with a copy of the keys in another folder."""
    shutil.copytree(keys_folder, tmp_path / "keys")
    return Servers(database, Keyring.load(tmp_path / "keys"), "auth-2")


def test_each_is_listed_once_with_what_it_noted_last(first: Servers, second: Servers, now):
    for minutes in range(3):
        second.note(now + timedelta(minutes=minutes))
        first.note(now + timedelta(minutes=minutes))
    later = now + timedelta(minutes=2)
    found = first.living(later)
    assert [(server.host, server.seen_at) for server in found] == [("auth-1", later), ("auth-2", later)]
    assert found == second.living(later)
    assert [[server.host for server in servers.others(later)] for servers in (first, second)] == [
        ["auth-2"],
        ["auth-1"],
    ]


@pytest.mark.parametrize(
    ("every_s", "silent_s", "lives"), [(60, 200, True), (60, 201, False), (3600, 10_820, True), (3600, 10_821, False)]
)
def test_who_is_silent_for_three_of_its_rounds_does_not_live(first: Servers, second, now, every_s, silent_s, lives):
    replace(second, every_s=every_s).note(now)
    assert bool(first.living(now + timedelta(seconds=silent_s))) == lives


class TestKeysThatWereRetired:
    """Whoever was cut off while a key was retired elsewhere is told so when it is back."""

    @pytest.fixture(params=[Kind.FIELD, Kind.ASSERTION])
    def kind(self, request) -> Kind:
        return request.param

    @pytest.fixture
    def renewed(self, second: Servers, kind: Kind, now) -> Servers:
        """The second server with another key in use, and without the old one."""
        form = {Kind.FIELD: FIELD, Kind.ASSERTION: ASSERTION}[kind]
        replace_key_file(second.keyring.folder / form.file, form.spelt([form.new(now, State.IN_USE)]))
        return replace(second, keyring=Keyring.load(second.keyring.folder))

    @pytest.mark.parametrize(("away_s", "is_refused"), [(200, False), (201, True)])
    def test_whoever_was_cut_off_is_told_once_it_is_back(self, first, renewed, kind, now, away_s, is_refused):
        first.note(now)
        told = f"auth-2 does not know the {kind.value} key {first.living(now)[0].uses(kind)}"
        back = now + timedelta(seconds=away_s)
        renewed.note(back)
        with pytest.raises(KeyringRefused, match=told) if is_refused else nullcontext():
            first.note(back)

    def test_whoever_went_on_is_not_kept_from_it_by_the_one_that_comes_back(self, first, renewed, now):
        for minutes in range(6):
            renewed.note(now + timedelta(minutes=minutes))
        first.note(now + timedelta(minutes=5))
        renewed.note(now + timedelta(minutes=6))


def test_whoever_was_cut_off_goes_on_where_all_know_its_keys(first: Servers, second: Servers, now):
    for minutes in (0, 60):
        first.note(now + timedelta(minutes=minutes))
        second.note(now + timedelta(minutes=minutes))


def test_who_was_silent_for_a_day_is_forgotten(first: Servers, second: Servers, now):
    second.note(now)
    first.note(now + timedelta(hours=25))
    assert [server.host for server in first.living(now)] == ["auth-1"]


def test_two_servers_of_one_host_with_folders_of_their_own_are_two(database, first: Servers, second: Servers, now):
    beside = Servers(database, second.keyring, "auth-1")
    first.note(now)
    beside.note(now)
    assert len(first.living(now)) == 2 and len(first.others(now)) == 1


def test_a_key_is_known_from_the_file_on_and_used_once_it_stands_first(first: Servers, second: Servers, now):
    before = second.keyring.field.keys[0]
    added = FIELD.new(now, State.NEXT)
    replace_key_file(second.keyring.folder / FIELD.file, FIELD.spelt([before, added]))
    for servers in (first, second):
        servers.note(now)
    here, there = first.living(now)
    assert [server.knows(Kind.FIELD, added.id) for server in (here, there)] == [False, True]
    assert [server.uses(Kind.FIELD) for server in (here, there)] == [before.id, before.id]
    assert not here.knows(Kind.DATABASE, "anything") and here.uses(Kind.DATABASE) is None
