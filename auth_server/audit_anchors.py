"""Walking the checkpoint lines beside the rows of a log. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from auth_server.audit_chain import GENESIS, Checkpoint, DamagedLine, Head, holds
from auth_server.audit_keys import KeyPath

FINDINGS_MAX: Final = 20
"""More are counted, not listed."""

_NEVER: Final = 2**64


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be. `row` is the first row concerned, or None when it is not about one."""

    row: int | None
    what: str


class Findings:
    """What was found: all of it counted, the first of it listed."""

    def __init__(self) -> None:
        self.listed: list[Finding] = []
        self.count = 0

    def add(self, row: int | None, what: str) -> None:
        """Note one finding."""
        self.count += 1
        if len(self.listed) < FINDINGS_MAX:
            self.listed.append(Finding(row, what))


class Judged(NamedTuple):
    """A line with the reason why the key in force did not sign it, or None."""

    line: Checkpoint | DamagedLine
    fault: str | None


def judge_lines(lines: Iterable[Checkpoint | DamagedLine], keys: KeyPath) -> Iterator[Judged]:
    """Check the signature of each line. It is most of the work, and most of it leaves the GIL."""
    for line in lines:
        yield Judged(line, None if isinstance(line, DamagedLine) else keys.fault(line))


class Anchors:
    """The checkpoints in force, met by the rows as they come. `next_at` is the next row that one was made at."""

    def __init__(self, lines: Iterator[Judged], marks: Sequence[Checkpoint], keys: KeyPath) -> None:
        self.findings = Findings()
        self.notes: list[str] = []
        self.proved_to = 0
        self._keys = keys
        self._restores = [made for made in marks if made.restore and made.is_in_its_place and keys.fault(made) is None]
        self._seen = 0
        self._good = self._walk(lines)
        self._next: Checkpoint | None = None
        self._step()

    def meet(self, head: Head) -> None:
        """Compare a row with the checkpoints that were made at it."""
        while self._next is not None and self._next.sequence <= head.sequence:
            made = self._next
            if made.sequence == head.sequence:
                self._compare(made, head)
            self._step()

    def finish(self, head: Head, after: int, *, is_to_the_end: bool) -> None:
        """Report the checkpoints of rows that are not there, and rows (those after `after`) that have none."""
        self.meet(head)
        newest = self._next
        while (later := next(self._good, None)) is not None:
            newest = later
        if newest is not None and is_to_the_end:
            what = (
                f"the log ends at row {head.sequence}, but had {newest.sequence} rows on {newest.ts_utc} "
                f"(checkpoint line {newest.line}): its end was cut off, or an older copy of the database was put back"
            )
            self.findings.add(head.sequence + 1, what)
        if head.sequence > after and self._seen == 0:
            what = f"there is no signed checkpoint, so nothing proves that these {head.sequence - after} rows are the"
            self.findings.add(None, what + " server's: put back the checkpoint file")
        elif head.sequence > after and not is_to_the_end and self.proved_to <= after and not self.findings.count:
            what = f"no signed checkpoint falls among rows {after + 1} to {head.sequence}, so nothing proves that they"
            self.findings.add(None, what + " are the server's: export a longer range")

    def _step(self) -> None:
        self._next = next(self._good, None)
        self.next_at = _NEVER if self._next is None else self._next.sequence

    def _compare(self, made: Checkpoint, head: Head) -> None:
        if made.head == head.row_hash:
            self.proved_to = head.sequence
            return
        what = (
            f"row {head.sequence} is not the one signed on {made.ts_utc} (checkpoint line {made.line}): "
            "the log was written anew from there or before"
        )
        self.findings.add(head.sequence, what)

    def _walk(self, lines: Iterator[Judged]) -> Iterator[Checkpoint]:
        last = Checkpoint(0, GENESIS, "", "", b"")
        for line, fault in lines:
            if isinstance(line, DamagedLine):
                # Breaking a line gains nothing over removing it: a later checkpoint covers its rows.
                self.notes.append(f"checkpoint line {line.line} is not whole ({line.why}) and was passed over")
            elif fault is not None:
                self.findings.add(None, fault)
            elif not line.is_in_its_place:
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

    def _note(self, made: Checkpoint) -> None:
        if made.hand_over is not None:
            place = self._keys.hand_overs.index(made)
            old, new = self._keys.ids[place : place + 2]
            self.notes.append(f"checkpoint line {made.line}: on {made.ts_utc} audit key {old} handed over to {new}")
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
        done = "accepts a restore" if line.restore else "hands over to another key"
        what = f"checkpoint line {line.line} {done} and was signed for another line: it was copied or moved"
        self.findings.add(None, what)

    def _report_two_heads(self, last: Checkpoint, line: Checkpoint) -> None:
        what = f"checkpoint lines {last.line} and {line.line} disagree about row {line.sequence}: there are two logs"
        self.findings.add(line.sequence, what)
