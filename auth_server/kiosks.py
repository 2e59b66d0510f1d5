"""Registered kiosks: their keys, their addresses, their standing and when they were last seen."""

import builtins
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter
from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from auth_contract.fields import KioskId, canonical_mac
from auth_contract.messages import KioskState
from auth_server.domain import Kiosk
from auth_server.errors import StoreError
from auth_server.store.database import Database
from auth_server.store.models import KIOSKS

_COLUMNS = select(
    KIOSKS.c.kiosk_id,
    KIOSKS.c.public_key,
    KIOSKS.c.mac_address,
    KIOSKS.c.enabled,
    KIOSKS.c.last_seen_at,
    KIOSKS.c.agent_version,
    KIOSKS.c.faults,
    KIOSKS.c.state,
)
_FIND = _COLUMNS.where(KIOSKS.c.kiosk_id == bindparam("wanted"))
_WITH_MAC = select(KIOSKS.c.kiosk_id).where(KIOSKS.c.mac_address == bindparam("mac"))
_LIST = _COLUMNS.order_by(KIOSKS.c.kiosk_id)
_ADD = insert(KIOSKS)
_ENABLE = update(KIOSKS).where(KIOSKS.c.kiosk_id == bindparam("wanted")).values(enabled=bindparam("enabled"))
_SEEN = (
    update(KIOSKS)
    .where(KIOSKS.c.kiosk_id == bindparam("wanted"))
    .values(
        last_seen_at=bindparam("now"),
        agent_version=bindparam("version"),
        faults=bindparam("reported"),
        state=bindparam("told"),
    )
)
_KIOSK_ID = TypeAdapter[str](KioskId)


class Kiosks:
    """The kiosks that the store knows. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def find(self, kiosk_id: str) -> Kiosk | None:
        """Return a kiosk, enabled or not, or None when there is none of this id."""
        with self._database.read() as session:
            row = session.connection().execute(_FIND, {"wanted": kiosk_id}).one_or_none()
        return None if row is None else _kiosk(row)

    def list(self) -> builtins.list[Kiosk]:
        """Return all kiosks by id."""
        with self._database.read() as session:
            return [_kiosk(row) for row in session.connection().execute(_LIST)]

    def add(self, kiosk_id: str, public_key: bytes, mac: str | None) -> Kiosk:
        """Register a kiosk by its raw Ed25519 public key and return it, enabled; a gateway has no MAC.

        Raises ValueError for an id, key or MAC of the wrong form, StoreError for an id in use.
        """
        kiosk = Kiosk(
            _KIOSK_ID.validate_python(kiosk_id), public_key, None if mac is None else canonical_mac(mac), enabled=True
        )
        if len(public_key) != 32:
            raise ValueError(f"an Ed25519 public key has 32 bytes, this one has {len(public_key)}")
        values: dict[str, object] = {
            "kiosk_id": kiosk.kiosk_id,
            "public_key": public_key,
            "mac_address": kiosk.mac_address,
            "enabled": True,
            "faults": [],
            "state": {},
        }
        with self._database.transaction() as session:
            connection = session.connection()
            if connection.execute(_FIND, {"wanted": kiosk.kiosk_id}).first() is not None:
                raise StoreError(f"kiosk {kiosk.kiosk_id!r} is registered already: choose another id")
            connection.execute(_ADD, values)
        return kiosk

    @staticmethod
    def has_mac(session: Session, mac_address: str) -> bool:
        """Whether a kiosk, enabled or not, has this MAC, as the caller's transaction sees it."""
        return session.connection().execute(_WITH_MAC, {"mac": mac_address}).first() is not None

    def macs(self) -> dict[str, str]:
        """Return the kiosk of each MAC; where an enabled and a disabled one share it, the enabled one."""
        listed = sorted(self.list(), key=lambda kiosk: kiosk.enabled)
        return {kiosk.mac_address: kiosk.kiosk_id for kiosk in listed if kiosk.mac_address is not None}

    def set_enabled(self, kiosk_id: str, enabled: bool) -> bool:
        """Let a kiosk in or shut it out from its next request on; False when it is not registered."""
        with self._database.transaction() as session:
            changed = session.connection().execute(_ENABLE, {"wanted": kiosk_id, "enabled": enabled})
            return changed.rowcount == 1

    def record_heartbeat(
        self,
        session: Session,
        kiosk_id: str,
        now: datetime,
        agent_version: str,
        faults: Sequence[str],
        state: KioskState | None = None,
    ) -> bool:
        """Note in the caller's transaction that a kiosk is alive; true when it reports other faults than before."""
        connection = session.connection()
        known = connection.execute(_FIND, {"wanted": kiosk_id}).one()
        told = {} if state is None else state.model_dump(mode="json", exclude_none=True)
        values = {"wanted": kiosk_id, "now": now, "version": agent_version, "reported": list(faults), "told": told}
        connection.execute(_SEEN, values)
        return _kiosk(known).faults != tuple(faults)


def _kiosk(row: Sequence[Any]) -> Kiosk:
    kiosk_id, public_key, mac_address, enabled, last_seen_at, agent_version, faults, state = row
    return Kiosk(kiosk_id, public_key, mac_address, enabled, last_seen_at, agent_version, tuple(faults), state)
