"""`4auth-provision audit`: read the log of every attempt and act, and prove it whole."""

import json
import sys
from collections.abc import Iterator
from datetime import datetime
from itertools import islice
from typing import Any

import click

from auth_server.audit import AuditLog, AuditRow, ChainReport, RowFilter, verify_chain
from auth_server.checkpoints import Checkpoints, check_log
from auth_server.errors import LogRolledBack
from provisioning.act import Act, commit, refusals_recorded
from provisioning.desk import Desk, Site, pass_desk, shared_options, yes_option
from provisioning.errors import EXIT_REFUSED, Refused
from provisioning.params import KIOSK_ID, TIME, USERNAME

_PAGE = 500
_PROGRESS_EVERY = 10_000


@click.group()
def audit() -> None:
    """Read the log of every attempt and every administrative act, and prove it whole.

    \b
    Example:
      4auth-provision audit list --user ann --outcome failure
    """


@audit.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The newest so many.")
@click.option("--user", "username", type=USERNAME, help="Only of this person.")
@click.option("--kiosk", "kiosk_id", type=KIOSK_ID, help="Only from this kiosk.")
@click.option("--action", help="Only this action, as login or admin.user.add.")
@click.option("--outcome", type=click.Choice(["success", "failure"]), help="Only what succeeded, or only what did not.")
@click.option("--since", type=TIME, help="Not before this time: ISO 8601, in UTC where it names no offset.")
@click.option("--until", type=TIME, help="Before this time.")
@shared_options
@pass_desk
def list_(
    desk: Desk, limit: int, outcome: str | None, since: datetime | None, until: datetime | None, **wanted: Any
) -> None:
    """List rows, the newest first.

    \b
    Example:
      4auth-provision audit list --outcome failure --since 2026-11-22 --limit 20
    """
    is_success = None if outcome is None else outcome == "success"
    with desk.site() as opened:
        found = _between(AuditLog(opened.database), RowFilter(success=is_success, limit=_PAGE, **wanted), since, until)
        rows = list(islice(found, limit))
    desk.output.table(
        ("ROW", "TIME", "NAME", "KIOSK", "ACTION", "OUTCOME", "REASON"),
        [
            (
                str(row.id),
                row.ts_utc.isoformat(timespec="seconds"),
                row.username or "-",
                row.kiosk_id or "-",
                row.action,
                _outcome(row),
                row.reason,
            )
            for row in rows
        ],
    )
    desk.output.result({"rows": [_document(row) for row in rows]})


def _between(log: AuditLog, wanted: RowFilter, since: datetime | None, until: datetime | None) -> Iterator[AuditRow]:
    """Give the matching rows, the newest first; a set-back clock may have left times out of order."""
    before_id: int | None = None
    while True:
        page = list(log.rows(RowFilter(**_members(wanted), before_id=before_id, limit=_PAGE)))
        for row in page:
            if (since is None or row.ts_utc >= since) and (until is None or row.ts_utc < until):
                yield row
        if len(page) < _PAGE:
            return
        before_id = page[-1].id


def _members(wanted: RowFilter) -> dict[str, Any]:
    return {name: getattr(wanted, name) for name in ("username", "action", "success", "kiosk_id")}


@audit.command()
@click.argument("row_id", type=click.IntRange(1), metavar="ROW")
@shared_options
@pass_desk
def show(desk: Desk, row_id: int) -> None:
    """Show one row whole: every verdict with its evidence.

    \b
    Example:
      4auth-provision audit show 17
    """
    with desk.site() as opened:
        row = AuditLog(opened.database).show(row_id)
    if row is None:
        raise Refused(f"there is no row {row_id}: `4auth-provision audit list` tells the newest")
    for name, value in _document(row).items():
        if name != "detail":
            desk.output.say(f"{name + ':':16}{'-' if value is None else value}")
    desk.output.say("detail:")
    # JSON spells out control characters of its own accord.
    for line in json.dumps(_detail(row), indent=2).splitlines():
        desk.output.say(f"  {line}")
    desk.output.result({"row": _document(row)})


@audit.command()
@shared_options
@click.pass_context
def verify(context: click.Context) -> None:
    """Check every row and every signed checkpoint; exit 1 when anything was tampered with.

    \b
    Example:
      4auth-provision audit verify --json
    """
    desk: Desk = context.ensure_object(Desk)
    with desk.site() as opened:
        checkpoints = _checkpoints(opened)
        rows = _with_progress(AuditLog(opened.database).chain())
        key = opened.keyring.audit_key.public_key()
        report = verify_chain(rows, checkpoints.read(), key, checkpoints.restores())
    _tell(desk, report)
    if not report.ok:
        context.exit(EXIT_REFUSED)


@audit.command("accept-restore")
@yes_option
@shared_options
@pass_desk
def accept_restore(desk: Desk, yes: bool) -> None:
    """Say that an older database was put back on purpose, so that people are let in again.

    The rows signed since that copy was made are given up: their codes work again, and accounts
    disabled since then are enabled. `audit verify` reports it for ever.

    \b
    Example:
      4auth-provision audit accept-restore
    """
    with desk.site() as opened:
        log, checkpoints = AuditLog(opened.database), _checkpoints(opened)
        fault = _fault(log, checkpoints)
        if fault is not None:
            desk.output.warn(fault)
            desk.confirm("Was this database restored on purpose? What was signed since is given up.", is_agreed=yes)
        newest, head = checkpoints.newest(), log.head()
        detail = {"restored": _place(*head), "given_up": _place(newest.sequence, newest.head) if newest else None}
        act = Act("admin.audit.accept_restore", desk.now(), detail=detail)
        with refusals_recorded(opened.database, act):
            with commit(opened.database, act):
                if fault is None:
                    raise Refused("the audit log is the one that was signed: there is no restore to accept")
            # It signs the row too, so the row comes first; where this fails, a refused row follows.
            made = checkpoints.accept_restore(log, desk.now())
        every_s = opened.settings.store.checkpoint_every_s
    desk.output.say(f"Accepted: the log goes on from row {head.sequence}. A running server knows within {every_s:g} s.")
    desk.output.result({**detail, "head": _place(made.sequence, made.head)})


def _checkpoints(opened: Site) -> Checkpoints:
    return Checkpoints(opened.settings.store.checkpoints, opened.keyring.audit_key)


def _fault(log: AuditLog, checkpoints: Checkpoints) -> str | None:
    try:
        check_log(log, checkpoints)
    except LogRolledBack as error:
        return str(error)
    return None


def _place(row: int, row_hash: str) -> dict[str, object]:
    return {"row": row, "hash": row_hash}


def _with_progress(rows: Iterator[AuditRow]) -> Iterator[AuditRow]:
    for number, row in enumerate(rows, start=1):
        if number % _PROGRESS_EVERY == 0 and sys.stderr.isatty():
            click.echo(f"{number} rows checked", err=True)
        yield row


def _tell(desk: Desk, report: ChainReport) -> None:
    out = desk.output
    for finding in report.findings:
        out.warn(f"FOUND: {finding.what}")
    if report.finding_count > len(report.findings):
        out.warn(f"and {report.finding_count - len(report.findings)} findings more")
    for note in report.notes:
        out.warn(f"NOTE: {note}")
    if report.ok:
        out.say(f"The log is whole: {report.rows} rows, each following from the one before.")
    else:
        out.say(f"The log was tampered with, or is damaged: {report.finding_count} findings in {report.rows} rows.")
    out.say(
        f"Signed checkpoints prove rows 1 to {report.proved_to}; {report.unsigned_rows} newer rows are not signed yet."
    )
    out.say(f"Head: row {report.head.sequence}, {report.head.row_hash}")
    out.result(
        {
            "ok": report.ok,
            "rows": report.rows,
            "head": _place(*report.head),
            "proved_to": report.proved_to,
            "unsigned_rows": report.unsigned_rows,
            "erased": report.erased,
            "first_bad_row": report.first_bad_row,
            "findings": [{"row": finding.row, "what": finding.what} for finding in report.findings],
            "finding_count": report.finding_count,
            "notes": list(report.notes),
        }
    )


def _outcome(row: AuditRow) -> str:
    return "success" if row.success else "failure"


def _detail(row: AuditRow) -> object:
    if row.detail is None:
        return None
    try:
        return json.loads(row.detail)
    except ValueError:
        return row.detail  # damaged, and `audit verify` says so


def _document(row: AuditRow) -> dict[str, object]:
    return {
        "id": row.id,
        "ts_utc": row.ts_utc.isoformat(),
        "username": row.username,
        "kiosk_id": row.kiosk_id,
        "source_address": row.source_address,
        "action": row.action,
        "success": row.success,
        "reason": row.reason,
        "detail": _detail(row),
        "row_hash": row.row_hash,
    }
