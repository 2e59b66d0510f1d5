"""`audit list | show | why`: rows of the log, one whole, and why it is so."""

import json
from dataclasses import replace
from typing import Any

import click

from auth_server.audit import AuditLog, AuditRow
from auth_server.audit_words import why as words
from provisioning.audit_options import HEADS, cells, detail, document, filter_options, row_filter
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.errors import Refused


@click.command("list")
@click.option("--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="The newest so many.")
@click.option("--before", "before_id", type=click.IntRange(1), metavar="ROW", help="Only rows before this one.")
@filter_options
@shared_options
@pass_desk
def list_(desk: Desk, limit: int, **wanted: Any) -> None:
    """List rows, the newest first; it says how to see the page after.

    \b
    Example:
      4auth-provision audit list --outcome failure --since 2026-11-22 --limit 20
    """
    asked = row_filter(limit=limit, **wanted)
    with desk.site() as opened:
        # One more than is shown tells whether there are more.
        found = list(AuditLog(opened.database).rows(replace(asked, limit=limit + 1)))
    rows, more = found[:limit], len(found) > limit
    desk.output.table(HEADS, [cells(row) for row in rows])
    before = rows[-1].id if more else None
    if before is not None:
        desk.output.warn(f"There are more: add --before {before}")
    desk.output.result({"rows": [document(row) for row in rows], "next_before": before})


@click.command()
@click.argument("row_id", type=click.IntRange(1), metavar="ROW")
@shared_options
@pass_desk
def show(desk: Desk, row_id: int) -> None:
    """Show one row whole: every verdict with its evidence.

    \b
    Example:
      4auth-provision audit show 17
    """
    row = _row(desk, row_id)
    for name, value in document(row).items():
        if name != "detail":
            desk.output.say(f"{name + ':':16}{'-' if value is None else value}")
    desk.output.say("detail:")
    # JSON spells out control characters of its own accord.
    for line in json.dumps(detail(row), indent=2).splitlines():
        desk.output.say(f"  {line}")
    desk.output.result({"row": document(row)})


@click.command()
@click.argument("row_id", type=click.IntRange(1), metavar="ROW")
@shared_options
@pass_desk
def why(desk: Desk, row_id: int) -> None:
    """Explain a decision in plain words, from the evidence that its row keeps.

    \b
    Example:
      4auth-provision audit why 17
    """
    row = _row(desk, row_id)
    told = words(row)
    for line in told:
        desk.output.say(line)
    desk.output.result({"row": row.id, "why": list(told)})


def _row(desk: Desk, row_id: int) -> AuditRow:
    with desk.site() as opened:
        row = AuditLog(opened.database).show(row_id)
    if row is None:
        raise Refused(f"there is no row {row_id}: `4auth-provision audit list` tells the newest")
    return row
