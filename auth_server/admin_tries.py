"""Wrong secrets of administrators at the command line, counted and locked as wrong passwords of people are."""

from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete

from auth_server.lockouts import LockedUntil, Lockouts
from auth_server.store.database import Database
from auth_server.store.models import LOCKOUTS

AT_THE_DESK: Final = "*desk"
"""Stands for the command line among the places in `lockouts`; no kiosk id can be spelt so."""

_FORGET = delete(LOCKOUTS).where(LOCKOUTS.c.username == bindparam("name"), LOCKOUTS.c.kiosk_id == AT_THE_DESK)


class AdminTries:
    """Five tries are free, then waits double from 30 s to an hour. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, name: str, now: datetime) -> datetime | None:
        """Count a try as a failure before it is judged; or return until when the name must wait.

        The person of that name is not kept from logging in at a kiosk by what happens here.
        """
        leave = Lockouts(self._database).reserve(username=name, kiosk_id=AT_THE_DESK, is_own_kiosk=False, now=now)
        return leave.until if isinstance(leave, LockedUntil) else None

    def succeeded(self, name: str) -> None:
        """Forget a name's failures here."""
        with self._database.transaction() as session:
            session.connection().execute(_FORGET, {"name": name})
