"""`4auth-provision user changes` and `cancel-change`: what was asked for at kiosks and is not in force yet."""

import click

from provisioning.act import Act, author, commit, refusals_recorded
from provisioning.desk import Desk, pass_desk, shared_options, yes_option
from provisioning.errors import Refused
from provisioning.params import USERNAME
from provisioning.user_document import change_document, change_waits
from provisioning.user_lookup import changes_of, effects_of
from provisioning.user_show import is_alive


@click.command()
@shared_options
@pass_desk
def changes(desk: Desk) -> None:
    """List the changes that wait for a first code, an approval or time; what will be in force is never shown.

    \b
    Example:
      4auth-provision user changes --json
    """
    now = desk.now()
    with desk.site() as opened:
        pending = [change for change in changes_of(opened).list() if is_alive(change, now)]
    desk.output.table(
        ("NAME", "ACTION", "KIOSK", "SINCE", "WAITS FOR"),
        [
            (c.username, c.action.value, c.kiosk_id, f"{c.requested_at:%Y-%m-%d %H:%MZ}", change_waits(c))
            for c in pending
        ],
    )
    desk.output.result({"changes": [change_document(change) for change in pending]})


@click.command("cancel-change")
@click.argument("username", type=USERNAME, metavar="NAME")
@yes_option
@shared_options
@pass_desk
def cancel_change(desk: Desk, username: str, yes: bool) -> None:
    """End a person's pending change: what they have now stays as it is.

    \b
    Example:
      4auth-provision user cancel-change ann --yes
    """
    act = Act("admin.user.cancel-change", desk.now(), username=username)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        change = changes_of(opened).pending(username)
        if change is None or not is_alive(change, act.now):
            raise _nothing(username)
        desk.confirm(f"{change.action.value} of {username}, {change_waits(change)}. Cancel it?", is_agreed=yes)
        told = {"change": {"id": change.change_id, "action": change.action.value, "kiosk": change.kiosk_id}}
        act = Act(act.action, act.now, username=username, detail=told)
        with commit(opened.database, act) as database, database.transaction() as session:
            ended = effects_of(opened, database).cancel(session, username, author(), act.now)
            if ended is None or ended.change_id != change.change_id:
                raise _nothing(username)
    desk.output.say(f"The change of {username} is cancelled: {change.action.value}.")
    desk.output.result({"cancelled": change_document(change)})


def _nothing(username: str) -> Refused:
    return Refused(f"{username} has no pending change: `4auth-provision user changes` tells who has one")
