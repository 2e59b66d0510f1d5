"""Proving an audit log whole: every row and every checkpoint, streamed side by side. Pure.

It finds an edited field, a row removed at either end or between, rows reordered, an end cut off or
an older database put back, a log written anew beside the signed one, and a forged checkpoint.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auth_server.audit_chain import GENESIS, AuditRow, Checkpoint, DamagedLine, Head, detail_hash, holds, row_hash
from auth_server.errors import StoreError
from auth_server.keyring import key_id

FINDINGS_MAX: Final = 20
"""More are counted, not listed."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be. `row` is the first row concerned, or None when it is not about one."""

    row: int | None
    what: str


@dataclass(frozen=True, slots=True)
class ChainReport:
    """What a check of the whole log found.

    `proved_to` is the last row that a signed checkpoint vouches for; the `unsigned_rows` after it
    hang together, and nothing yet proves that they are the server's. `erased` counts rows whose
    detail was erased. `notes` are no faults.
    """

    rows: int
    head: Head
    proved_to: int
    unsigned_rows: int
    erased: int
    findings: tuple[Finding, ...]
    finding_count: int
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing at all was found."""
        return self.finding_count == 0

    @property
    def first_bad_row(self) -> int | None:
        """The lowest row that a finding names."""
        return min((finding.row for finding in self.findings if finding.row is not None), default=None)


def verify_chain(
    rows: Iterable[AuditRow],
    checkpoints: Iterable[Checkpoint | DamagedLine],
    public_key: Ed25519PublicKey,
    restores: Iterable[Checkpoint] = (),
) -> ChainReport:
    """Check every row, in ascending order, and every checkpoint, in the order of the file.

    `restores` are those of the checkpoints that accept a restore, told beforehand because they
    concern the lines above them; the report's notes tell each. Rows and checkpoints are streamed,
    and the checkpoints begun first, so that one written meanwhile does not look like a row that is missing.
    """
    anchors = _Anchors(checkpoints, public_key, restores)
    links = _Links(anchors)
    try:
        for row in rows:
            links.add(row)
    except StoreError as error:
        anchors.findings.add(
            links.head.sequence + 1, f"the rows after row {links.head.sequence} cannot be read: {error}"
        )
    anchors.finish(links.head)
    found = anchors.findings
    return ChainReport(
        rows=links.rows,
        head=links.head,
        proved_to=anchors.proved_to,
        unsigned_rows=max(0, links.head.sequence - anchors.proved_to),
        erased=links.erased,
        findings=tuple(found.listed),
        finding_count=found.count,
        notes=tuple(anchors.notes),
    )


class _Findings:
    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.count = 0

    def add(self, row: int | None, what: str) -> None:
        self.count += 1
        if len(self.listed) < FINDINGS_MAX:
            self.listed.append(Finding(row, what))


class _Links:
    """Walks the rows. After a fault it goes on from the hash that the row claims, to find the next."""

    def __init__(self, anchors: "_Anchors") -> None:
        self.head = Head(0, GENESIS)
        self.rows = 0
        self.erased = 0
        self._anchors = anchors
        self._findings = anchors.findings

    def add(self, row: AuditRow) -> None:
        self.rows += 1
        last = self.head.sequence
        if row.id <= last:
            self._findings.add(row.id, f"row {row.id} stands after row {last}: the rows are not in their order")
            return
        if row.id > last + 1:
            self._findings.add(last + 1, _missing(last, row.id))
        elif not _follows(row, self.head.row_hash):
            what = f"row {row.id} was changed or replaced: its hash does not follow from its fields and {_before(last)}"
            self._findings.add(row.id, what)
        self._check_detail(row)
        self.head = Head(row.id, row.row_hash)
        self._anchors.meet(self.head)

    def _check_detail(self, row: AuditRow) -> None:
        if row.detail is None and row.detail_salt is None:
            self.erased += 1
        elif not _has_its_detail(row):
            self._findings.add(row.id, f"row {row.id}: its detail was changed")


def _follows(row: AuditRow, prev_hash: str) -> bool:
    try:
        return row_hash(row, prev_hash) == row.row_hash
    except (TypeError, ValueError):  # a field holds what this program never wrote there
        return False


def _has_its_detail(row: AuditRow) -> bool:
    try:
        return detail_hash(row.detail_salt or b"", row.detail or "") == row.detail_hash
    except (TypeError, ValueError, AttributeError):
        return False


def _before(last: int) -> str:
    return f"row {last}" if last else "the beginning of the log"


def _missing(last: int, found: int) -> str:
    gap = f"row {last + 1} is missing" if found == last + 2 else f"rows {last + 1} to {found - 1} are missing"
    return f"{gap}: row {found} follows {_before(last)}"


def _is_in_its_place(made: Checkpoint) -> bool:
    return made.restore is None or made.restore.line == made.line


class _Anchors:
    """Walks the checkpoints beside the rows."""

    def __init__(
        self,
        lines: Iterable[Checkpoint | DamagedLine],
        public_key: Ed25519PublicKey,
        restores: Iterable[Checkpoint],
    ) -> None:
        self.findings = _Findings()
        self.notes: list[str] = []
        self.proved_to = 0
        self._public_key = public_key
        self._key_id = key_id(public_key)
        self._restores = [made for made in restores if self._has_signature(made) and _is_in_its_place(made)]
        self._seen = 0
        self._good = self._walk(lines)
        self._next = next(self._good, None)

    def meet(self, head: Head) -> None:
        """Compare a row with the checkpoints that were made at it."""
        while self._next is not None and self._next.sequence <= head.sequence:
            made = self._next
            if made.sequence == head.sequence:
                self._compare(made, head)
            self._next = next(self._good, None)

    def finish(self, head: Head) -> None:
        """Report the checkpoints of rows that are not there."""
        self.meet(head)
        newest = self._next
        while (later := next(self._good, None)) is not None:
            newest = later
        if newest is not None:
            what = (
                f"the log ends at row {head.sequence}, but had {newest.sequence} rows on {newest.ts_utc} "
                f"(checkpoint line {newest.line}): its end was cut off, or an older copy of the database was put back"
            )
            self.findings.add(head.sequence + 1, what)
        if self._seen == 0 and head.sequence > 0:
            what = f"there is no signed checkpoint, so nothing proves that these {head.sequence} rows are the server's"
            self.findings.add(None, what + ": put back the checkpoint file")

    def _compare(self, made: Checkpoint, head: Head) -> None:
        if made.head == head.row_hash:
            self.proved_to = head.sequence
            return
        what = (
            f"row {head.sequence} is not the one signed on {made.ts_utc} (checkpoint line {made.line}): "
            "the log was written anew from there or before"
        )
        self.findings.add(head.sequence, what)

    def _walk(self, lines: Iterable[Checkpoint | DamagedLine]) -> Iterator[Checkpoint]:
        last = Checkpoint(0, GENESIS, "", "", b"")
        for line in lines:
            if isinstance(line, DamagedLine):
                # Breaking a line gains nothing over removing it: a later checkpoint covers its rows.
                self.notes.append(f"checkpoint line {line.line} is not whole ({line.why}) and was passed over")
            elif not self._is_signed(line):
                continue
            elif not _is_in_its_place(line):
                self._report_copy(line)
            elif not holds(line, self._restores):
                self._note(line)
            elif line.sequence < last.sequence:
                self._report_step_back(last, line)
            else:
                if line.sequence == last.sequence and line.head != last.head:
                    self._report_two_heads(last, line)
                self._note(line)
                self._seen += 1
                last = line
                yield line

    def _is_signed(self, made: Checkpoint) -> bool:
        if made.key_id != self._key_id:
            what = (
                f"checkpoint line {made.line} was signed by key {made.key_id!r:.40}, not by this site's {self._key_id}"
            )
            self.findings.add(None, what)
            return False
        if not self._has_signature(made):
            self.findings.add(None, f"checkpoint line {made.line} is forged or was changed: its signature is wrong")
            return False
        return True

    def _has_signature(self, made: Checkpoint) -> bool:
        try:
            self._public_key.verify(made.signature, made.signed_bytes())
        except (InvalidSignature, ValueError):
            return False
        return True

    def _note(self, made: Checkpoint) -> None:
        if made.restore is None:
            return
        kept, given_up = made.restore.kept, made.restore.given_up
        self.notes.append(
            f"checkpoint line {made.line}: a restored database was accepted on {made.ts_utc}. What was signed of rows "
            f"{kept + 1} to {given_up.sequence} (head {given_up.row_hash}) was given up; the log went on from row "
            f"{kept} to row {made.sequence} (head {made.head})"
        )

    def _report_step_back(self, last: Checkpoint, line: Checkpoint) -> None:
        what = (
            f"checkpoint line {line.line} is of row {line.sequence}, after one of row {last.sequence}: an older copy "
            "of the database was put back and written on, or the lines were reordered"
        )
        self.findings.add(line.sequence, what)

    def _report_copy(self, line: Checkpoint) -> None:
        what = f"checkpoint line {line.line} accepts a restore and was signed for another line: it was copied or moved"
        self.findings.add(None, what)

    def _report_two_heads(self, last: Checkpoint, line: Checkpoint) -> None:
        what = f"checkpoint lines {last.line} and {line.line} disagree about row {line.sequence}: there are two logs"
        self.findings.add(line.sequence, what)
