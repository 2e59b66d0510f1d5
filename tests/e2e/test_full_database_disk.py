"""The disk of the shared database is full: nobody is let in without a row, and all is well again when there is room."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from auth_client.errors import Refused
from demo.site import CommandFailed, Site
from tests import postgres
from tests.e2e.conftest import House, house_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a small disk"),
    pytest.mark.skipif(postgres.lacking() is not None, reason=str(postgres.lacking())),
]

DISK = "128m"
"""Of which an empty cluster and its write-ahead log take half."""

PEOPLE = 90


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A disk of that size at a folder, in memory."""
    words = ["mount", "-t", "tmpfs", "-o", f"size={DISK},mode=755", "4auth-test", str(folder)]
    made = subprocess.run(words, capture_output=True, text=True)
    if made.returncode != 0:
        pytest.skip(f"no small disk can be made here: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.fixture
def cramped() -> Iterator[postgres.Server]:
    """A server whose files have a small disk of their own."""
    with tempfile.TemporaryDirectory(prefix="pg-") as folder, small_disk(Path(folder)):
        server = postgres.Server(Path(folder))
        server.make(min_wal_size="'32MB'", max_wal_size="'32MB'")
        server.start()
        try:
            yield server
        finally:
            with suppress(CommandFailed):  # it may have ended by itself
                server.stop("immediate")


def fill(server: postgres.Server) -> None:
    """Leave no room; again each time that the database has given some back, as after a checkpoint."""
    with suppress(OSError), (server.folder / "held").open("ab", buffering=0) as file:
        while True:
            file.write(bytes(4096))


def make_room(server: postgres.Server) -> None:
    """As an operator does, who brings back a database that has ended, too."""
    (server.folder / "held").unlink()
    with suppress(CommandFailed):
        server.stop("immediate")
    server.start()


@pytest.fixture
def house(
    cramped: postgres.Server, tmp_path_factory: pytest.TempPathFactory, models_folder: Path, ada_folder: Path
) -> Iterator[House]:
    """A house whose store is there."""
    site = Site(tmp_path_factory.mktemp("cramped"), models_folder.absolute(), name="cramped", presence="passive")
    site.postgresql = cramped.url(cramped.new())
    for made in house_of(site, ada_folder, people=PEOPLE):
        site.start_server()
        yield made


def test_no_login_is_granted_without_its_row_and_people_come_in_again_when_there_is_room(
    house: House, cramped: postgres.Server
) -> None:
    granted, refused = [], []
    for person in (house.person() for _ in range(3)):  # now tables have pages with some room of their own
        house.login(person)
        granted.append(person.name)
    while len(refused) < 3:
        assert len(house.people) > 5, "the database always found room"
        person = house.person()
        person.code()  # of the half minute that may be over when there is room again
        code = person.code()
        fill(cramped)
        try:
            house.login(person, code)
            granted.append(person.name)
        except Refused as error:
            refused.append((person, code, error))
    for _, _, error in refused:
        assert (error.status, error.reply.reason) == (503, "unavailable")

    make_room(cramped)
    house.until(lambda: house.probe("/readyz")[0] == 200, 30, "the server is ready")
    assert [name for name in granted if len(house.grants(name)) != 1] == []
    for person, code, _ in refused:
        assert house.grants(person.name) == []
        assert house.login(person, code).outcome == "granted", "the refused login has used up its code"
    assert house.verify().ok
