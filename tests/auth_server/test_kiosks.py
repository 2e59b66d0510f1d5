"""Registered kiosks."""

from datetime import datetime

import pytest

from auth_server.domain import Kiosk
from auth_server.errors import StoreError
from auth_server.kiosks import Kiosks
from auth_server.store.database import Database

KEY = bytes(range(32))
MAC = "02:00:5e:10:00:01"


@pytest.fixture
def kiosks(database: Database) -> Kiosks:
    """No kiosk yet."""
    return Kiosks(database)


def test_an_added_kiosk_is_found_and_listed(kiosks: Kiosks):
    lobby = Kiosk("lobby", KEY, MAC, enabled=True)
    assert kiosks.add("lobby", KEY, MAC.upper()) == lobby
    assert kiosks.find("lobby") == lobby
    kiosks.add("annex", KEY, MAC)
    assert [kiosk.kiosk_id for kiosk in kiosks.list()] == ["annex", "lobby"]
    assert kiosks.find("nowhere") is None


def test_an_id_is_registered_once(kiosks: Kiosks):
    kiosks.add("lobby", KEY, MAC)
    with pytest.raises(StoreError, match="registered already"):
        kiosks.add("lobby", bytes(32), MAC)
    found = kiosks.find("lobby")
    assert found is not None
    assert found.public_key == KEY


@pytest.mark.parametrize(
    ("kiosk_id", "key", "mac"),
    [
        ("*", KEY, MAC),
        ("", KEY, MAC),
        ("Lobby", KEY, MAC),
        ("l" * 33, KEY, MAC),
        ("lobby", KEY[:31], MAC),
        ("lobby", KEY, "00:00:00:00:00:00"),
    ],
    ids=["the mark for all kiosks", "empty", "capital", "too long", "short key", "zero MAC"],
)
def test_a_kiosk_of_the_wrong_form_is_refused(kiosks: Kiosks, kiosk_id: str, key: bytes, mac: str):
    with pytest.raises(ValueError):
        kiosks.add(kiosk_id, key, mac)
    assert kiosks.list() == []


def test_a_kiosk_is_disabled_and_enabled(kiosks: Kiosks):
    kiosks.add("lobby", KEY, MAC)
    kiosks.add("annex", KEY, MAC)
    assert kiosks.set_enabled("lobby", False)
    assert [kiosk.enabled for kiosk in kiosks.list()] == [True, False]
    assert kiosks.set_enabled("lobby", True)
    assert [kiosk.enabled for kiosk in kiosks.list()] == [True, True]
    assert not kiosks.set_enabled("nowhere", True)


def test_a_heartbeat_is_noted(kiosks: Kiosks, database: Database, now: datetime):
    kiosks.add("lobby", KEY, MAC)
    for changed in (True, False):
        with database.transaction() as session:
            assert kiosks.record_heartbeat(session, "lobby", now, "0.1.0", ["no picture"]) is changed
    found = kiosks.find("lobby")
    assert found == Kiosk("lobby", KEY, MAC, True, last_seen_at=now, agent_version="0.1.0", faults=("no picture",))
