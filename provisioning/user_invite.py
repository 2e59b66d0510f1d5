"""`4auth-provision user invite`: tickets with which people register themselves at a kiosk, once."""

from collections.abc import Mapping
from datetime import timedelta

import click

from auth_server.kiosks import Kiosks
from auth_server.secret_codes import grouped
from auth_server.tickets import Ticket, Tickets
from provisioning.act import Act, author, commit, perform, refusals_recorded
from provisioning.desk import Desk, pass_desk, shared_options, yes_option
from provisioning.errors import Refused
from provisioning.kiosk_lookup import mac_of
from provisioning.params import KIOSK_ID, USERNAME


@click.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@click.option("--kiosk", "kiosk_ids", type=KIOSK_ID, multiple=True, required=True, help="Where the person may log in.")
@click.option("--hours", type=click.IntRange(1, 720), default=24, show_default=True, help="How long it is good for.")
@shared_options
@pass_desk
def invite(desk: Desk, username: str, kiosk_ids: tuple[str, ...], hours: int) -> None:
    """Make a ticket with which a person registers at a kiosk; it is shown once and used once.

    An older ticket of that name ends.

    \b
    Example:
      4auth-provision user invite ann --kiosk lobby-1 --hours 24
    """
    ttl = timedelta(hours=hours)
    detail = {"kiosks": sorted(set(kiosk_ids)), "hours": hours}
    act = Act("admin.user.invite", desk.now(), username=username, detail=detail)
    with desk.site() as opened, perform(opened.database, act) as database:
        kiosks = Kiosks(database)
        macs = {_mac(kiosks, kiosk_id) for kiosk_id in kiosk_ids}
        ticket = Tickets(database).invite(username, macs, author(), act.now, ttl)
    ends = (act.now + ttl).isoformat(timespec="seconds")
    desk.output.say(f"The ticket of {username}, shown this once, good until {ends}:")
    desk.output.say(f"  {grouped(ticket)}")
    desk.output.result(
        {"username": username, "ticket": grouped(ticket), "kiosks": detail["kiosks"], "expires_at": ends}
    )


@click.command()
@shared_options
@pass_desk
def invites(desk: Desk) -> None:
    """List the tickets that may still be used; the tickets themselves cannot be shown again.

    \b
    Example:
      4auth-provision user invites --json
    """
    with desk.site() as opened:
        tickets = Tickets(opened.database).list(desk.now())
        names = Kiosks(opened.database).macs()
    documents = [_document(ticket, names) for ticket in tickets]
    desk.output.table(
        ("NAME", "KIOSKS", "INVITED BY", "GOOD UNTIL"),
        [(t.username, ", ".join(_places(t, names)), t.invited_by, t.expires_at.isoformat()[:19]) for t in tickets],
    )
    desk.output.result({"invites": documents})


@click.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@yes_option
@shared_options
@pass_desk
def uninvite(desk: Desk, username: str, yes: bool) -> None:
    """Take a person's ticket back: it can be used no more.

    \b
    Example:
      4auth-provision user uninvite ann --yes
    """
    act = Act("admin.user.uninvite", desk.now(), username=username)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        if username not in {ticket.username for ticket in Tickets(opened.database).list(act.now)}:
            raise Refused(f"{username} has no ticket: `4auth-provision user invites` tells who has one")
        desk.confirm(f"The ticket of {username} will be worth nothing. Take it back?", is_agreed=yes)
        with commit(opened.database, act) as database:
            Tickets(database).revoke(username)
    desk.output.say(f"The ticket of {username} is worth nothing any more.")
    desk.output.result({"uninvited": username})


def _mac(kiosks: Kiosks, kiosk_id: str) -> str:
    found = kiosks.find(kiosk_id)
    if found is None or not found.enabled:
        what = "there is no kiosk" if found is None else "disabled is kiosk"
        raise Refused(f"{what} {kiosk_id}: `4auth-provision kiosk list` tells which there are")
    return mac_of(found)


def _places(ticket: Ticket, names: Mapping[str, str]) -> list[str]:
    return sorted(names.get(mac, mac) for mac in ticket.mac_addresses)


def _document(ticket: Ticket, names: Mapping[str, str]) -> dict[str, object]:
    return {
        "username": ticket.username,
        "kiosks": _places(ticket, names),
        "invited_by": ticket.invited_by,
        "expires_at": ticket.expires_at.isoformat(timespec="seconds"),
    }
