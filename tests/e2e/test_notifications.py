"""Notifications out of a running server: by two workers once each, and none lost to a kill."""

import http.client
import json
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auth_server.keyring import Keyring
from auth_server.notifications import Event, Notifications
from auth_server.settings_file import load_settings
from auth_server.store.database import open_database
from demo.site import Site

WITHIN_S = 20
TAKE = 'note=$(cat); printf "%s\\n" "$note" >> $NOTES'
"""In one write: two workers tell at once, and their lines must not run into one another."""


@pytest.fixture
def site(tmp_path, models_folder):
    """A site of two workers that tells a program, which notes down whatever it is told."""
    made = Site(tmp_path, models_folder.absolute(), name="noted")
    made.init()
    program(made, TAKE)
    settings = f'\n[notify]\nkind = "command"\nargv = ["{tmp_path}/program"]\ntimeout_s = 20\n'
    made.settings.write_text(made.settings.read_text() + settings)
    yield made
    made.kill_server()


def program(site: Site, text: str) -> None:
    """Replace the program in one step, as a server may be about to run it."""
    draft = site.folder / "draft"
    draft.write_text(f"#!/bin/sh\nNOTES={site.folder}/notes\n{text}\n")
    draft.chmod(0o755)
    draft.rename(site.folder / "program")


def add(site: Site, *names: str) -> None:
    """As an effect does, in one transaction."""
    settings = load_settings(site.settings)
    with closing(open_database(settings.store.database, Keyring.load(settings.store.keys))) as database:
        with database.transaction() as session:
            for name in names:
                Notifications(database).add(session, Event.CHANGE_IN_FORCE, name, {}, datetime.now(UTC))


def told(site: Site) -> list[dict]:
    notes = site.folder / "notes"
    return [json.loads(line) for line in notes.read_text().splitlines()] if notes.exists() else []


def until(is_so, what: str) -> None:
    ends = time.monotonic() + WITHIN_S
    while not is_so():
        assert time.monotonic() < ends, f"{what}: not within {WITHIN_S} s"
        time.sleep(0.02)


def probe(site: Site, path: str) -> str:
    with closing(http.client.HTTPConnection("127.0.0.1", site.health_port, timeout=10)) as connection:
        connection.request("GET", path)
        return connection.getresponse().read().decode()


def waiting(site: Site) -> int:
    return int(site.provision("notifications", "list")["waiting"])


@pytest.mark.slow
def test_each_is_delivered_once_and_none_is_lost_to_a_kill(site):
    site.start_server()
    first = [f"person {number}" for number in range(12)]
    add(site, *first)
    until(lambda: len(told(site)) == len(first), "all were told")
    assert sorted(note["username"] for note in told(site)) == sorted(first)
    assert {note["site"] for note in told(site)} == {"noted"}
    until(lambda: waiting(site) == 0, "none waits")
    until(lambda: 'fourauth_notifications_total{outcome="delivered"} 12.0' in probe(site, "/metrics"), "it is counted")

    # A receiver that hangs while the power goes.
    begun = site.folder / "begun"
    program(site, f"touch {begun}; exec sleep 15")
    add(site, "ada", "bob")
    until(begun.exists, "a delivery is under way")
    site.kill_server()
    assert waiting(site) == 2
    program(site, TAKE)
    site.start_server()
    site.provision("notifications", "retry")  # or the dead worker's lease would have to end first
    until(lambda: {"ada", "bob"} <= {note["username"] for note in told(site)}, "nothing was lost")
    until(lambda: waiting(site) == 0, "none waits")


@pytest.mark.slow
def test_a_receiver_that_hangs_neither_delays_an_answer_nor_the_end(site):
    program(site, f"touch {site.folder}/begun; exec sleep 15")
    site.start_server()
    add(site, "ada")
    until((site.folder / "begun").exists, "a delivery is under way")
    started = time.monotonic()
    assert json.loads(probe(site, "/readyz"))["ready"] is True
    assert time.monotonic() - started < 2
    started = time.monotonic()
    site.stop_server()
    assert time.monotonic() - started < 12
    assert waiting(site) == 1


def test_a_program_that_cannot_run_stops_the_start(site):
    from demo.site import CommandFailed

    Path(site.folder / "program").unlink()
    with pytest.raises(CommandFailed, match=r"ended with 78.*notify\.argv\[0\]"):
        site.start_server()
