"""`audit export`: the log, or a part of it, as a file that proves itself."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auth_server.audit import AuditLog
from auth_server.audit_chain import Checkpoint, Head
from auth_server.audit_export import Header, checkpoint_line, end_line, header_line, row_line
from auth_server.audit_filter import RowFilter
from auth_server.audit_verify import Signed
from auth_server.canonical import utc_text
from auth_server.keyring import key_id
from provisioning.audit_options import checkpoints_of, filter_options, place, row_filter
from provisioning.desk import Desk, Site, pass_desk, shared_options
from provisioning.errors import Refused
from provisioning.progress import progress


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows go into an export: a range of numbers, and a filter."""

    rows: RowFilter
    first: int | None
    last: int | None

    @property
    def is_chained(self) -> bool:
        """Whether what is found is one range of rows; a time is, from its first row to its last."""
        return self.rows.is_by_time_alone


@click.command()
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), help="A new file.  [default: standard output]")
@click.option("--from-row", "first", type=click.IntRange(1), metavar="ROW", help="From this row on.")
@click.option("--to-row", "last", type=click.IntRange(1), metavar="ROW", help="Up to this row.")
@filter_options
@shared_options
@pass_desk
def export(desk: Desk, to: Path | None, first: int | None, last: int | None, **wanted: Any) -> None:
    """Write rows as JSON lines, with the checkpoints and public keys that prove them.

    All rows, or those of a range of rows or of a time, are proved by `audit verify --export FILE`,
    which needs neither database nor keys. With another filter each row carries its own hash only:
    nothing then shows which rows were left out.

    \b
    Example:
      4auth-provision audit export --since 2026-11-01 --to november.jsonl
    """
    if to is None and desk.output.is_json:
        raise click.UsageError("--json says what was written, so name a file by --to")
    with desk.site() as opened:
        asked = Wanted(row_filter(**wanted), first, last)
        header, signed, log = _prepare(desk, opened, asked)
        with _written(to) as file:
            count = _write(file, header, signed, log, asked)
    _tell(desk, header, count, to)


def _prepare(desk: Desk, opened: Site, wanted: Wanted) -> tuple[Header, Signed, AuditLog]:
    log = AuditLog(opened.database)
    # In this order: rows that are signed meanwhile are in the log before they are in the file.
    signed = checkpoints_of(opened).signed()
    head = log.head()
    first, last = _range(log, wanted, head)
    header = Header(
        site=opened.settings.site,
        made_at=utc_text(desk.now()),
        after=log.head_before(first),
        last=Head(last, log.hash_at(last) or ""),
        is_chained=wanted.is_chained,
        is_to_the_end=wanted.is_chained and last == head.sequence,
        keys=tuple(key.public_bytes_raw() for key in signed.keys.keys),
        filter=_spelt(wanted),
    )
    return header, signed, log


def _range(log: AuditLog, wanted: Wanted, head: Head) -> tuple[int, int]:
    bounds = log.time_range(wanted.rows)
    if bounds is None:
        raise Refused("the log has no row of that time")
    first = max(bounds[0], wanted.first or 1)
    last = min(bounds[1], wanted.last or head.sequence, head.sequence)
    if first > last:
        raise Refused(f"the log has no rows {first} to {last}: it ends at row {head.sequence}")
    return first, last


def _spelt(wanted: Wanted) -> dict[str, object]:
    asked = wanted.rows
    members: dict[str, object] = {
        "from_row": wanted.first,
        "to_row": wanted.last,
        "user": asked.username,
        "kiosk": asked.kiosk_id,
        "action": asked.action,
        "success": asked.success,
        "since": asked.since and utc_text(asked.since),
        "until": asked.until and utc_text(asked.until),
        "text": asked.text,
    }
    return {name: value for name, value in members.items() if value is not None}


def _write(file: BinaryIO, header: Header, signed: Signed, log: AuditLog, wanted: Wanted) -> int:
    if header.is_chained:
        return write_chained(file, header, signed, log)
    file.write(header_line(header))
    return _write_filtered(file, header, log, wanted)


def write_chained(file: BinaryIO, header: Header, signed: Signed, log: AuditLog) -> int:
    """Write an export of one range of rows, with what proves it, and return how many rows there are."""
    file.write(header_line(header))
    for line in signed.lines:
        if _concerns(line, header):
            file.write(checkpoint_line(line))
    total = header.last.sequence - header.after.sequence
    count, prev_hash = 0, header.after.row_hash
    rows = log.chain(header.after.sequence, header.last.sequence)
    for row in progress(rows, "Writing rows", total=total):
        file.write(row_line(row, prev_hash))
        count, prev_hash = count + 1, row.row_hash
    file.write(end_line(count, header.last))
    return count


def _write_filtered(file: BinaryIO, header: Header, log: AuditLog, wanted: Wanted) -> int:
    count, last = 0, Head(0, "")
    rows = log.filtered(wanted.rows, header.after.sequence, header.last.sequence)
    for row, prev_hash in progress(rows, "Writing rows"):
        file.write(row_line(row, prev_hash))
        count, last = count + 1, Head(row.id, row.row_hash)
    file.write(end_line(count, last))
    return count


def _concerns(line: object, header: Header) -> bool:
    """Whether a checkpoint line is about the rows of a range; hand-overs and restores always are."""
    if not isinstance(line, Checkpoint) or line.restore is not None or line.hand_over is not None:
        return True
    return header.after.sequence <= line.sequence <= header.last.sequence or header.is_to_the_end


@contextmanager
def _written(to: Path | None) -> Iterator[BinaryIO]:
    """A file that appears whole or not at all, for its owner alone; standard output for none."""
    if to is None:
        with _reported("standard output"):
            yield sys.stdout.buffer
            sys.stdout.buffer.flush()
        return
    with _reported(str(to)), TemporaryDirectory(prefix=f".{to.name}-", dir=to.parent) as made:
        draft = Path(made) / to.name
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, to)  # unlike a rename, this never replaces a file


@contextmanager
def _reported(name: str) -> Iterator[None]:
    try:
        yield
    except FileExistsError:
        raise Refused(f"{name} is there already: name another file") from None
    except OSError as error:
        raise Refused(f"{name} cannot be written: {error.strerror}") from error


def _tell(desk: Desk, header: Header, count: int, to: Path | None) -> None:
    say: Callable[[str], None] = desk.output.warn if to is None else desk.output.say
    key = key_id(Ed25519PublicKey.from_public_bytes(header.keys[-1]))
    what = f"rows {header.after.sequence + 1} to {header.last.sequence}" if header.is_chained else f"{count} rows"
    say(f"Written: {what}. Audit key {key}: whoever checks the file should have this id from elsewhere.")
    if not header.is_chained:
        say("Each row carries its own hash; which rows were left out, this export cannot show.")
    desk.output.result(
        {
            "file": None if to is None else str(to),
            "rows": count,
            "last": place(*header.last),
            "is_chained": header.is_chained,
            "key": key,
        }
    )
