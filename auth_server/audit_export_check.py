"""Proving an export of the audit log, offline: the same findings as on the log itself."""

from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auth_server.audit_anchors import Finding, Findings, judge_lines
from auth_server.audit_chain import Checkpoint, DamagedLine, Head, StoredRow
from auth_server.audit_export import LINE_MAX_BYTES, End, ExportedRow, Header, Record, records
from auth_server.audit_keys import key_path
from auth_server.audit_processes import judge_in_processes
from auth_server.audit_verify import ChainReport, Part, Signed, follows, has_its_detail, verify_chain
from auth_server.errors import StoreError

_LONG_LINES: Final = 3_000

OnRow = Callable[[int], object]
"""Told of each row that was read, with its place in the export."""


@dataclass(slots=True)
class _Rows:
    """The rows of an export as they are read, and how it ended."""

    path: Path
    on_row: OnRow
    count: int = 0
    last: Head | None = None
    end: End | None = None

    def __iter__(self) -> Iterator[ExportedRow]:
        with closing(_read(self.path)) as found:
            for record in found:
                if isinstance(record, ExportedRow):
                    self.count += 1
                    self.last = Head(record.row.id, record.row.row_hash)
                    self.on_row(self.count)
                    yield record
                elif isinstance(record, End):
                    self.end = record

    def fault(self) -> str | None:
        """Return how the file is not whole, or None."""
        if self.end is None:
            return "the export is not whole: its end is missing"
        if self.end.rows != self.count or (self.last is not None and self.end.last != self.last):
            return f"the export says that it has {self.end.rows} rows, and {self.count} stand in it"
        return None


def read_header(path: Path) -> Header:
    """Return what an export says of itself. Raises StoreError when it is none or cannot be read."""
    with closing(_read(path)) as found:
        first = next(found, None)
    if not isinstance(first, Header):
        raise StoreError(f"{path} is no audit export: its first line is no header")
    if not first.keys:
        raise StoreError(f"{path} names no audit key: it was not made by this program")
    return first


def verify_export(path: Path, header: Header, on_row: OnRow = lambda _count: None) -> ChainReport:
    """Check an export whose header was read: every row, and every checkpoint where it is a chain.

    The keys are those that the export names itself: compare the report's with one that you had before.
    """
    rows = _Rows(path, on_row)
    report = _chained(path, header, rows) if header.is_chained else _each_by_itself(header, rows)
    fault = rows.fault()
    if fault is None:
        return report
    return replace(report, findings=(*report.findings, Finding(None, fault)), finding_count=report.finding_count + 1)


def _chained(path: Path, header: Header, rows: _Rows) -> ChainReport:
    marks, count = [], 0
    for line in _lines(path):
        count += 1
        if isinstance(line, Checkpoint) and (line.restore is not None or line.hand_over is not None):
            marks.append(line)
    keys = key_path(marks, Ed25519PublicKey.from_public_bytes(header.keys[-1]))
    judge = judge_in_processes if count >= _LONG_LINES else judge_lines
    signed = Signed(lines=_lines(path), keys=keys, marks=marks, judge=judge)
    return verify_chain((found.row for found in rows), signed, Part(header.after, header.is_to_the_end))


def _each_by_itself(header: Header, rows: _Rows) -> ChainReport:
    found, head, erased = Findings(), Head(0, ""), 0
    try:
        for exported in rows:
            row, prev_hash = exported.row, exported.prev_hash
            if row.id <= head.sequence:
                found.add(row.id, f"row {row.id} stands after row {head.sequence}: the rows are not in their order")
            elif row.id == head.sequence + 1 and prev_hash != head.row_hash:
                found.add(row.id, f"row {row.id} does not follow from row {head.sequence}")
            if prev_hash is None or not follows(row, prev_hash):
                found.add(row.id, f"row {row.id} was changed: its hash does not follow from its fields")
            erased += _check_detail(row, found)
            head = Head(row.id, row.row_hash)
    except StoreError as error:
        found.add(None, str(error))
    keys = key_path([], Ed25519PublicKey.from_public_bytes(header.keys[-1]))
    return ChainReport(
        rows=rows.count,
        head=head,
        proved_to=0,
        unsigned_rows=rows.count,
        erased=erased,
        findings=tuple(found.listed),
        finding_count=found.count,
        notes=("each row was checked by itself: a filtered export proves nothing of the rows that it leaves out",),
        keys=keys.ids,
    )


def _check_detail(row: StoredRow, found: Findings) -> bool:
    if row.detail is None and row.detail_salt is None:
        return True
    if not has_its_detail(row):
        found.add(row.id, f"row {row.id}: its detail was changed")
    return False


def _lines(path: Path) -> Iterator[Checkpoint | DamagedLine]:
    """The checkpoint lines, which stand before the rows."""
    with closing(_read(path)) as found:
        for record in found:
            if isinstance(record, Checkpoint | DamagedLine):
                yield record
            elif isinstance(record, ExportedRow | End):
                return


def _read(path: Path) -> Generator[Record]:
    try:
        with path.open("rb") as file:
            yield from records(iter(lambda: file.readline(LINE_MAX_BYTES), b""))
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from error
