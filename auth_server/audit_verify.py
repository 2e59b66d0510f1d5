"""Proving an audit log whole: every row and every checkpoint, streamed side by side. Pure.

It finds an edited field, a row removed at either end or between, rows reordered, an end cut off or
an older database put back, a log written anew beside the signed one, and a forged checkpoint.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from auth_server.audit_anchors import Anchors, Finding, Judged, judge_lines
from auth_server.audit_chain import GENESIS, Checkpoint, DamagedLine, Head, StoredRow, detail_hash, row_hash
from auth_server.audit_keys import KeyPath
from auth_server.errors import StoreError


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of the whole log found.

    `proved_to` is the last row that a signed checkpoint vouches for; the `unsigned_rows` after it
    hang together, and nothing yet proves that they are the server's. `erased` counts rows whose
    detail was erased. `notes` are no faults; `keys` are the audit keys that signed, the first key first.
    """

    rows: int
    head: Head
    proved_to: int
    unsigned_rows: int
    erased: int
    findings: tuple[Finding, ...]
    finding_count: int
    notes: tuple[str, ...]
    keys: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether nothing at all was found."""
        return self.finding_count == 0

    @property
    def first_bad_row(self) -> int | None:
        """The lowest row that a finding names."""
        return min((finding.row for finding in self.findings if finding.row is not None), default=None)


_BEGINNING: Final = Head(0, GENESIS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What a log is held against: its checkpoint lines in the order of the file, and whose they must be.

    `marks` are those of the lines that accept a restore or hand over to another key, told beforehand
    because they concern other lines. `judge` checks the signatures.
    """

    lines: Iterable[Checkpoint | DamagedLine]
    keys: KeyPath
    marks: Iterable[Checkpoint] = ()
    judge: Callable[[Iterable[Checkpoint | DamagedLine], KeyPath], Iterator[Judged]] = judge_lines


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a log that is checked: it follows `after`; `is_to_the_end` when no newer rows are known of."""

    after: Head = _BEGINNING
    is_to_the_end: bool = True


def verify_chain(rows: Iterable[StoredRow], signed: Signed, part: Part | None = None) -> ChainReport:
    """Check every row, in ascending order, and every checkpoint, in the order of the file.

    Rows and checkpoints are streamed, and the checkpoints begun first, so that one written meanwhile
    does not look like a row that is missing.
    """
    part = part or Part()
    anchors = Anchors(signed.judge(signed.lines, signed.keys), list(signed.marks), signed.keys)
    links = _Links(anchors, part.after)
    try:
        links.follow(rows)
    except StoreError as error:
        anchors.findings.add(
            links.head.sequence + 1, f"the rows after row {links.head.sequence} cannot be read: {error}"
        )
    anchors.finish(links.head, part.after.sequence, is_to_the_end=part.is_to_the_end)
    found = anchors.findings
    return ChainReport(
        rows=links.rows,
        head=links.head,
        proved_to=anchors.proved_to,
        unsigned_rows=max(0, links.head.sequence - max(anchors.proved_to, part.after.sequence)),
        erased=links.erased,
        findings=tuple(found.listed),
        finding_count=found.count,
        notes=tuple(anchors.notes),
        keys=signed.keys.ids,
    )


class _Links:
    """Walks the rows. After a fault it goes on from the hash that the row claims, to find the next."""

    def __init__(self, anchors: Anchors, after: Head) -> None:
        self.head = after
        self.rows = 0
        self.erased = 0
        self._anchors = anchors
        self._findings = anchors.findings
        if after.sequence:
            anchors.meet(after)

    def follow(self, rows: Iterable[StoredRow]) -> None:
        """Check all rows; the head stands at the last one whose place was right, whatever ends it."""
        for row in rows:
            self.rows += 1
            last, prev_hash = self.head
            if row.id != last + 1:
                if row.id <= last:
                    self._findings.add(row.id, f"row {row.id} stands after row {last}: the rows are not in their order")
                    continue
                self._findings.add(last + 1, _missing(last, row.id))
            elif not follows(row, prev_hash):
                what = f"row {row.id} was changed or replaced: its hash does not follow from its fields"
                self._findings.add(row.id, f"{what} and {_before(last)}")
            self._check_detail(row)
            self.head = Head(row.id, row.row_hash)
            if row.id >= self._anchors.next_at:
                self._anchors.meet(self.head)

    def _check_detail(self, row: StoredRow) -> None:
        if row.detail is None and row.detail_salt is None:
            self.erased += 1
        elif not has_its_detail(row):
            self._findings.add(row.id, f"row {row.id}: its detail was changed")


def follows(row: StoredRow, prev_hash: str) -> bool:
    """Whether a row's hash is that of its fields and the hash of the row before."""
    try:
        return row_hash(row, prev_hash) == row.row_hash
    except (TypeError, ValueError, KeyError):  # a field holds what this program never wrote there
        return False


def has_its_detail(row: StoredRow) -> bool:
    """Whether a row's detail and salt are those that its hash was made of."""
    try:
        return detail_hash(row.detail_salt or b"", row.detail or "") == row.detail_hash
    except (TypeError, ValueError, AttributeError):
        return False


def _before(last: int) -> str:
    return f"row {last}" if last else "the beginning of the log"


def _missing(last: int, found: int) -> str:
    gap = f"row {last + 1} is missing" if found == last + 2 else f"rows {last + 1} to {found - 1} are missing"
    return f"{gap}: row {found} follows {_before(last)}"
