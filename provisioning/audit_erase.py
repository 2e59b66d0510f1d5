"""`audit erase`: remove the details of old rows by hand, and keep their hashes."""

from datetime import datetime

import click
from sqlalchemy.orm import Session

from auth_server.audit import AuditLog
from auth_server.retention import Eraser, Target
from provisioning.act import Act, done_entry
from provisioning.desk import Desk, pass_desk, shared_options, yes_option
from provisioning.params import TIME, USERNAME
from provisioning.progress import Progress, progress


@click.command()
@click.option("--before", "before", type=TIME, required=True, help="Rows of before this time: ISO 8601, else in UTC.")
@click.option("--user", "username", type=USERNAME, help="Only rows of this person.")
@yes_option
@shared_options
@pass_desk
def erase(desk: Desk, before: datetime, username: str | None, yes: bool) -> None:
    """Erase the details of old rows for good; their hashes stay, and the log can still be proved whole.

    What goes is every verdict's evidence, its numbers and reasons. The names, times, actions and
    outcomes of the rows stay.

    \b
    Example:
      4auth-provision audit erase --before 2026-01-01 --user ann
    """
    with desk.site() as opened:
        eraser = Eraser(opened.database)
        target = eraser.target(before, username)
        count = 0
        if target is not None:
            whose = "" if username is None else f" of {username}"
            desk.confirm(
                f"Erase the details of {target.count} rows{whose}, {target.first} to {target.last}? "
                "Nothing brings them back but a backup.",
                is_agreed=yes,
            )
            count = _erase(desk, eraser, target, AuditLog(opened.database))
    desk.output.say(f"The details of {count} rows were erased.")
    desk.output.result({"rows": count, **({} if target is None else target.detail())})


def _erase(desk: Desk, eraser: Eraser, target: Target, log: AuditLog) -> int:
    act = Act("admin.audit.erase", desk.now(), username=target.username, detail=target.detail())
    count = 0

    def tell(session: Session) -> None:
        log.append(session, done_entry(act), act.now)

    bar: Progress[int] = progress(target.count, "Erasing")
    with bar:
        for erased in eraser.erase(target, tell):
            count += erased
            bar.advance(erased)
    return count
