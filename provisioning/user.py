"""`4auth-provision user`: the people who may log in."""

from dataclasses import replace

import click

from auth_server.accounts import Account, Accounts
from auth_server.kiosks import Kiosks
from auth_server.lockouts import Lockouts
from auth_server.store.database import Database
from provisioning.act import Act, commit, perform, refusals_recorded
from provisioning.desk import Desk, Site, pass_desk, shared_options, yes_option
from provisioning.errors import Refused
from provisioning.params import USERNAME
from provisioning.user_add import add
from provisioning.user_document import account_document, account_standing


@click.group()
def user() -> None:
    """Add people, list them, and decide whether they may log in.

    \b
    Example:
      4auth-provision user list
    """


user.add_command(add)


@user.command("list")
@shared_options
@pass_desk
def list_(desk: Desk) -> None:
    """List all people.

    \b
    Example:
      4auth-provision user list --json
    """
    with desk.site() as opened:
        accounts = _accounts(opened).list()
        names = _kiosk_names(opened.database)
    desk.output.table(
        ("NAME", "STANDING", "KIOSKS", "SINCE"),
        [(a.username, account_standing(a), _places(a, names), f"{a.created_at:%Y-%m-%d}") for a in accounts],
    )
    desk.output.result({"users": [account_document(account) for account in accounts]})


@user.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@shared_options
@pass_desk
def show(desk: Desk, username: str) -> None:
    """Show what is known of one person; secrets are never shown.

    \b
    Example:
      4auth-provision user show ann
    """
    with desk.site() as opened:
        found = _find(_accounts(opened), username)
        names = _kiosk_names(opened.database)
    for name, value in (
        ("name", found.username),
        ("standing", account_standing(found)),
        ("kiosks", _places(found, names)),
        ("face model", found.face_model),
        ("since", found.created_at.isoformat(timespec="seconds")),
    ):
        desk.output.say(f"{name + ':':12}{value}")
    desk.output.result({"user": account_document(found)})


@user.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@yes_option
@shared_options
@pass_desk
def disable(desk: Desk, username: str, yes: bool) -> None:
    """Keep a person from logging in anywhere, from now on.

    \b
    Example:
      4auth-provision user disable ann --yes
    """
    act = Act("admin.user.disable", desk.now(), username=username)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        found = _find(_accounts(opened), username)
        desk.confirm(f"{username} will not be able to log in anywhere. Disable the account?", is_agreed=yes)
        with commit(opened.database, act) as database:
            _accounts(opened, database).set_enabled(username, False)
    _tell_standing(desk, replace(found, enabled=False))


@user.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@shared_options
@pass_desk
def enable(desk: Desk, username: str) -> None:
    """Let a disabled person log in again; failures stay counted.

    \b
    Example:
      4auth-provision user enable ann
    """
    act = Act("admin.user.enable", desk.now(), username=username)
    with desk.site() as opened, perform(opened.database, act) as database:
        accounts = _accounts(opened, database)
        found = _find(accounts, username)
        accounts.set_enabled(username, True)
    _tell_standing(desk, replace(found, enabled=True))


@user.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@yes_option
@shared_options
@pass_desk
def unlock(desk: Desk, username: str, yes: bool) -> None:
    """Forget a person's failures: ends a wait, and enables what failures had disabled.

    \b
    Example:
      4auth-provision user unlock ann
    """
    act = Act("admin.user.unlock", desk.now(), username=username)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        found = _find(_accounts(opened), username)
        if not found.enabled:
            question = f"{username} is disabled, perhaps by an administrator. Enable the account as well?"
            desk.confirm(question, is_agreed=yes)
        with commit(opened.database, act) as database:
            Lockouts(database).unlock(username)
    desk.output.say(f"The failures of {username} are forgotten.")
    _tell_standing(desk, replace(found, enabled=True, face_enabled=True))


def _accounts(site: Site, database: Database | None = None) -> Accounts:
    # The model shapes the decoys of unknown names, and nobody logs in here.
    return Accounts(database or site.database, site.keyring.field, model="")


def _find(accounts: Accounts, username: str) -> Account:
    found = accounts.find(username)
    if found is None:
        raise Refused(f"there is no account {username}: `4auth-provision user list` tells which there are")
    return found


def _kiosk_names(database: Database) -> dict[str, str]:
    return {kiosk.mac_address: kiosk.kiosk_id for kiosk in Kiosks(database).list()}


def _places(account: Account, names: dict[str, str]) -> str:
    return ", ".join(sorted(names.get(mac, mac) for mac in account.mac_addresses)) or "nowhere"


def _tell_standing(desk: Desk, account: Account) -> None:
    desk.output.say(f"{account.username} is {account_standing(account)}.")
    if account.enabled and not account.face_enabled:
        desk.output.say("Too many failures disabled the face factor: `4auth-provision user unlock` ends that.")
    desk.output.result({"user": account_document(account)})
