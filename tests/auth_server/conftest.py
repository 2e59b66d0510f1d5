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


@pytest.fixture
def database(tmp_path: Path, keyring: Keyring, empty_database_file: Path) -> Iterator[Database]:
    """An empty database of the throw-away site, at `tmp_path / "4auth.db"`."""
    shutil.copy(empty_database_file, tmp_path / "4auth.db")
    opened = open_database(tmp_path / "4auth.db", keyring)
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

keyring = Keyring.load(Path(sys.argv[1]))
database = open_database(Path(sys.argv[2]), keyring)
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
        command = [sys.executable, "-c", _PREAMBLE + text, str(keys_folder), str(database.path)]
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
