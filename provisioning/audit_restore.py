"""`audit accept-restore`: say that an older database was put back on purpose."""

import click

from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints, check_log
from auth_server.errors import LogRolledBack
from provisioning.act import Act, commit, refusals_recorded
from provisioning.audit_options import checkpoints_of, place
from provisioning.desk import Desk, pass_desk, shared_options, yes_option
from provisioning.errors import Refused


@click.command("accept-restore")
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
        log, checkpoints = AuditLog(opened.database), checkpoints_of(opened)
        fault = _fault(log, checkpoints)
        if fault is not None:
            desk.output.warn(fault)
            desk.confirm("Was this database restored on purpose? What was signed since is given up.", is_agreed=yes)
        newest, head = checkpoints.newest(), log.head()
        detail = {"restored": place(*head), "given_up": place(newest.sequence, newest.head) if newest else None}
        act = Act("admin.audit.accept_restore", desk.now(), detail=detail)
        with refusals_recorded(opened.database, act):
            with commit(opened.database, act):
                if fault is None:
                    raise Refused("the audit log is the one that was signed: there is no restore to accept")
            # It signs the row too, so the row comes first; where this fails, a refused row follows.
            made = checkpoints.accept_restore(log, desk.now())
        every_s = opened.settings.store.checkpoint_every_s
    desk.output.say(f"Accepted: the log goes on from row {head.sequence}. A running server knows within {every_s:g} s.")
    desk.output.result({**detail, "head": place(made.sequence, made.head)})


def _fault(log: AuditLog, checkpoints: Checkpoints) -> str | None:
    try:
        check_log(log, checkpoints)
    except LogRolledBack as error:
        return str(error)
    return None
