"""`4auth-provision user delete`: an account forgotten, its secrets unreadable, the log still whole."""

import click
from sqlalchemy.orm import Session

from auth_server.admins import Admins
from auth_server.audit import AuditLog
from auth_server.gateway_names import GatewayNames
from auth_server.retention import Eraser
from auth_server.store.clearing import clear_out
from provisioning.act import Act, author, commit, done_entry, refusals_recorded
from provisioning.desk import Desk, Site, pass_desk, shared_options, yes_option
from provisioning.errors import Refused
from provisioning.params import USERNAME
from provisioning.progress import progress
from provisioning.user_lookup import accounts_of, find_account, no_account, notifications_of


@click.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@click.option("--erase-details", is_flag=True, help="Erase the details of their rows in the audit log too.")
@yes_option
@shared_options
@pass_desk
def delete(desk: Desk, username: str, erase_details: bool, yes: bool) -> None:
    """Forget a person: the key of their secrets is destroyed, then all that is stored of them goes.

    The audit log keeps what was done under the name, and stays verifiable, also where the details of
    those rows are erased: their hashes stay. A backup that was made
    before still holds the key, sealed: it is worth nothing once the field keys of that time are gone.

    \b
    Example:
      4auth-provision user delete ann --yes
    """
    act = Act("admin.user.delete", desk.now(), username=username)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        find_account(accounts_of(opened), username)
        _check_no_admin(opened, username)
        desk.confirm(f"All that is stored of {username} will be gone for good. Delete the account?", is_agreed=yes)
        with commit(opened.database, act) as database, database.transaction() as session:
            if not accounts_of(opened, database).delete(username):
                raise no_account(username)
            GatewayNames.drop(session, username)
            body = {"by": author(), "message": f"The account {username} was deleted by {author()}."}
            notifications_of(opened, database).add(session, "account_deleted", username, body, act.now)
        erased = _erase_details(opened, act) if erase_details else 0
        is_overwritten = clear_out(opened.database)
    desk.output.say(f"{username} is deleted.")
    if erase_details:
        desk.output.say(f"The details of {erased} rows of the audit log are erased.")
    if not is_overwritten:
        desk.output.warn(
            "4auth-provision: warning: somebody read the store without a pause, so its write-ahead log still holds "
            "older pages; it is emptied when the server ends"
        )
    desk.output.result({"deleted": username, "details_erased": erased, "overwritten": is_overwritten})


def _check_no_admin(site: Site, username: str) -> None:
    """Else whoever is given the name next would be an administrator."""
    found = Admins(site.database).find(username)
    if found is not None:
        raise Refused(
            f"{username} is an administrator too ({found.role.value}), and whoever gets the name next would be one: "
            f"run `4auth-provision admin remove {username}` first"
        )


def _erase_details(site: Site, deleted: Act) -> int:
    """Erase what the rows under the name say besides name, time and outcome; returns in how many rows.

    A process that is killed here leaves the rest to `4auth-provision audit erase --user`.
    """
    eraser, log = Eraser(site.database), AuditLog(site.database)
    target = eraser.target(deleted.now, deleted.username)
    if target is None:
        return 0
    act = Act("admin.audit.erase", deleted.now, username=deleted.username, detail=target.detail())

    def begin(session: Session) -> None:
        log.append(session, done_entry(act), act.now)

    return sum(progress(eraser.erase(target, begin), "Erasing"))
