"""A database copied while it is written, looked at page by page, and taken out of use."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from auth_server.errors import StoreError
from auth_server.keyring import Keyring
from auth_server.store.backup import copy_database, fold_log, opens_with, page_findings, query
from auth_server.store.database import Database, open_database
from auth_server.store.in_use import InUse, alone
from tests.postgres import IN_A_FILE

pytestmark = IN_A_FILE

OTHER_KEY = bytes(range(32))
COUNT = "SELECT count(*) FROM access_logs"


def entry(name: str = "rosalind") -> AuditEntry:
    return AuditEntry("login", False, "denied", name, "lobby-1", None, {"why": "told by a test"})


def unheard(_done: int, _all: int) -> None:
    """Nobody watches."""


@pytest.fixture
def target(tmp_path: Path) -> Path:
    """A new and empty file."""
    path = tmp_path / "copy" / "4auth.db"
    path.parent.mkdir()
    path.touch(mode=0o600)
    return path


@pytest.fixture
def key(keyring: Keyring) -> bytes:
    return keyring.database_key


@contextmanager
def another_process(text: str, *arguments: Path) -> Iterator[subprocess.Popen[str]]:
    """Python text in a process of its own, which has said that it is ready; killed on leaving."""
    child = subprocess.Popen(
        [sys.executable, "-c", text, *map(str, arguments)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        yield child
    finally:
        child.kill()
        child.communicate()


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from auth_server.keyring import Keyring
from auth_server.store.database import open_database

database = open_database(Path(sys.argv[2]), Keyring.load(Path(sys.argv[1])))
log = AuditLog(database)
print("ready", flush=True)
while True:
    entry = AuditEntry("login", False, "denied", "ada", "lobby-1", None, {})
    print(log.record(entry, datetime(2026, 11, 22, tzinfo=UTC)), flush=True)
"""


def test_a_copy_made_while_another_process_writes_has_every_row_acknowledged_before_and_one_state(
    database: Database, keyring: Keyring, keys_folder: Path, key: bytes, target: Path, now: datetime
):
    log = AuditLog(database)
    with database.transaction() as session:
        for _ in range(4000):  # several steps of the copy
            log.append(session, entry(), now)
    seen: list[int] = []
    with another_process(WRITER, keys_folder, database.path) as writer:
        assert writer.stdout is not None
        acknowledged = int([writer.stdout.readline() for _ in range(20)][-1])

        def at_a_step(_done: int, _all: int) -> None:
            seen.append(log.head().sequence)
            for _ in range(3):
                assert writer.stdout is not None
                writer.stdout.readline()

        copy_database(database.path, key, target, key, at_a_step)
        ended = log.head().sequence
    assert len(seen) > 1 and seen[0] < seen[-1], "nobody wrote during the copy"
    with open_database_at(target, keyring) as copy:
        copied = AuditLog(copy).head()
        assert acknowledged <= copied.sequence <= seen[0] < ended, "the copy is of another moment than its beginning"
        assert copied.row_hash == log.hash_at(copied.sequence)
    assert page_findings(target, key) == []


@contextmanager
def open_database_at(path: Path, keyring: Keyring) -> Iterator[Database]:
    database = open_database(path, keyring)
    try:
        yield database
    finally:
        database.close()


def test_a_copy_holds_nothing_in_plain_and_opens_with_its_key_alone(
    database: Database, key: bytes, target: Path, now: datetime
):
    AuditLog(database).record(entry("hildegard"), now)
    copy_database(database.path, key, target, OTHER_KEY, unheard)
    data = target.read_bytes()
    assert [word for word in (b"hildegard", b"SQLite format 3", b"CREATE TABLE", b"told by") if word in data] == []
    assert (opens_with(target, OTHER_KEY), opens_with(target, key)) == (True, False)
    assert query(target, OTHER_KEY, COUNT) == [(1,)]


def test_progress_is_told_in_pages(database: Database, key: bytes, target: Path):
    told: list[tuple[int, int]] = []
    copy_database(database.path, key, target, key, lambda done, all_: told.append((done, all_)))
    assert told[-1][0] == told[-1][1] > 10


def test_a_target_that_cannot_grow_is_an_error(database: Database, key: bytes, tmp_path: Path):
    with pytest.raises(StoreError, match="cannot be copied"):
        copy_database(database.path, key, tmp_path / "nowhere" / "copy.db", key, unheard)


@pytest.mark.parametrize("place", [0, 20, 4096, 3 * 4096 + 2000, -1])
def test_one_changed_byte_is_found_wherever_it_is(database: Database, key: bytes, target: Path, place: int):
    copy_database(database.path, key, target, key, unheard)
    assert page_findings(target, key) == []
    data = bytearray(target.read_bytes())
    data[place] ^= 1
    target.write_bytes(data)
    assert page_findings(target, key) != []


def test_a_cut_off_copy_is_found(database: Database, key: bytes, target: Path):
    copy_database(database.path, key, target, key, unheard)
    target.write_bytes(target.read_bytes()[: -2 * 4096])
    assert page_findings(target, key) != []


def test_a_folded_database_is_one_file_that_holds_all(database: Database, keyring: Keyring, key: bytes, now: datetime):
    number = AuditLog(database).record(entry(), now)
    database.close()
    fold_log(database.path, key)
    assert [path.name for path in database.path.parent.glob("4auth.db*")] == ["4auth.db"]
    with open_database_at(database.path, keyring) as again:
        assert AuditLog(again).head().sequence == number


def test_a_database_that_somebody_has_open_is_not_folded(database: Database, key: bytes):
    with database.read() as session:
        session.connection()
        with pytest.raises(StoreError, match="is open in another process"):
            fold_log(database.path, key)


@pytest.mark.parametrize("data", [b"", b"no database" * 1000])
def test_asking_whether_a_key_opens_a_file_touches_nothing_beside_it(tmp_path: Path, key: bytes, data: bytes):
    path, log = tmp_path / "some.db", tmp_path / "some.db-wal"
    path.write_bytes(data)
    log.write_bytes(b"its log")
    assert not opens_with(path, key)
    assert (path.read_bytes(), log.read_bytes()) == (data, b"its log")


HOLDER = """
import sys
from pathlib import Path
from auth_server.store.in_use import InUse, alone

if sys.argv[2] == "share":
    share = InUse(Path(sys.argv[1]))
else:
    held = alone(Path(sys.argv[1]))
    held.__enter__()
print("ready", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Callable[[str], object]:
    """Makes another process that shares a database in `tmp_path`, or holds it alone."""
    return lambda how: another_process(HOLDER, tmp_path / "4auth.db", Path(how))


def test_whoever_replaces_a_database_is_alone(tmp_path: Path, holder):
    path = tmp_path / "4auth.db"
    with holder("share") as child:
        InUse(path).end()  # others may open it too
        with pytest.raises(StoreError, match="is open in another process, the server or another command: stop it"):
            with alone(path):
                pass
        child.kill()
        child.wait()
        with alone(path):  # the kernel has let go for the killed one
            pass
    with holder("alone"):
        with pytest.raises(StoreError, match="is being replaced by a restore: wait for it to end"):
            InUse(path)


def test_a_database_is_in_use_from_its_opening_to_its_end(database: Database, keyring: Keyring):
    with pytest.raises(StoreError, match="is open"):
        with alone(database.path):
            pass
    database.close()
    with alone(database.path):
        with pytest.raises(StoreError, match="being replaced"):
            open_database(database.path, keyring)
    open_database(database.path, keyring).close()
