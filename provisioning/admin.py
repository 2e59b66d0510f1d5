"""`4auth-provision admin`: who administers the site, under which name, and what each may do."""

import click

from auth_server.accounts import Accounts
from auth_server.admins import Admin, Admins, Role
from auth_server.secret_codes import grouped
from provisioning.act import Act, commit, perform, refusals_recorded
from provisioning.desk import Desk, Site, pass_desk, shared_options, yes_option
from provisioning.errors import Refused
from provisioning.params import ADMIN_NAME

_ROLE = click.Choice([role.value for role in Role])


@click.group()
def admin() -> None:
    """Name administrators, each with a role and an own secret.

    An admin may do everything, and let people register at a kiosk. A supervisor approves recoveries at a
    kiosk, with the account of the same name, and may stop a change, a person or a kiosk. An auditor reads.

    \b
    Example:
      4auth-provision admin list
    """


@admin.command()
@click.argument("name", type=ADMIN_NAME)
@click.option("--role", type=_ROLE, required=True, help="What this administrator may do.")
@shared_options
@pass_desk
def add(desk: Desk, name: str, role: str) -> None:
    """Name an administrator; the secret is shown once. The first one is an admin.

    \b
    Example:
      4auth-provision admin add carla --role supervisor
    """
    act = Act("admin.admin.add", desk.now(), username=name, detail={"role": role})
    with desk.site() as opened:
        with perform(opened.database, act) as database:
            admins = Admins(database)
            if role != Role.ADMIN and not any(other.role is Role.ADMIN for other in admins.list()):
                raise Refused("there is no administrator with the role admin yet: add that one first")
            secret = admins.add(name, Role(role), act.now)
        has_account = _has_account(opened, name)
    desk.output.say(f"{name} is added, with the role {role}.")
    if role == Role.SUPERVISOR and not has_account:
        desk.output.say(f"There is no account {name} yet: only with one can {name} approve anything at a kiosk.")
    _hand_out(desk, Admin(name, Role(role), act.now), secret)


@admin.command("list")
@shared_options
@pass_desk
def list_(desk: Desk) -> None:
    """List all administrators.

    \b
    Example:
      4auth-provision admin list --json
    """
    with desk.site() as opened:
        admins = Admins(opened.database).list()
    desk.output.table(("NAME", "ROLE", "SINCE"), [(a.name, a.role.value, f"{a.created_at:%Y-%m-%d}") for a in admins])
    if not admins:
        desk.output.say("There is none yet: `4auth-provision admin add NAME --role admin` makes the first.")
    desk.output.result({"admins": [_document(a) for a in admins]})


@admin.command()
@click.argument("name", type=ADMIN_NAME)
@shared_options
@pass_desk
def show(desk: Desk, name: str) -> None:
    """Show one administrator; secrets are never shown.

    \b
    Example:
      4auth-provision admin show carla
    """
    with desk.site() as opened:
        found = _find(Admins(opened.database), name)
        has_account = _has_account(opened, name)
    for label, value in (
        ("name", found.name),
        ("role", found.role.value),
        ("since", found.created_at.isoformat(timespec="seconds")),
        ("account", "yes" if has_account else "none of this name"),
    ):
        desk.output.say(f"{label + ':':10}{value}")
    desk.output.result({"admin": {**_document(found), "has_account": has_account}})


@admin.command()
@click.argument("name", type=ADMIN_NAME)
@click.argument("role", type=_ROLE)
@shared_options
@pass_desk
def role(desk: Desk, name: str, role: str) -> None:
    """Give an administrator another role; the last admin keeps that one.

    \b
    Example:
      4auth-provision admin role carla auditor
    """
    act = Act("admin.admin.role", desk.now(), username=name, detail={"role": role})
    with desk.site() as opened, perform(opened.database, act) as database:
        admins = Admins(database)
        admins.set_role(name, Role(role))
        changed = _find(admins, name)
    desk.output.say(f"{name} has the role {role} now.")
    desk.output.result({"admin": _document(changed)})


@admin.command("renew-secret")
@click.argument("name", type=ADMIN_NAME)
@yes_option
@shared_options
@pass_desk
def renew_secret(desk: Desk, name: str, yes: bool) -> None:
    """Give an administrator a new secret, shown once; the present one ends.

    \b
    Example:
      4auth-provision admin renew-secret carla --yes
    """
    act = Act("admin.admin.renew-secret", desk.now(), username=name)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        found = _find(Admins(opened.database), name)
        desk.confirm(f"The present secret of {name} will be worth nothing. Make a new one?", is_agreed=yes)
        with commit(opened.database, act) as database:
            secret = Admins(database).renew_secret(name)
    _hand_out(desk, found, secret)


@admin.command()
@click.argument("name", type=ADMIN_NAME)
@yes_option
@shared_options
@pass_desk
def remove(desk: Desk, name: str, yes: bool) -> None:
    """Remove an administrator; an account of the same name stays. The last admin stays too.

    \b
    Example:
      4auth-provision admin remove carla --yes
    """
    act = Act("admin.admin.remove", desk.now(), username=name)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        _find(Admins(opened.database), name)
        desk.confirm(f"{name} will be no administrator any more. Remove?", is_agreed=yes)
        with commit(opened.database, act) as database:
            Admins(database).remove(name)
    desk.output.say(f"{name} is no administrator any more.")
    desk.output.result({"removed": name})


def _hand_out(desk: Desk, admin: Admin, secret: str) -> None:
    desk.output.say(f"The secret of {admin.name}, shown this once:")
    desk.output.say(f"  {grouped(secret)}")
    desk.output.result({"admin": {**_document(admin), "secret": grouped(secret)}})


def _find(admins: Admins, name: str) -> Admin:
    found = admins.find(name)
    if found is None:
        raise Refused(f"there is no administrator {name}: `4auth-provision admin list` tells who there is")
    return found


def _has_account(site: Site, name: str) -> bool:
    return Accounts(site.database, site.keyring.field, model="").find(name) is not None


def _document(admin: Admin) -> dict[str, object]:
    return {
        "name": admin.name,
        "role": admin.role.value,
        "created_at": admin.created_at.isoformat(timespec="seconds"),
    }
