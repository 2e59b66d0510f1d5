"""Enrolment tickets: a one-time leave to register under one name, at the kiosks that it names.

A ticket is spent by a conditional DELETE in the transaction that makes the account, so that of any
number of servers at once one makes one account.
"""

import builtins
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from auth_contract.fields import canonical_mac, canonical_username
from auth_server.errors import StoreError
from auth_server.secret_codes import RandomBytes, code_hash, new_ticket
from auth_server.store.database import Database
from auth_server.store.models import TICKETS, USERS

_COLUMNS = select(
    TICKETS.c.ticket_hash,
    TICKETS.c.username,
    TICKETS.c.invited_by,
    TICKETS.c.mac_addresses,
    TICKETS.c.expires_at,
)
_IS_ALIVE = TICKETS.c.expires_at > bindparam("now")
_FIND = _COLUMNS.where(TICKETS.c.ticket_hash == bindparam("hash"), _IS_ALIVE)
_LIST = _COLUMNS.where(_IS_ALIVE).order_by(TICKETS.c.username)
_HAS_ACCOUNT = select(USERS.c.username).where(USERS.c.username == bindparam("name"))
_ADD = insert(TICKETS)
_USE = delete(TICKETS).where(
    TICKETS.c.ticket_hash == bindparam("hash"), TICKETS.c.username == bindparam("name"), _IS_ALIVE
)
_REVOKE = delete(TICKETS).where(TICKETS.c.username == bindparam("name"))
_PRUNE = delete(TICKETS).where(TICKETS.c.expires_at <= bindparam("now"))


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket that may still be used; the ticket itself is stored as `ticket_hash` alone."""

    ticket_hash: str
    username: str
    invited_by: str
    mac_addresses: frozenset[str]
    expires_at: datetime


class Tickets:
    """All tickets. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database, random_bytes: RandomBytes = secrets.token_bytes) -> None:
        self._database = database
        self._random_bytes = random_bytes

    def invite(self, username: str, mac_addresses: Collection[str], by: str, now: datetime, ttl: timedelta) -> str:
        """Store a new ticket for a name, in the place of an older one, and return it: it cannot be read again.

        Raises ValueError for a name, MAC or `ttl` of the wrong form, StoreError for a name that has an account.
        """
        if ttl <= timedelta(0):
            raise ValueError(f"a ticket is good for a time above 0, not {ttl}")
        name, ticket = canonical_username(username), new_ticket(self._random_bytes)
        values = {
            "ticket_hash": code_hash(ticket),
            "username": name,
            "invited_by": by[:64],
            "mac_addresses": sorted({canonical_mac(mac) for mac in mac_addresses}),
            "created_at": now,
            "expires_at": now + ttl,
        }
        with self._database.transaction() as session:
            connection = session.connection()
            if connection.execute(_HAS_ACCOUNT, {"name": name}).first() is not None:
                raise StoreError(f"there is an account {name!r} already: nobody can register under this name")
            connection.execute(_REVOKE, {"name": name})
            connection.execute(_ADD, values)
        return ticket

    def find(self, ticket: str, now: datetime) -> Ticket | None:
        """Return the ticket that was typed, or None: also where it has expired or cannot be one."""
        try:
            wanted = code_hash(ticket)
        except ValueError:
            return None
        with self._database.read() as session:
            row = session.connection().execute(_FIND, {"hash": wanted, "now": now}).one_or_none()
        return None if row is None else _ticket(row)

    def use(self, session: Session, ticket_hash: str, username: str, now: datetime) -> bool:
        """Spend a ticket in the transaction that makes its account.

        False when it was spent, revoked or replaced since it was read, has expired, or is another name's:
        then no account may be made.
        """
        values = {"hash": ticket_hash, "name": username, "now": now}
        return session.connection().execute(_USE, values).rowcount == 1

    def list(self, now: datetime) -> builtins.list[Ticket]:
        """Return the tickets that may still be used, by name."""
        with self._database.read() as session:
            return [_ticket(row) for row in session.connection().execute(_LIST, {"now": now})]

    def revoke(self, username: str) -> bool:
        """Forget a name's ticket; False when it has none."""
        with self._database.transaction() as session:
            return session.connection().execute(_REVOKE, {"name": username}).rowcount == 1

    def prune(self, now: datetime) -> int:
        """Forget expired tickets; returns how many. No answer depends on when it runs."""
        with self._database.transaction() as session:
            return session.connection().execute(_PRUNE, {"now": now}).rowcount


def _ticket(row: Sequence[Any]) -> Ticket:
    ticket_hash, username, invited_by, mac_addresses, expires_at = row
    return Ticket(ticket_hash, username, invited_by, frozenset(mac_addresses), expires_at)
