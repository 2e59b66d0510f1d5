"""What the commands on the audit log share: the filters, and how a row is spelt."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final, TypeVar

import click

from auth_server.audit import AuditRow, RowFilter
from auth_server.audit_filter import TEXT_MAX_CHARS
from auth_server.checkpoints import Checkpoints
from provisioning.desk import Site
from provisioning.params import KIOSK_ID, TIME, USERNAME, Checked

Command = TypeVar("Command", bound=Callable[..., Any])

OUTCOMES: Final = ("success", "failure")


def parse_text(text: str) -> str:
    """Return what is looked for. Raises ValueError when it is empty or too long."""
    if not 1 <= len(text) <= TEXT_MAX_CHARS:
        raise ValueError(f"a text to look for has 1 to {TEXT_MAX_CHARS} characters, this one has {len(text)}")
    return text


TEXT = Checked("text", parse_text)

_FILTERS: Final = (
    click.option("--user", "username", type=USERNAME, help="Only of this person."),
    click.option("--kiosk", "kiosk_id", type=KIOSK_ID, help="Only from this kiosk."),
    click.option("--action", help="Only this action, as login or admin.user.add."),
    click.option("--outcome", type=click.Choice(OUTCOMES), help="Only what succeeded, or only what did not."),
    click.option("--since", type=TIME, help="Not before this time: ISO 8601, in UTC where it names no offset."),
    click.option("--until", type=TIME, help="Before this time."),
    click.option("--text", type=TEXT, help="Only rows that hold this text in a field or the detail, in any case."),
)


def filter_options(command: Command) -> Command:
    """Give a command the filters; `row_filter` makes one of their values."""
    for option in reversed(_FILTERS):
        command = option(command)
    return command


def row_filter(
    *,
    username: str | None = None,
    kiosk_id: str | None = None,
    action: str | None = None,
    outcome: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    text: str | None = None,
    **more: Any,
) -> RowFilter:
    """Return the filter that the options ask for."""
    return RowFilter(
        username=username,
        kiosk_id=kiosk_id,
        action=action,
        success=None if outcome is None else outcome == OUTCOMES[0],
        since=since,
        until=until,
        text=text,
        **more,
    )


def checkpoints_of(opened: Site) -> Checkpoints:
    """Return the site's checkpoint file."""
    return Checkpoints.of(opened.settings.store, opened.keyring.audit)


def place(row: int, row_hash: str) -> dict[str, object]:
    """Spell a place in the chain."""
    return {"row": row, "hash": row_hash}


def outcome(row: AuditRow) -> str:
    """Spell whether it succeeded."""
    return OUTCOMES[0] if row.success else OUTCOMES[1]


def cells(row: AuditRow) -> tuple[str, ...]:
    """Return a row as one line of a table."""
    return (
        str(row.id),
        row.ts_utc.isoformat(timespec="seconds"),
        row.username or "-",
        row.kiosk_id or "-",
        row.action,
        outcome(row),
        row.reason,
    )


HEADS: Final = ("ROW", "TIME", "NAME", "KIOSK", "ACTION", "OUTCOME", "REASON")


def detail(row: AuditRow) -> object:
    """Return what a row's detail says, None where it was erased."""
    if row.detail is None:
        return None
    try:
        return json.loads(row.detail)
    except (ValueError, RecursionError):
        return row.detail  # damaged, and `audit verify` says so


def document(row: AuditRow) -> dict[str, object]:
    """Return a row as JSON has it."""
    return {
        "id": row.id,
        "ts_utc": row.ts_utc.isoformat(),
        "username": row.username,
        "kiosk_id": row.kiosk_id,
        "source_address": row.source_address,
        "action": row.action,
        "success": row.success,
        "reason": row.reason,
        "detail": detail(row),
        "row_hash": row.row_hash,
    }
