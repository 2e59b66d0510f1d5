"""A long audit log: how fast it is written for a test, proved whole, and listed."""

import hashlib
import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from auth_server.audit import AuditLog
from auth_server.audit_chain import GENESIS, Checkpoint, Head, StoredRow, detail_hash, row_hash
from auth_server.audit_filter import RowFilter
from auth_server.canonical import canonical_json, utc_text
from auth_server.checkpoint_line import line_of
from auth_server.checkpoints import Checkpoints
from auth_server.keyring import Keyring, key_id
from auth_server.store.database import Database, create_database

ROWS_PER_CHECKPOINT = 20
_BATCH = 20_000
_EVERY_S = 3
_START = datetime(2026, 1, 1, tzinfo=UTC)
_PEOPLE = 5_000
_INSERT = "INSERT INTO access_logs VALUES (?,?,?,?,?,?,?,?,?,?,?,?)"

_VERDICTS: dict[str, Any] = {
    "password": {"passed": True},
    "totp": {"passed": True, "step": 58812345, "drift_steps": 0, "reused": False},
    "face": {
        **{"passed": True, "frames": 3, "model": "4auth/yunet/sface", "spread": 0.0812, "presence": 0.9971},
        **{"face_height_px": 212, "threshold": 0.613, "presence_threshold": 0.5, "is_one_person": True},
        "distance": 0.2117,
    },
    "device": {"passed": True, "mac": "02:00:5e:10:00:01", "is_kiosks_own": True, "is_bound": True},
    "clock": {"passed": True, "skew_s": 0.213},
}


@dataclass(frozen=True)
class AuditSpeed:
    """What was measured on one log. Times are in seconds, the medians of a few samples."""

    rows: int
    checkpoints: int
    verify_s: float
    newest_page_s: float
    time_page_s: float
    absent_text_s: float

    @property
    def verify_rate(self) -> float:
        """Rows proved in a second."""
        return self.rows / self.verify_s


def measure(folder: Path, rows: int = 1_000_000) -> AuditSpeed:
    """Write a log of this many rows with its checkpoints into a new folder, and measure what reads it."""
    keyring, database, path = fill(folder, rows)
    try:
        log, checkpoints = AuditLog(database), Checkpoints(path, keyring.audit)
        started = time.perf_counter()
        report = checkpoints.verify(log.chain())
        verify_s = time.perf_counter() - started
        if not report.ok or report.rows != rows or report.proved_to != rows:
            raise RuntimeError(f"the log is not whole: {report.findings}")
        middle = _START + timedelta(seconds=_EVERY_S * rows / 2)
        hour = RowFilter(since=middle, until=middle + timedelta(hours=1), limit=50)
        return AuditSpeed(
            rows=rows,
            checkpoints=rows // ROWS_PER_CHECKPOINT,
            verify_s=verify_s,
            newest_page_s=_page_s(log, RowFilter(limit=50)),
            time_page_s=_page_s(log, hour),
            absent_text_s=_page_s(log, RowFilter(text="stands nowhere", limit=50)),
        )
    finally:
        database.close()


def fill(folder: Path, rows: int) -> tuple[Keyring, Database, Path]:
    """Make keys, a database of so many audit rows, and their checkpoint file, in a new folder."""
    keyring = Keyring.create(folder / "keys")
    database = create_database(folder / "4auth.db", keyring)
    checkpoints, key = folder / "checkpoints.jsonl", keyring.audit.current
    with checkpoints.open("wb") as file:
        for row in append_rows(database, rows, Head(0, GENESIS)):
            if row.id % ROWS_PER_CHECKPOINT == 0:
                draft = Checkpoint(row.id, row.row_hash, row.ts_utc, key_id(key.public_key()), b"")
                file.write(line_of(replace(draft, signature=key.sign(draft.signed_bytes()))))
    return keyring, database, checkpoints


def append_rows(database: Database, rows: int, head: Head) -> Iterator[StoredRow]:
    """Write so many rows after `head`, many in a transaction, and give each as it is written."""
    write = _insert if database.is_file else _copy
    made = _rows(rows, head)
    with closing(database.engine.raw_connection()) as borrowed:
        driver: Any = borrowed.driver_connection
        while batch := list(islice(made, _BATCH)):
            write(driver, batch)
            yield from batch
        borrowed.detach()  # it is not as the store's own connections are


def _insert(driver: Any, batch: list[StoredRow]) -> None:
    driver.execute("PRAGMA query_only = OFF")
    driver.execute("BEGIN IMMEDIATE")
    driver.executemany(_INSERT, batch)
    driver.execute("COMMIT")


def _copy(driver: Any, batch: list[StoredRow]) -> None:
    with driver.cursor() as cursor, cursor.copy("COPY access_logs FROM STDIN") as copy:
        for row in batch:
            copy.write_row(row)
    driver.commit()


def _rows(count: int, head: Head) -> Iterator[StoredRow]:
    """Logins as a site has them: of ten, six granted, two denied, one unsigned and one sign of life."""
    prev_hash = head.row_hash
    denied = {**_VERDICTS, "password": {"passed": False}}
    kinds: dict[int, tuple[str, int, str, dict[str, Any]]] = {
        8: ("heartbeat", 1, "sound", {"faults": [], "mac": "b8:27:eb:12:34:56"}),
        9: ("login", 0, "kiosk_refused", {"why": "the signature is not this kiosk's over this request"}),
    }
    for number in range(head.sequence + 1, head.sequence + count + 1):
        granted = ("login", 1, "granted", {"attempt": f"a{number}", "assertion": f"j{number}", "verdicts": _VERDICTS})
        refused = ("login", 0, "denied", {"attempt": f"a{number}", "account": "enabled", "verdicts": denied})
        action, success, reason, members = kinds.get(number % 10, granted if number % 10 < 6 else refused)
        salt, detail = hashlib.sha256(str(number).encode()).digest()[:16], canonical_json(members)
        row = StoredRow(
            id=number,
            ts_utc=utc_text(_START + timedelta(seconds=_EVERY_S * number)),
            username=None if number % 10 >= 8 else f"user{number % _PEOPLE:05}",
            kiosk_id=f"kiosk-{number % 40}",
            source_address="192.0.2.7",
            action=action,
            success=success,
            reason=reason,
            detail=detail,
            detail_salt=salt,
            detail_hash=detail_hash(salt, detail),
            row_hash="",
        )
        row = row._replace(row_hash=row_hash(row, prev_hash))
        prev_hash = row.row_hash
        yield row


def _page_s(log: AuditLog, wanted: RowFilter) -> float:
    samples = []
    for _ in range(3):
        started = time.perf_counter()
        list(log.rows(wanted))
        samples.append(time.perf_counter() - started)
    return sorted(samples)[1]


def main() -> None:
    """Measure 1,000,000 rows in a temporary folder and print it."""

    with tempfile.TemporaryDirectory(prefix="4auth-audit-") as folder:
        found = measure(Path(folder))
    print(json.dumps({**found.__dict__, "verify_rate": found.verify_rate}, indent=2))


if __name__ == "__main__":
    main()
