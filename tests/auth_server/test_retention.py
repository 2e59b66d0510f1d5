"""Details of old rows are erased for good, and nothing else of them."""

import json
from collections.abc import Callable
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from pydantic import ValidationError

from auth_server import retention
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry
from auth_server.keyring import Keyring
from auth_server.retention import Eraser, Retention
from auth_server.settings import AuditSettings
from auth_server.store.database import Database
from tests.postgres import IN_A_FILE

SECRET = "a detail that must go"


def entry(username: str = "ann") -> AuditEntry:
    return AuditEntry("login", False, "denied", username, "lobby", None, {"why": SECRET})


@pytest.fixture
def audit(database: Database) -> AuditLog:
    """An empty log."""
    return AuditLog(database)


@pytest.fixture
def checkpoints(tmp_path: Path, keyring: Keyring) -> Checkpoints:
    """No checkpoint yet."""
    return Checkpoints(tmp_path / "checkpoints.jsonl", keyring.audit)


@pytest.fixture
def days(audit: AuditLog, checkpoints: Checkpoints, now: datetime) -> AuditLog:
    """Ten rows, one of each of the last ten days, by ann and bob in turn; all are signed."""
    for number in range(10):
        audit.record(entry("bob" if number % 2 else "ann"), now - timedelta(days=9 - number))
    checkpoints.write(audit, now)
    return audit


def with_detail(audit: AuditLog) -> list[int]:
    return [row.id for row in audit.chain() if row.detail is not None or row.detail_salt is not None]


def run(database: Database, audit: AuditLog, now: datetime, keep_days: int = 5) -> int:
    return Retention(database, audit, keep_days).run(now)


def test_what_is_older_than_the_days_loses_its_detail_and_salt(database: Database, days: AuditLog, now: datetime):
    assert run(database, days, now) == 4
    assert with_detail(days) == [5, 6, 7, 8, 9, 10, 11]


def test_the_log_is_still_proved_whole(database: Database, days: AuditLog, checkpoints: Checkpoints, now: datetime):
    before = [row._replace(detail=None, detail_salt=None) for row in days.chain()]
    run(database, days, now)
    checkpoints.write(days, now)
    report = checkpoints.verify(days.chain())
    assert report.ok and report.erased == 4 and report.proved_to == 11
    assert [row._replace(detail=None, detail_salt=None) for row in days.chain()][:10] == before


def test_each_run_that_erased_leaves_one_row(database: Database, days: AuditLog, now: datetime):
    run(database, days, now)
    assert run(database, days, now) == 0
    row = days.show(11)
    assert row is not None and days.head().sequence == 11
    assert (row.action, row.success, row.reason) == ("erase_details", True, "erased")
    told = json.loads(row.detail or "")
    assert (told["first_row"], told["last_row"], told["rows"], told["keep_details_days"]) == (1, 4, 4, 5)
    assert told["before"] == "2026-11-17T09:30:00.000000Z"


def test_a_round_looks_at_what_became_old_since_the_last(database: Database, days: AuditLog, now: datetime):
    keeper = Retention(database, days, 5)
    assert [keeper.run(now + timedelta(days=day)) for day in (0, 0, 1, 2)] == [4, 0, 1, 1]


def test_a_long_log_is_done_in_rounds_of_batches(
    database: Database, days: AuditLog, now: datetime, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(retention, "BATCH", 2)
    monkeypatch.setattr(retention, "ROUND_MAX", 3)
    keeper = Retention(database, days, 1)
    assert [keeper.run(now) for _ in range(4)] == [3, 3, 2, 0]
    assert with_detail(days) == [9, 10, 11, 12, 13]


def test_others_write_between_its_batches(database: Database, days: AuditLog, now: datetime):
    """A door must not wait for a million rows."""
    eraser = Eraser(database)
    target = eraser.target(now + timedelta(days=1))
    assert target is not None
    for _ in eraser.erase(target, lambda session: None):
        days.record(entry(), now)
    assert days.head().sequence == 11


@pytest.mark.parametrize(
    ("before_days", "username", "rows"),
    [(5, None, [1, 2, 3, 4]), (5, "ann", [1, 3]), (5, "nobody", []), (-1, "bob", [2, 4, 6, 8, 10]), (30, None, [])],
)
def test_rows_of_one_person_or_of_all(
    database: Database, days: AuditLog, now: datetime, before_days: int, username: str | None, rows: list[int]
):
    eraser = Eraser(database)
    target = eraser.target(now - timedelta(days=before_days), username)
    assert (target.count if target else 0) == len(rows)
    if target:
        assert sum(eraser.erase(target, lambda session: None)) == len(rows)
    assert sorted(set(range(1, 11)) - set(with_detail(days))) == rows


def test_a_clock_that_was_set_back_erases_no_younger_row(database: Database, days: AuditLog, now: datetime):
    days.record(entry(), now - timedelta(days=20))
    days.record(entry(), now)
    assert run(database, days, now) == 5
    assert with_detail(days) == [5, 6, 7, 8, 9, 10, 12, 13]


def test_a_row_that_tells_of_it_commits_no_later_than_the_first_detail_goes(
    database: Database, days: AuditLog, now: datetime, monkeypatch: pytest.MonkeyPatch
):
    """Whatever kills it between two batches."""
    monkeypatch.setattr(retention, "BATCH", 2)
    eraser = Eraser(database)
    target = eraser.target(now - timedelta(days=5))
    assert target is not None
    work = eraser.erase(target, lambda session: days.append(session, entry(), now) and None)
    next(work)
    work.close()
    assert with_detail(days) == [3, 4, 5, 6, 7, 8, 9, 10, 11]


def fold_log(database: Database) -> None:
    """Move the write-ahead log into the file."""
    with closing(database.engine.raw_connection()) as connection:
        driver: Any = connection.driver_connection
        driver.execute("PRAGMA query_only = OFF")
        assert driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0


def plain_pages(path: Path, key: bytes) -> bytes:
    """All pages of a SQLCipher 4 file, decrypted: whatever stands in their free space too."""
    data, pages = path.read_bytes(), []
    for start in range(0, len(data), 4096):
        page = data[start : start + 4096]
        salt_bytes = 16 if start == 0 else 0
        decryptor = Cipher(algorithms.AES(key), modes.CBC(page[-80:-64])).decryptor()
        pages.append(decryptor.update(page[salt_bytes:-80]) + decryptor.finalize())
    return b"".join(pages)


@IN_A_FILE
def test_what_was_erased_stands_nowhere_in_the_file(
    database: Database, days: AuditLog, keyring: Keyring, now: datetime
):
    fold_log(database)
    assert plain_pages(database.path, keyring.database_key).count(SECRET.encode()) >= 10
    run(database, days, now, keep_days=1)
    fold_log(database)
    assert plain_pages(database.path, keyring.database_key).count(SECRET.encode()) == 2


def test_two_workers_erase_a_row_once_and_tell_of_it_once(
    days: AuditLog, run_in_processes: Callable[[int, str], list[str]]
):
    lines = run_in_processes(
        3,
        """
from auth_server.audit import AuditLog
from auth_server.retention import Retention
keeper = Retention(database, AuditLog(database), 5)
wait_for_all()
print(keeper.run(now))
""",
    )
    assert sum(map(int, lines)) == 4
    assert [row.action for row in days.chain()].count("erase_details") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE access_logs SET detail = NULL WHERE id = 7",
        "UPDATE access_logs SET detail_salt = NULL WHERE id = 7",
        "UPDATE access_logs SET detail = NULL, detail_salt = NULL, username = 'eve' WHERE id = 7",
        "UPDATE access_logs SET detail = NULL, detail_salt = NULL, success = 1 WHERE id = 7",
        "UPDATE access_logs SET detail = NULL, detail_salt = NULL, detail_hash = '' WHERE id = 7",
        "UPDATE access_logs SET detail = '{}', detail_salt = NULL, detail_hash = 'aa' WHERE id = 7",
    ],
)
def test_an_eraser_who_changes_anything_else_is_found(
    database: Database, days: AuditLog, checkpoints: Checkpoints, now: datetime, statement: str
):
    run(database, days, now)
    with database.transaction() as session:
        session.connection().exec_driver_sql(statement)
    assert checkpoints.verify(days.chain()).first_bad_row == 7


@pytest.mark.parametrize("days", [0, -1, 36_501])
def test_the_settings_keep_details_for_ever_unless_they_say_for_how_many_days(days: int):
    assert AuditSettings().keep_details_days is None
    assert AuditSettings(keep_details_days=1).keep_details_days == 1
    with pytest.raises(ValidationError):
        AuditSettings(keep_details_days=days)
