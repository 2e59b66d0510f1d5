"""`4auth-provision user`: the people who may log in."""

from dataclasses import replace

import click

from auth_server.accounts import Account
from auth_server.lockouts import Lockouts
from provisioning.act import Act, commit, perform, refusals_recorded
from provisioning.desk import Desk, pass_desk, shared_options, yes_option
from provisioning.params import USERNAME
from provisioning.user_add import add
from provisioning.user_changes import cancel_change, changes
from provisioning.user_delete import delete
from provisioning.user_devices import bind, unbind
from provisioning.user_document import account_document, account_standing
from provisioning.user_export import export
from provisioning.user_invite import invite, invites, uninvite
from provisioning.user_list import list_
from provisioning.user_lookup import accounts_of, find_account
from provisioning.user_reset import reset
from provisioning.user_set import set_
from provisioning.user_show import show


@click.group()
def user() -> None:
    """Add people, list them, and decide whether they may log in.

    \b
    Example:
      4auth-provision user list
    """


for command in (
    list_,
    show,
    add,
    invite,
    invites,
    uninvite,
    bind,
    unbind,
    set_,
    reset,
    delete,
    export,
    changes,
    cancel_change,
):
    user.add_command(command)


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
        found = find_account(accounts_of(opened), username)
        desk.confirm(f"{username} will not be able to log in anywhere. Disable the account?", is_agreed=yes)
        with commit(opened.database, act) as database:
            accounts_of(opened, database).set_enabled(username, False)
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
        accounts = accounts_of(opened, database)
        found = find_account(accounts, username)
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
        found = find_account(accounts_of(opened), username)
        if not found.enabled:
            question = f"{username} is disabled, perhaps by an administrator. Enable the account as well?"
            desk.confirm(question, is_agreed=yes)
        with commit(opened.database, act) as database:
            Lockouts(database).unlock(username)
    desk.output.say(f"The failures of {username} are forgotten.")
    _tell_standing(desk, replace(found, enabled=True, face_enabled=True))


def _tell_standing(desk: Desk, account: Account) -> None:
    desk.output.say(f"{account.username} is {account_standing(account)}.")
    if account.enabled and not account.face_enabled:
        desk.output.say("Too many failures disabled the face factor: `4auth-provision user unlock` ends that.")
    desk.output.result({"user": account_document(account)})
