"""`4auth-provision user show`: all that is known of one person, and no secret."""

from dataclasses import dataclass
from datetime import datetime

import click

from auth_contract.actions import Movement
from auth_server.account_faces import Held
from auth_server.accounts import Account
from auth_server.changes import Change
from auth_server.directory import Directory
from auth_server.exemptions import Exemptions
from auth_server.gateway_names import GatewayNames
from auth_server.kiosks import Kiosks
from auth_server.lockout_report import Failures, failures_of
from auth_server.tickets import Ticket, Tickets
from provisioning.desk import Desk, Site, pass_desk, shared_options
from provisioning.params import USERNAME
from provisioning.user_document import (
    account_document,
    account_standing,
    change_document,
    change_waits,
    failures_document,
    failures_sentence,
)
from provisioning.user_lookup import accounts_of, changes_of, no_account, places
from provisioning.user_set import words_of


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a name; it has an account, or a ticket or a registration that is under way."""

    account: Account | None
    changed_at: datetime | None
    exempt_from: frozenset[Movement]
    further: tuple[Held, ...]
    failures: tuple[Failures, ...]
    change: Change | None
    ticket: Ticket | None
    is_allowed: bool
    """Whether the name may come through a gateway."""


@click.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@shared_options
@pass_desk
def show(desk: Desk, username: str) -> None:
    """Show what is known of one person, also of one who is invited only; secrets are never shown.

    \b
    Example:
      4auth-provision user show ann
    """
    with desk.site() as opened:
        known = _known(opened, username, desk.now())
        if known.account is None and known.change is None and known.ticket is None:
            raise no_account(username)
        names = Kiosks(opened.database).macs()
    for name, value in _lines(username, known, names):
        desk.output.say(f"{name + ':' if name else '':16}{value}")
    desk.output.result(_document(known, names))


def _known(site: Site, username: str, now: datetime) -> _Known:
    change = changes_of(site).pending(username)
    tickets = Tickets(site.database).list(now)
    return _Known(
        account=accounts_of(site).find(username),
        changed_at=Directory(site.database).factors_changed_at(username),
        exempt_from=Exemptions(site.database).of(username),
        further=accounts_of(site).templates(username)[1:],
        failures=failures_of(site.database, [username], now).get(username, ()),
        change=change if change is not None and is_alive(change, now) else None,
        is_allowed=GatewayNames(site.database).lists(username),
        ticket=next((ticket for ticket in tickets if ticket.username == username), None),
    )


def is_alive(change: Change, now: datetime) -> bool:
    """Whether a pending change may still be put in force; one that has expired is only not yet forgotten."""
    return change.in_force_at is not None or change.expires_at > now


def _lines(username: str, known: _Known, names: dict[str, str]) -> list[tuple[str, str]]:
    account = known.account
    lines = [("name", username), ("standing", account_standing(account) if account else "no account yet")]
    if account is not None:
        lines += [
            ("kiosks", places(account, names)),
            ("face model", account.face_model),
            *(("", f"{one.model}, {one.kind} {one.made_at:%Y-%m-%d}") for one in known.further if one.made_at),
            *([("never asked to", words_of(known.exempt_from))] if known.exempt_from else []),
            ("since", account.created_at.isoformat(timespec="seconds")),
            ("factors since", known.changed_at.isoformat(timespec="seconds") if known.changed_at else "-"),
        ]
    if known.is_allowed:
        lines.append(("gateway", "may come through one"))
    lines += [("failures" if number == 0 else "", failures_sentence(f)) for number, f in enumerate(known.failures)]
    if known.change is not None:
        change = known.change
        lines.append(("pending", f"{change.action.value} at kiosk {change.kiosk_id}, {change_waits(change)}"))
    if known.ticket is not None:
        lines.append(("invited", f"by {known.ticket.invited_by}, until {known.ticket.expires_at:%Y-%m-%d %H:%M:%SZ}"))
    return lines


def _document(known: _Known, names: dict[str, str]) -> dict[str, object]:
    account, ticket = known.account, known.ticket
    changed_at = known.changed_at and known.changed_at.isoformat(timespec="seconds")
    return {
        "user": None
        if account is None
        else account_document(account)
        | {"factors_changed_at": changed_at, "exempt_from": sorted(known.exempt_from)}
        | {"further_templates": [_template(held) for held in known.further]},
        "gateway_allowed": known.is_allowed,
        "failures": [failures_document(failures) for failures in known.failures],
        "pending_change": None if known.change is None else change_document(known.change),
        "invitation": ticket
        and {
            "invited_by": ticket.invited_by,
            "expires_at": ticket.expires_at.isoformat(timespec="seconds"),
            "kiosks": sorted(names.get(mac, mac) for mac in ticket.mac_addresses),
        },
    }


def _template(held: Held) -> dict[str, object]:
    made_at = held.made_at and held.made_at.isoformat(timespec="seconds")
    return {"model": held.model, "kind": held.kind, "made_at": made_at}
