"""`audit verify`: prove the log whole, in the store, in an export, or as it was shipped."""

from pathlib import Path

import click
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auth_server.audit import AuditLog, ChainReport
from auth_server.audit_export_check import read_header, verify_export
from auth_server.keyring import key_id as name_key
from provisioning.audit_options import checkpoints_of, place
from provisioning.audit_shipped import verify_shipped
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.errors import EXIT_REFUSED
from provisioning.params import PUBLIC_KEY, Checked
from provisioning.progress import Progress, progress


def _parse_key_id(text: str) -> str:
    if len(text) != 16 or set(text) - set("0123456789abcdef"):
        raise ValueError("a key id is 16 hexadecimal digits, as `audit verify` tells it")
    return text


KEY_ID = Checked("id", _parse_key_id)


@click.command()
@click.option("--export", type=click.Path(path_type=Path, dir_okay=False), help="Check this file, without any site.")
@click.option(
    "--shipped", type=click.Path(path_type=Path, file_okay=False), help="Check what `audit ship` put there, the same."
)
@click.option("--key-id", type=KEY_ID, help="The audit key that you noted down before, by its id.")
@click.option("--public-key", type=PUBLIC_KEY, help="The same, whole, in base64url.")
@shared_options
@pass_desk
def verify(desk: Desk, export: Path | None, shipped: Path | None, key_id: str | None, public_key: bytes | None) -> None:
    """Check every row and every signed checkpoint; exit 1 when anything was tampered with.

    An export, or a folder of shipped files, is checked without database and keys, on any machine. It names
    its audit keys itself: an id that you had from before says whether they are the site's.

    \b
    Example:
      4auth-provision audit verify --export audit.jsonl --key-id 0123456789abcdef
    """
    anchors = [] if key_id is None else [key_id]
    if public_key is not None:
        anchors.append(name_key(Ed25519PublicKey.from_public_bytes(public_key)))
    if export is not None and shipped is not None:
        raise click.UsageError("name an export or a folder of shipped files, not both")
    report = _offline(export) if export else verify_shipped(shipped) if shipped else _live(desk)
    strangers = [anchor for anchor in anchors if anchor not in report.keys]
    _tell(desk, report, strangers)
    _tell_key(desk, report, anchors, is_export=bool(export or shipped))
    if not report.ok or strangers:
        click.get_current_context().exit(EXIT_REFUSED)


def _live(desk: Desk) -> ChainReport:
    with desk.site() as opened:
        log = AuditLog(opened.database)
        return checkpoints_of(opened).verify(progress(log.chain(), "Checking rows", total=log.head().sequence))


def _offline(path: Path) -> ChainReport:
    header = read_header(path)
    total = header.last.sequence - header.after.sequence if header.is_chained else None
    bar: Progress[int] = progress(total, "Checking rows")
    with bar:
        return verify_export(path, header, bar.reach)


def _tell(desk: Desk, report: ChainReport, strangers: list[str]) -> None:
    out = desk.output
    for finding in report.findings:
        out.warn(f"FOUND: {finding.what}")
    if report.finding_count > len(report.findings):
        out.warn(f"and {report.finding_count - len(report.findings)} findings more")
    for anchor in strangers:
        out.warn(f"FOUND: no checkpoint key of this log is {anchor}: it was signed by somebody else")
    for note in report.notes:
        out.warn(f"NOTE: {note}")
    if report.ok:
        out.say(f"The log is whole: {report.rows} rows, each following from the one before.")
    else:
        out.say(f"The log was tampered with, or is damaged: {report.finding_count} findings in {report.rows} rows.")
    first = report.head.sequence - report.rows + 1
    out.say(
        f"Signed checkpoints prove rows {first if report.proved_to else 0} to {report.proved_to}; "
        f"{report.unsigned_rows} newer rows are not signed yet."
    )
    if report.erased:
        out.say(f"The details of {report.erased} rows were erased; their hashes are whole.")
    out.say(f"Head: row {report.head.sequence}, {report.head.row_hash}")
    out.result(_document(report, strangers))


def _tell_key(desk: Desk, report: ChainReport, anchors: list[str], *, is_export: bool) -> None:
    out, newest = desk.output, report.keys[-1]
    out.say(f"Audit key: {newest}" + (f" (before it: {', '.join(report.keys[:-1])})" if report.keys[1:] else ""))
    if any(anchor in report.keys for anchor in anchors):
        if newest not in anchors:
            out.say(
                "Your key was retired since: it proves nothing more if it was stolen before. Note down the new one."
            )
    elif is_export:
        out.say(
            "This key is named by the export itself, so this shows that the file belongs together, and not who made "
            "it. An id that you noted down at the site before, given as --key-id, would show that."
        )


def _document(report: ChainReport, strangers: list[str]) -> dict[str, object]:
    return {
        "ok": report.ok and not strangers,
        "rows": report.rows,
        "head": place(*report.head),
        "proved_to": report.proved_to,
        "unsigned_rows": report.unsigned_rows,
        "erased": report.erased,
        "first_bad_row": report.first_bad_row,
        "findings": [{"row": finding.row, "what": finding.what} for finding in report.findings],
        "finding_count": report.finding_count,
        "notes": list(report.notes),
        "keys": list(report.keys),
        "unknown_keys": strangers,
    }
