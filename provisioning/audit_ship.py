"""`audit ship`: the log's new signed rows, as files that are brought to another machine."""

import os
from pathlib import Path

import click

from auth_server.audit import AuditLog
from auth_server.audit_chain import Head
from auth_server.audit_export import Header
from auth_server.audit_export_check import read_header
from auth_server.audit_verify import Signed
from auth_server.canonical import utc_text
from auth_server.on_disk import flush_file, flush_folder
from provisioning.audit_export import write_chained
from provisioning.audit_options import checkpoints_of, place
from provisioning.audit_shipped import Part, digest_of, part_name, parts_in
from provisioning.desk import Desk, Site, pass_desk, shared_options
from provisioning.errors import Refused
from provisioning.scratch import scratch_folder


@click.command()
@click.option(
    "--to", type=click.Path(path_type=Path, file_okay=False, exists=True), required=True, help="A folder that is there."
)
@shared_options
@pass_desk
def ship(desk: Desk, to: Path) -> None:
    """Write what was signed since the newest file of a folder to one file more.

    A file appears whole, under a name that says its rows and its SHA-256, and never changes. Where this is killed,
    the next run goes on: no row is written twice or left out. `audit verify --shipped` proves the files on any
    machine. Rows that no checkpoint has signed yet wait for the next run.

    \b
    Example:
      4auth-provision audit ship --to /srv/audit
    """
    try:
        with desk.site() as opened, scratch_folder(to, "ship") as scratch:
            part, head = _ship(desk, opened, to, scratch)
    except OSError as error:
        raise Refused(
            f"{to}: {error.strerror}: name a folder that you may write to, on a disk with room, that takes hard links"
        ) from error
    if part is None:
        desk.output.say(f"{to} has all that is signed, up to row {head.sequence}.")
    else:
        desk.output.say(f"Shipped: rows {part.first} to {part.last}, in {part.path}.")
    desk.output.result(
        {
            "file": None if part is None else str(part.path),
            "rows": 0 if part is None else part.last - part.first + 1,
            "last": place(*head),
        }
    )


def _ship(desk: Desk, opened: Site, to: Path, scratch: Path) -> tuple[Part | None, Head]:
    log, checkpoints = AuditLog(opened.database), checkpoints_of(opened)
    after = _shipped(to, log)
    newest = checkpoints.newest()
    if newest is None or newest.sequence <= after.sequence:
        return None, after
    last = Head(newest.sequence, newest.head)
    if log.hash_at(last.sequence) != last.row_hash:
        raise Refused(
            f"the log has not the row {last.sequence} that was signed: it was cut, or an older database put back. "
            "`audit verify` says more; nothing was shipped"
        )
    signed = checkpoints.signed()
    header = Header(
        site=opened.settings.site,
        made_at=utc_text(desk.now()),
        after=after,
        last=last,
        is_chained=True,
        is_to_the_end=False,
        keys=tuple(key.public_bytes_raw() for key in signed.keys.keys),
        filter={},
    )
    return _place(to, scratch / "draft", header, signed, log), last


def _shipped(to: Path, log: AuditLog) -> Head:
    """Where the newest file ends, after which the next begins."""
    parts = parts_in(to)
    if not parts:
        return log.head_before(1)
    last = read_header(parts[-1].path).last
    if log.hash_at(last.sequence) != last.row_hash:
        raise Refused(
            f"the log does not go on from {parts[-1].path}: rows that were shipped are not in it. Keep the files, and "
            "see `audit verify`; where a backup was restored or the site made anew, ship to a new folder"
        )
    return last


def _place(to: Path, draft: Path, header: Header, signed: Signed, log: AuditLog) -> Part:
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        write_chained(file, header, signed, log)
    flush_file(draft)
    digest, first, last = digest_of(draft), header.after.sequence + 1, header.last.sequence
    path = to / part_name(first, last, digest)
    os.link(draft, path)  # whole, and never over another
    flush_folder(to)
    return Part(first, last, digest, path)
