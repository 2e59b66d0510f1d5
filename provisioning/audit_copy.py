"""`audit copy-checkpoints`: the signed heads of the log, in a file that the server cannot change."""

import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

import click

from auth_server.checkpoint_file import write_all
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.errors import Refused

_BLOCK: Final = 1024 * 1024


@click.command("copy-checkpoints")
@click.option(
    "--from",
    "source",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="The checkpoint file, - for standard input.  [default: store.checkpoints of the settings]",
)
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The copy, made if missing.")
@shared_options
@pass_desk
def copy_checkpoints(desk: Desk, source: Path | None, to: Path) -> None:
    """Add to a copy of the checkpoint file what the file has more, and refuse where it does not go on from the copy.

    Needs neither keys nor database, and with --from no settings: it may run as a user who has none. What the copy
    holds is never changed: where the server's file was cut or rewritten the exit code is 1, and the copy shows what
    stood there.

    \b
    Example:
      4auth-provision audit copy-checkpoints --to /var/lib/4auth/checkpoints/audit.jsonl
    """
    try:
        with _read(source or desk.settings.store.checkpoints) as original, _opened(to) as copy:
            added = _go_on(original, copy, to)
    except OSError as error:
        raise Refused(
            f"{error.filename or to}: {error.strerror}: run this as a user who may read the checkpoint file and write "
            "the copy, on a disk with room"
        ) from error
    newest = added[-1].decode(errors="replace").strip() if added else None
    desk.output.say(f"{to}: {len(added)} lines more.")
    if newest is not None:
        # So a log that is collected elsewhere holds it, too: whoever has this line proves all rows before it.
        desk.output.say(f"Newest: {newest}")
    desk.output.result({"to": str(to), "lines": len(added), "newest": newest})


def _read(source: Path) -> BinaryIO:
    return source.open("rb") if str(source) != "-" else sys.stdin.buffer


@contextmanager
def _opened(to: Path) -> Iterator[int]:
    """Open the copy for this run alone."""
    descriptor = os.open(to, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _go_on(original: BinaryIO, copy: int, to: Path) -> list[bytes]:
    """Add the whole lines that the copy lacks, through to the disk, and return them."""
    size, at = os.fstat(copy).st_size, 0
    while at < size:
        held = os.pread(copy, _BLOCK, at)
        if original.read(len(held)) != held:
            raise Refused(
                f"the checkpoint file does not go on from its copy {to}: it was cut, changed, or is another site's. "
                "Keep the copy; `audit verify` says what the log still proves. Where the site was made anew, name a "
                "new copy"
            )
        at += len(held)
    added = []
    for line in original:
        if not line.endswith(b"\n"):  # it is being written: the next run has it whole
            break
        write_all(copy, line)
        added.append(line)
    os.fsync(copy)
    return added
