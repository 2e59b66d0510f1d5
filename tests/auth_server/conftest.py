"""A throw-away store for each test, and a clock that stands still."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auth_server.keyring import Keyring
from auth_server.store.database import Database, create_database, open_database
from auth_server.store.location import Location, Postgresql
from tests import postgres
from tests.postgres import spelt

Copied = Callable[[Location, Path], Location]
"""Copies a closed store, and says where to."""


@pytest.fixture(scope="session")
def keys_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the throw-away site's key files are."""
    folder = tmp_path_factory.mktemp("site") / "keys"
    Keyring.create(folder)
    return folder


@pytest.fixture(scope="session")
def keyring(keys_folder: Path) -> Keyring:
    """The keys of the throw-away site."""
    return Keyring.load(keys_folder)


@pytest.fixture(scope="session")
def empty_database_file(tmp_path_factory: pytest.TempPathFactory, keyring: Keyring) -> Path:
    """A migrated and closed database, which tests copy because making one takes a while."""
    path = tmp_path_factory.mktemp("database") / "4auth.db"
    create_database(path, keyring).close()
    return path


@pytest.fixture(scope="session")
def empty_postgresql(postgresql_server: postgres.Server, keyring: Keyring) -> Postgresql:
    """An empty site's PostgreSQL database, which tests copy."""
    location = postgresql_server.new()
    create_database(location, keyring).close()
    return location


@pytest.fixture(scope="session")
def empty_location(request: pytest.FixtureRequest) -> Location:
    """Where an empty and closed store of the throw-away site is: a file, or a PostgreSQL database."""
    wanted = "empty_postgresql" if postgres.IS_WANTED else "empty_database_file"
    found: Location = request.getfixturevalue(wanted)
    return found


@pytest.fixture(scope="session")
def copied(request: pytest.FixtureRequest) -> Copied:
    """Copies a closed store: into `4auth.db` in a folder, or into a database of its own."""

    def copy(of: Location, folder: Path) -> Location:
        if not isinstance(of, Path):
            server: postgres.Server = request.getfixturevalue("postgresql_server")
            return server.new(of)
        shutil.copy(of, folder / "4auth.db")
        return folder / "4auth.db"

    return copy


@pytest.fixture
def location(
    tmp_path: Path, empty_location: Location, copied: Copied, request: pytest.FixtureRequest
) -> Iterator[Location]:
    """Where an empty store of the throw-away site is, for one test."""
    made = copied(empty_location, tmp_path)
    if isinstance(made, Path):
        yield made
        return
    server: postgres.Server = request.getfixturevalue("postgresql_server")
    yield made
    server.drop(made)


@pytest.fixture
def database(location: Location, keyring: Keyring) -> Iterator[Database]:
    """An empty store of the throw-away site."""
    opened = open_database(location, keyring)
    yield opened
    opened.close()


@pytest.fixture
def now() -> datetime:
    """A Sunday morning."""
    return datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


_PREAMBLE = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from auth_server.keyring import Keyring
from auth_server.store.database import open_database
from tests.postgres import location_of

keyring = Keyring.load(Path(sys.argv[1]))
database = open_database(location_of(sys.argv[2]), keyring)
now = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


def in_threads(count, work):
    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))


def wait_for_all():
    print("ready", flush=True)
    sys.stdin.readline()

"""


@pytest.fixture
def run_in_processes(keys_folder: Path, database: Database) -> Callable[[int, str], list[str]]:
    """Run Python text in several processes that begin together; what they print comes back as lines.

    The text finds `keyring`, `database`, `now` and `in_threads(count, work)`, and calls
    `wait_for_all()` when it is ready to begin.
    """

    def run(count: int, text: str) -> list[str]:
        command = [
            sys.executable,
            "-c",
            _PREAMBLE + text,
            str(keys_folder),
            spelt(database.location),
        ]
        children = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(count)
        ]
        try:
            for child in children:
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
            for child in children:
                assert child.stdin is not None
                child.stdin.write("go\n")
                child.stdin.flush()
            lines = [line for child in children for line in child.communicate(timeout=60)[0].splitlines()]
            assert [child.returncode for child in children] == [0] * count
            return lines
        finally:
            for child in children:
                if child.poll() is None:
                    child.kill()
                    child.communicate()

    return run
