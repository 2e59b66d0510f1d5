"""`4auth-provision user bind` and `unbind`: at which kiosks a person may log in."""

from collections.abc import Callable
from typing import Any

import click

from auth_contract.actions import Action
from auth_server.kiosks import Kiosks
from provisioning.act import Act, author, commit, refusals_recorded
from provisioning.desk import Command, Desk, Site, pass_desk, shared_options, yes_option
from provisioning.params import KIOSK_ID, MAC, USERNAME
from provisioning.user_document import account_document
from provisioning.user_lookup import (
    accounts_of,
    end_change,
    find_account,
    macs_of,
    notifications_of,
    places,
)


def _device_arguments(command: Command) -> Command:
    command = click.option("--mac", "macs", type=MAC, multiple=True, help="A device that is no registered kiosk.")(
        command
    )
    command = click.argument("kiosk_ids", type=KIOSK_ID, nargs=-1, metavar="[KIOSK]...")(command)
    return click.argument("username", type=USERNAME, metavar="NAME")(command)


@click.command()
@_device_arguments
@shared_options
@pass_desk
def bind(desk: Desk, username: str, **devices: Any) -> None:
    """Let a person log in at these kiosks too.

    \b
    Example:
      4auth-provision user bind ann lobby-2 lobby-3
    """
    _change(desk, "bind", username, devices, is_agreed=True)


@click.command()
@_device_arguments
@yes_option
@shared_options
@pass_desk
def unbind(desk: Desk, username: str, yes: bool, **devices: Any) -> None:
    """Keep a person from logging in at these kiosks; it asks where that leaves none.

    \b
    Example:
      4auth-provision user unbind ann lobby-2
    """
    _change(desk, "unbind", username, devices, is_agreed=yes)


def _change(desk: Desk, verb: str, username: str, devices: dict[str, tuple[str, ...]], *, is_agreed: bool) -> None:
    if not any(devices.values()):
        raise click.UsageError("name a kiosk or more, or give --mac")
    detail = {"kiosks": sorted(devices["kiosk_ids"]), "macs": sorted(devices["macs"])}
    act = Act(f"admin.user.{verb}", desk.now(), username=username, detail=detail)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        found = find_account(accounts_of(opened), username)
        macs = {*macs_of(opened.database, devices["kiosk_ids"]).values(), *devices["macs"]}
        if verb == "unbind" and found.mac_addresses and found.mac_addresses <= macs:
            desk.confirm(f"{username} will not be able to log in anywhere. Unbind?", is_agreed=is_agreed)
        count = _carry_out(opened, act, macs, verb)
        after = find_account(accounts_of(opened), username)
        names = Kiosks(opened.database).macs()
    if count == 0:
        desk.output.say(f"{username} was {'bound already' if verb == 'bind' else 'not bound there'}.")
    desk.output.say(f"{username} may log in at: {places(after, names)}.")
    desk.output.result({"user": account_document(after), "changed": count})


def _carry_out(site: Site, act: Act, macs: set[str], verb: str) -> int:
    """Bind or unbind in one transaction with its row; returns how many bindings that changed."""
    username = str(act.username)
    with commit(site.database, act) as database, database.transaction() as session:
        accounts = accounts_of(site, database)
        find_account(accounts, username)  # once more, now that nobody else can write
        one: Callable[..., bool] = accounts.bind if verb == "bind" else accounts.unbind
        count = sum(one(username, mac, act.now) for mac in sorted(macs))
        # It would undo this, because it binds to its own kiosk alone.
        end_change(site, database, username, act.now, only=Action.UPDATE_MAC)
        if count:
            body = {"by": author(), "message": _message(username, verb)}
            notifications_of(site, database).add(session, "factor_reset", username, body, act.now)
        return count


def _message(username: str, verb: str) -> str:
    what = "may log in at more kiosks" if verb == "bind" else "may log in at fewer kiosks"
    return f"{username} {what} now, by {author()}. If {username} does not know of this, call an administrator."
