"""A kiosk whose card died or was stolen gets a new device key, and keeps its id and its people.

All of it in the caller's transaction: from its commit on the old key opens nothing, and what was under
way with it has ended.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Executable, bindparam, delete, exists, select, update
from sqlalchemy.orm import Session

from auth_server.changes import Change, Changes
from auth_server.store.models import ATTEMPTS, KIOSKS, TICKETS, USER_DEVICES, USER_KEYS

_REPLACE = (
    update(KIOSKS)
    .where(KIOSKS.c.kiosk_id == bindparam("kiosk"))
    # What the old machine reported says nothing of the new one.
    .values(public_key=bindparam("key"), mac_address=bindparam("mac"), last_seen_at=None, agent_version=None, faults=[])
)
_END_ATTEMPTS = (
    update(ATTEMPTS)
    .where(ATTEMPTS.c.kiosk_id == bindparam("kiosk"), ATTEMPTS.c.used_at.is_(None))
    .values(used_at=bindparam("now"))
)
_BOUND = select(USER_DEVICES.c.username).where(USER_DEVICES.c.mac_address == bindparam("old"))
_NOTE_CHANGE = update(USER_KEYS).where(USER_KEYS.c.username.in_(_BOUND)).values(factors_changed_at=bindparam("now"))
_OTHER = USER_DEVICES.alias("other")
_DROP_DOUBLES = delete(USER_DEVICES).where(
    USER_DEVICES.c.mac_address == bindparam("old"),
    exists().where(_OTHER.c.username == USER_DEVICES.c.username, _OTHER.c.mac_address == bindparam("mac")),
)
_MOVE = update(USER_DEVICES).where(USER_DEVICES.c.mac_address == bindparam("old")).values(mac_address=bindparam("mac"))
_TICKETS = select(TICKETS.c.ticket_hash, TICKETS.c.mac_addresses)
_SET_TICKET = update(TICKETS).where(TICKETS.c.ticket_hash == bindparam("hash")).values(mac_addresses=bindparam("macs"))


@dataclass(frozen=True, slots=True)
class NewMachine:
    """A kiosk's new key and MAC, and the MAC that it had; a gateway has none."""

    kiosk_id: str
    public_key: bytes
    mac_address: str | None
    old_mac_address: str | None


def bound_to(session: Session, mac_address: str | None) -> list[str]:
    """Return who may log in at a device, by name."""
    return sorted(session.connection().execute(_BOUND, {"old": mac_address}).scalars())


def replace_machine(session: Session, new: NewMachine, now: datetime) -> int:
    """Give a kiosk its new key and MAC and use up its open attempts; returns how many those were.

    With another MAC, whoever was bound to the old one is bound to the new one, and so are the tickets.
    """
    ended = _count(session, _END_ATTEMPTS, {"kiosk": new.kiosk_id, "now": now})
    key = {"kiosk": new.kiosk_id, "key": new.public_key, "mac": new.mac_address}
    _count(session, _REPLACE, key)
    if new.mac_address is not None and new.mac_address != new.old_mac_address:
        macs = {"old": new.old_mac_address, "mac": new.mac_address}
        _count(session, _NOTE_CHANGE, {"old": new.old_mac_address, "now": now})
        _count(session, _DROP_DOUBLES, macs)
        _count(session, _MOVE, macs)
        _move_tickets(session, new)
    return ended


def move_change(changes: Changes, session: Session, change: Change, new: NewMachine) -> None:
    """Let a pending change bind to the new MAC where it was to bind to the old."""
    macs = change.new.mac_addresses
    if macs is not None and new.old_mac_address in macs:
        moved = replace(change.new, mac_addresses=_moved(macs, new))
        changes.put(session, replace(change, new=moved))


def _move_tickets(session: Session, new: NewMachine) -> None:
    for ticket_hash, macs in session.connection().execute(_TICKETS).all():
        if new.old_mac_address in macs:
            values = {"hash": ticket_hash, "macs": sorted(_moved(frozenset(macs), new))}
            _count(session, _SET_TICKET, values)


def _moved(macs: frozenset[str], new: NewMachine) -> frozenset[str]:
    return macs if new.mac_address is None else macs - {new.old_mac_address} | {new.mac_address}


def _count(session: Session, statement: Executable, values: Mapping[str, object]) -> int:
    return session.connection().execute(statement, values).rowcount
