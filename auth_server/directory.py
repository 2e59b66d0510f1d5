"""The accounts of a site a page at a time, so that a hundred thousand of them fit in any memory.

Each page is a transaction of its own: a long list holds no older state of the store.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, not_, or_, select
from sqlalchemy.sql.elements import ColumnElement

from auth_server.accounts import Account
from auth_server.lockout import ACCOUNT_DISABLED_FROM, FREE_FAILURES, LONGEST_WAIT_S
from auth_server.lockout_report import failures_of
from auth_server.store.database import Database
from auth_server.store.models import (
    ANYWHERE_IN_A_ROW,
    CHANGES,
    LOCKOUTS,
    THROUGH_GATEWAYS_IN_A_ROW,
    USER_DEVICES,
    USER_KEYS,
    USERS,
)

PAGE: Final = 1000

_ACCOUNTS = select(
    USERS.c.username, USERS.c.enabled, USERS.c.face_enabled, USERS.c.face_model, USERS.c.created_at
).order_by(USERS.c.username)
_AFTER = USERS.c.username > bindparam("after")
_IS_DISABLED = or_(not_(USERS.c.enabled), not_(USERS.c.face_enabled))
_HAS_CHANGE = USERS.c.username.in_(
    select(CHANGES.c.username).where(or_(CHANGES.c.in_force_at.is_not(None), CHANGES.c.expires_at > bindparam("now")))
)
_MAY_WAIT = USERS.c.username.in_(
    select(LOCKOUTS.c.username).where(
        or_(
            # Times ahead of now are in it: where a clock was set back, waiting begins again.
            (LOCKOUTS.c.failures >= FREE_FAILURES) & (LOCKOUTS.c.last_failure_at > bindparam("since")),
            LOCKOUTS.c.kiosk_id.in_((ANYWHERE_IN_A_ROW, THROUGH_GATEWAYS_IN_A_ROW))
            & (LOCKOUTS.c.failures >= ACCOUNT_DISABLED_FROM),
        ),
    )
)
_DEVICES = select(USER_DEVICES.c.username, USER_DEVICES.c.mac_address).where(
    USER_DEVICES.c.username.in_(bindparam("names", expanding=True))
)
_CHANGED_AT = select(USER_KEYS.c.factors_changed_at).where(USER_KEYS.c.username == bindparam("name"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which accounts to list, those after a name; every condition that is set must hold.

    Disabled are those that an administrator or failures disabled, their face or whole; locked are
    those that must wait now, at one kiosk at least; pending are those with a change under way.
    """

    after: str = ""
    is_disabled: bool = False
    is_locked: bool = False
    is_pending: bool = False


class Directory:
    """All accounts by name. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database, page: int = PAGE) -> None:
        self._database = database
        self._page = page

    def pages(self, wanted: Wanted, now: datetime) -> Iterator[list[Account]]:
        """Give the accounts that are wanted, by name, a page of them at a time; no page is empty."""
        after, size = wanted.after, self._page
        while size == self._page:
            found = self._next(wanted, after, now)
            size, after = len(found), found[-1].username if found else after
            if wanted.is_locked:
                found = self._locked(found, now)
            if found:
                yield found

    def factors_changed_at(self, username: str) -> datetime | None:
        """Return when a factor of an account was last replaced, or the account made; None for no account."""
        with self._database.read() as session:
            return session.connection().execute(_CHANGED_AT, {"name": username}).scalar_one_or_none()

    def _next(self, wanted: Wanted, after: str, now: datetime) -> list[Account]:
        statement = _ACCOUNTS.where(_AFTER, *_conditions(wanted)).limit(self._page)
        values = {"after": after, "now": now, "since": now - timedelta(seconds=LONGEST_WAIT_S)}
        with self._database.read() as session:
            connection = session.connection()
            rows = connection.execute(statement, values).all()
            devices = connection.execute(_DEVICES, {"names": [row[0] for row in rows]}).all()
        macs: dict[str, set[str]] = {}
        for name, mac in devices:
            macs.setdefault(name, set()).add(mac)
        return [_account(row, macs.get(row[0], set())) for row in rows]

    def _locked(self, found: list[Account], now: datetime) -> list[Account]:
        failures = failures_of(self._database, [account.username for account in found], now)
        return [a for a in found if any(place.is_locked() for place in failures.get(a.username, ()))]


def _conditions(wanted: Wanted) -> list[ColumnElement[bool]]:
    asked = (
        (wanted.is_disabled, _IS_DISABLED),
        (wanted.is_locked, _MAY_WAIT),
        (wanted.is_pending, _HAS_CHANGE),
    )
    return [condition for is_asked, condition in asked if is_asked]


def _account(row: Sequence[Any], macs: set[str]) -> Account:
    name, enabled, face_enabled, model, created_at = row
    return Account(
        username=name,
        enabled=enabled,
        face_enabled=face_enabled,
        face_model=model,
        mac_addresses=frozenset(macs),
        created_at=created_at,
    )
