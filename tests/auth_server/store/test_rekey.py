"""Another key for the database while it is in use: nobody loses a write, and nobody notices."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import insert, select, update

from auth_server.errors import KeyringRefused, StoreError
from auth_server.key_files import replace_key_file
from auth_server.key_forms import DATABASE, State, taken
from auth_server.keyring import Keyring
from auth_server.store.backup import page_findings
from auth_server.store.database import Database, open_database
from auth_server.store.engine import connect
from auth_server.store.models import SITE
from auth_server.store.rekey import effort, fold, opens_now, pages_of_another_key, rekey


@dataclass
class OwnSite:
    """A site whose keys a test may change: the folder of its keys, and its open database."""

    folder: Path
    keyring: Keyring
    database: Database

    @property
    def path(self) -> Path:
        return self.database.path

    def add_key(self) -> bytes:
        """Put another key into the file, to be tried second."""
        made = DATABASE.new(None, State.NEXT)
        replace_key_file(self.folder / DATABASE.file, DATABASE.spelt((*self.keyring.database(), made)))
        return made.material

    def turn(self) -> bytes:
        """Another key, as a rotation gives it; returns it."""
        before, after = self.keyring.database_key, self.add_key()
        rekey(self.path, before, after)
        replace_key_file(self.folder / DATABASE.file, DATABASE.spelt(taken(self.keyring.database(), None)))
        return after


@pytest.fixture
def own(tmp_path: Path, keys_folder: Path, empty_database_file: Path) -> Iterator[OwnSite]:
    shutil.copytree(keys_folder, tmp_path / "keys")
    (tmp_path / "store").mkdir()
    shutil.copy(empty_database_file, tmp_path / "store" / "4auth.db")
    keyring = Keyring.load(tmp_path / "keys")
    database = open_database(tmp_path / "store" / "4auth.db", keyring)
    yield OwnSite(tmp_path / "keys", keyring, database)
    database.close()


def put(database: Database, key: str, value: bytes) -> None:
    with database.transaction() as session:
        session.execute(insert(SITE).values(key=key, value=value))


def get(database: Database, key: str) -> bytes | None:
    with database.read() as session:
        return session.execute(select(SITE.c.value).where(SITE.c.key == key)).scalar_one_or_none()


def test_the_old_key_opens_nothing_and_the_new_one_everything(own: OwnSite):
    put(own.database, "a", b"1")
    before, after = own.keyring.database_key, own.turn()
    fold(own.path, after)
    own.database.close()
    assert (opens_now(own.path, before), opens_now(own.path, after)) == (False, True)
    assert page_findings(own.path, after) == []
    with closing(open_database(own.path, own.keyring)) as again:
        assert get(again, "a") == b"1"


def test_no_page_of_the_old_key_is_left_on_the_disk(own: OwnSite):
    """After folding: the log is empty, and every page of the file is under the new key."""
    put(own.database, "a", b"1" * 100_000)
    own.turn()
    assert page_findings(own.path, own.keyring.database_key), "until then the file is what it was"
    assert pages_of_another_key(own.path, own.keyring.database_key) == []
    assert Path(f"{own.path}-wal").stat().st_size == 0


def test_an_open_database_goes_on_by_itself(own: OwnSite):
    put(own.database, "a", b"1")
    for value in (b"2", b"3", b"4"):
        own.turn()
        assert get(own.database, "a") == bytes([value[0] - 1])
        with own.database.transaction() as session:
            session.execute(update(SITE).where(SITE.c.key == "a").values(value=value))


def test_a_reader_goes_on_with_the_state_that_it_began_with(own: OwnSite):
    put(own.database, "a", b"1")
    with own.database.read() as session:
        own.turn()
        with closing(open_database(own.path, own.keyring)) as other:
            put(other, "b", b"2")
        assert session.execute(select(SITE.c.value).where(SITE.c.key == "a")).scalar_one() == b"1"
        assert session.execute(select(SITE.c.value).where(SITE.c.key == "b")).scalar_one_or_none() is None
    assert get(own.database, "b") == b"2"


def test_what_the_caller_does_is_done_once(own: OwnSite):
    """What is begun again is only the beginning."""
    ran = 0
    own.turn()
    with own.database.transaction():
        ran += 1
    with pytest.raises(RuntimeError), own.database.transaction() as session:
        ran += 1
        session.execute(insert(SITE).values(key="a", value=b"1"))
        raise RuntimeError("file is not a database")
    assert (ran, get(own.database, "a")) == (2, None)


def test_a_key_that_is_really_gone_is_told_of_after_a_few_tries(own: OwnSite):
    """Somebody else's file in place of the database: no endless trying, and nothing written."""
    after = os.urandom(32)
    rekey(own.path, own.keyring.database_key, after)
    for use in (own.database.read, own.database.transaction):
        with pytest.raises(StoreError, match="not a database"), use():
            pytest.fail("nothing of the caller's may run")
    with pytest.raises(KeyringRefused, match=r"database\.key does not open"):
        open_database(own.path, own.keyring)


def test_it_waits_for_a_writer_and_changes_nothing_when_it_waited_in_vain(
    own: OwnSite, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("auth_server.store.rekey._TURN_TIMEOUT_MS", 1)
    before, after = own.keyring.database_key, os.urandom(32)
    with own.database.transaction():
        with pytest.raises(StoreError, match="is as it was: it is in use"):
            rekey(own.path, before, after)
    assert (opens_now(own.path, before), opens_now(own.path, after)) == (True, False)
    rekey(own.path, before, after)


def test_a_wrong_old_key_is_told_of(own: OwnSite):
    with pytest.raises(StoreError, match="its key is another one"):
        rekey(own.path, bytes(32), os.urandom(32))
    assert opens_now(own.path, own.keyring.database_key)


def test_a_full_disk_changes_nothing(own: OwnSite):
    """The limit on the length of files stands for the disk: the log cannot grow to the end of the pages."""
    with own.database.transaction() as session:
        for number in range(50):
            session.execute(insert(SITE).values(key=f"k{number}", value=os.urandom(9000)))
    own.database.close()
    before, after = own.keyring.database_key, os.urandom(32)
    text = (
        "import resource, signal, sys; from pathlib import Path; from auth_server.store.rekey import rekey\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "rekey(Path(sys.argv[1]), *(bytes.fromhex(sys.stdin.readline()) for _ in range(2)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", text, str(own.path)],
        input=f"{before.hex()}\n{after.hex()}\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert "StoreError" in done.stderr and before.hex() not in done.stderr and after.hex() not in done.stderr
    assert (opens_now(own.path, before), opens_now(own.path, after)) == (True, False)
    assert page_findings(own.path, before) == []


@pytest.mark.parametrize("is_rekeyed", [False, True], ids=["not yet", "rekeyed"])
def test_opening_takes_whichever_of_two_keys_fits(own: OwnSite, is_rekeyed: bool):
    """As a rotation leaves it that was killed on either side of the rekey, its write-ahead log still there."""
    put(own.database, "a", b"1")
    before, after = own.keyring.database_key, own.add_key()
    if is_rekeyed:
        rekey(own.path, before, after)
    left = own.folder.parent / "left"
    shutil.copytree(own.path.parent, left)  # before anybody has closed it
    with closing(open_database(left / "4auth.db", own.keyring)) as opened:
        assert get(opened, "a") == b"1"
        put(opened, "b", b"2")
    assert opens_now(left / "4auth.db", after if is_rekeyed else before)


@pytest.mark.parametrize("wrong", ["before", "after"])
def test_trying_a_wrong_key_loses_nothing_of_the_log(own: OwnSite, wrong: str):
    """Whoever opens last moves the log into the file, with whatever key."""
    put(own.database, "a", b"1" * 9000)
    before, after = own.keyring.database_key, own.add_key()
    if wrong == "before":
        rekey(own.path, before, after)
    left = own.folder.parent / "left"
    shutil.copytree(own.path.parent, left)
    assert (left / "4auth.db-wal").stat().st_size > 0
    assert not opens_now(left / "4auth.db", {"before": before, "after": after}[wrong])
    with closing(open_database(left / "4auth.db", own.keyring)) as opened:
        assert get(opened, "a") == b"1" * 9000
    assert page_findings(left / "4auth.db", after if wrong == "before" else before) == []


@pytest.mark.parametrize("line", range(12))
def test_a_rekey_that_is_killed_leaves_one_key_or_the_other(own: OwnSite, line: int):
    """Killed at its n-th write to the write-ahead log, or a little later."""
    with own.database.transaction() as session:
        for number in range(20):
            session.execute(insert(SITE).values(key=f"k{number}", value=os.urandom(9000)))
    own.database.close()
    before, after = own.keyring.database_key, own.add_key()
    text = (
        "import os, signal, sys, threading; from pathlib import Path; from auth_server.store import rekey\n"
        "path = Path(sys.argv[1]); log = Path(sys.argv[1] + '-wal'); least = int(sys.argv[2])\n"
        "def watch():\n"
        "    while not (log.exists() and log.stat().st_size >= least): pass\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "threading.Thread(target=watch, daemon=True).start()\n"
        "rekey.rekey(path, *(bytes.fromhex(sys.stdin.readline()) for _ in range(2)))\n"
    )
    pages = own.path.stat().st_size // 4096
    least = 32 + (4096 + 24) * (pages * line // 11)
    ended = subprocess.run(
        [sys.executable, "-c", text, str(own.path), str(least)],
        input=f"{before.hex()}\n{after.hex()}\n",
        text=True,
        check=False,
    )
    assert ended.returncode in (-signal.SIGKILL, 0)
    with closing(open_database(own.path, own.keyring)) as opened, opened.read() as session:
        assert len(session.execute(select(SITE.c.value).where(SITE.c.key.like("k%"))).all()) == 20
    assert page_findings(own.path, next(k for k in (before, after) if opens_now(own.path, k))) == []


HAMMER = """
import sys
from sqlalchemy import select, update
from auth_server.store.models import SITE
wait_for_all()
def work(number):
    done = 0
    while done < 50 or not is_enough():
        with database.read() as session:
            shown = session.execute(select(SITE.c.key, SITE.c.value).where(SITE.c.key.in_(["n", "twin"]))).all()
            assert len({value for _, value in shown}) == 1, "two rows that always change together"
        with database.transaction() as session:
            n = int(session.execute(select(SITE.c.value).where(SITE.c.key == "n")).scalar_one())
            for key in ("n", "twin"):
                session.execute(update(SITE).where(SITE.c.key == key).values(value=str(n + 1).encode()))
        done += 1
    return done
print(sum(in_threads(3, work)))
"""

TURNS_MIN = 6


@pytest.mark.slow
def test_two_processes_that_read_and_write_meanwhile_lose_nothing(
    own: OwnSite, run_beside: Callable[[OwnSite, int, str, Callable[[], bool]], list[str]]
):
    for key in ("n", "twin"):
        put(own.database, key, b"0")
    turns = seen = 0

    def turn() -> bool:
        nonlocal turns, seen
        now = int(get(own.database, "n") or b"0")
        if now >= seen + 60:
            own.turn()
            fold(own.path, own.keyring.database_key)
            turns, seen = turns + 1, now
        return turns >= TURNS_MIN

    done = sum(map(int, run_beside(own, 2, HAMMER, turn)))
    assert turns >= TURNS_MIN and done >= 300
    assert get(own.database, "n") == get(own.database, "twin") == str(done).encode()
    assert pages_of_another_key(own.path, own.keyring.database_key) == []
    assert page_findings(own.path, own.keyring.database_key) == []


def test_the_effort_is_told_beforehand(own: OwnSite):
    found = effort(own.path)
    assert found.file_bytes >= own.path.stat().st_size
    assert 0 < found.seconds < 1
    assert found.has_room


def test_no_key_stands_in_an_error_or_in_what_is_printed(own: OwnSite, capfd: pytest.CaptureFixture[str]):
    before, after = own.keyring.database_key, os.urandom(32)
    with pytest.raises(StoreError) as wrong:
        rekey(own.path, after, before)
    rekey(own.path, before, after)
    with pytest.raises(StoreError) as gone, own.database.read():
        pass
    told = "".join(map(repr, (wrong.value, gone.value, gone.value.__cause__))) + "".join(capfd.readouterr())
    assert [key.hex() for key in (before, after) if key.hex() in told] == []
    with closing(connect(own.path, after)):
        pass
