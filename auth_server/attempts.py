"""Attempts and request nonces: each may be used once, by the kiosk it belongs to, for a while.

Using one is a single statement with its condition in the WHERE, so that of any number of
submissions at one moment exactly one is let through.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, exists, insert, literal, select, update
from sqlalchemy.orm import Session

from auth_contract.actions import Action, Movement
from auth_contract.limits import ATTEMPT_TTL_S, CLOCK_SKEW_MAX_S
from auth_server.domain import Attempt
from auth_server.errors import AttemptRefused, KioskRefused
from auth_server.store.database import Database
from auth_server.store.models import ATTEMPTS, REQUEST_NONCES
from auth_server.store.types import UtcDateTime

NONCE_KEPT_S: Final = 2 * CLOCK_SKEW_MAX_S + 60
"""A signature made 120 s ahead of our clock stays fresh for twice that; a minute more is spare."""

ATTEMPT_KEPT_S: Final = 3600
"""How long an expired attempt is kept, so that a late submission is told `expired` or `used`."""

_COLUMNS = (
    ATTEMPTS.c.attempt_id,
    ATTEMPTS.c.kiosk_id,
    ATTEMPTS.c.action,
    ATTEMPTS.c.nonce,
    ATTEMPTS.c.opened_at,
    ATTEMPTS.c.expires_at,
    ATTEMPTS.c.used_at,
    ATTEMPTS.c.movements,
)
_OPEN = insert(ATTEMPTS)
_FIND = select(*_COLUMNS).where(ATTEMPTS.c.nonce == bindparam("wanted"))
_CONSUME = (
    update(ATTEMPTS)
    .where(
        ATTEMPTS.c.nonce == bindparam("wanted"),
        ATTEMPTS.c.kiosk_id == bindparam("by_kiosk"),
        ATTEMPTS.c.action == bindparam("for_action"),
        ATTEMPTS.c.used_at.is_(None),
        ATTEMPTS.c.expires_at > bindparam("now"),
    )
    .values(used_at=bindparam("now"))
    .returning(*_COLUMNS)
)
_PRUNE_ATTEMPTS = delete(ATTEMPTS).where(ATTEMPTS.c.expires_at < bindparam("before"))
_PRUNE_NONCES = delete(REQUEST_NONCES).where(REQUEST_NONCES.c.expires_at < bindparam("before"))
_IS_NEW_NONCE = ~exists().where(
    REQUEST_NONCES.c.kiosk_id == bindparam("new_kiosk"), REQUEST_NONCES.c.nonce == bindparam("new_nonce")
)
_REMEMBER = insert(REQUEST_NONCES).from_select(
    ["kiosk_id", "nonce", "expires_at"],
    select(
        bindparam("new_kiosk", type_=REQUEST_NONCES.c.kiosk_id.type),
        bindparam("new_nonce", type_=REQUEST_NONCES.c.nonce.type),
        bindparam("until", type_=UtcDateTime()),
    ).where(_IS_NEW_NONCE, literal(True)),
)


def remember_nonce(store: Database | Session, kiosk_id: str, nonce: str, now: datetime) -> None:
    """Note that a kiosk has signed with this nonce, in the caller's transaction or one of its own.

    Raises KioskRefused when it did so before.
    """
    if isinstance(store, Database):
        with store.transaction() as session:
            return remember_nonce(session, kiosk_id, nonce, now)
    until = now + timedelta(seconds=NONCE_KEPT_S)
    values = {"new_kiosk": kiosk_id, "new_nonce": nonce, "until": until}
    if store.connection().execute(_REMEMBER, values).rowcount != 1:
        raise KioskRefused("replayed: this request was received before", kiosk_id=kiosk_id)
    return None


class Attempts:
    """The opened attempts of all kiosks. `new_token` gives 128 random bits as 22 characters.

    Methods raise StoreError when the store fails.
    """

    def __init__(self, database: Database, new_token: Callable[[], str]) -> None:
        self._database = database
        self._new_token = new_token

    def open(
        self,
        *,
        kiosk_id: str,
        action: Action,
        now: datetime,
        request_nonce: str | None = None,
        movements: tuple[Movement, ...] = (),
    ) -> Attempt:
        """Open an attempt for 60 s, with the movements that were drawn for it.

        A `request_nonce` is remembered in the same transaction.

        Raises KioskRefused when that nonce was used before.
        """
        expires_at = now + timedelta(seconds=ATTEMPT_TTL_S)
        attempt = Attempt(self._new_token(), kiosk_id, action, self._new_token(), now, expires_at, movements=movements)
        values = {
            "attempt_id": attempt.attempt_id,
            "kiosk_id": kiosk_id,
            "action": action.value,
            "nonce": attempt.nonce,
            "opened_at": now,
            "expires_at": expires_at,
            "used_at": None,
            "movements": [movement.value for movement in movements],
        }
        with self._database.transaction() as session:
            if request_nonce is not None:
                remember_nonce(session, kiosk_id, request_nonce, now)
            session.connection().execute(_OPEN, values)
        return attempt

    def remember_nonce(self, kiosk_id: str, nonce: str, now: datetime) -> None:
        """Note that a kiosk has signed with this nonce. Raises KioskRefused when it did so before."""
        remember_nonce(self._database, kiosk_id, nonce, now)

    def consume(self, *, kiosk_id: str, nonce: str, action: Action, now: datetime) -> Attempt:
        """Use the attempt of this nonce, once and for all, and return it.

        Raises AttemptRefused, with a detail that says `unknown`, `foreign`, `expired` or `used`, and
        leaves the attempt as it was.
        """
        values = {"wanted": nonce, "by_kiosk": kiosk_id, "for_action": action.value, "now": now}
        with self._database.transaction() as session:
            connection = session.connection()
            row = connection.execute(_CONSUME, values).one_or_none()
            if row is None:
                raise _refusal(connection, kiosk_id, nonce, action)
        return _attempt(row)

    def prune(self, now: datetime) -> int:
        """Forget nonces whose signature is stale and attempts long expired; returns how many."""
        with self._database.transaction() as session:
            connection = session.connection()
            kept_from = now - timedelta(seconds=ATTEMPT_KEPT_S)
            attempts = connection.execute(_PRUNE_ATTEMPTS, {"before": kept_from}).rowcount
            return attempts + connection.execute(_PRUNE_NONCES, {"before": now}).rowcount


def _attempt(row: Sequence[Any]) -> Attempt:
    attempt_id, kiosk_id, action, nonce, opened_at, expires_at, used_at, movements = row
    drawn = tuple(map(Movement, movements))
    return Attempt(attempt_id, kiosk_id, Action(action), nonce, opened_at, expires_at, used_at, drawn)


def _refusal(connection: Connection, kiosk_id: str, nonce: str, action: Action) -> AttemptRefused:
    row = connection.execute(_FIND, {"wanted": nonce}).one_or_none()
    if row is None:
        return AttemptRefused("no attempt has this nonce", attempt="unknown")
    found = _attempt(row)
    if found.kiosk_id != kiosk_id:
        return AttemptRefused(
            "the attempt was opened by another kiosk",
            attempt="foreign",
            attempt_id=found.attempt_id,
            opened_by=found.kiosk_id,
        )
    if found.action is not action:
        return AttemptRefused(
            f"the attempt was opened to {found.action.value}", attempt="foreign", attempt_id=found.attempt_id
        )
    if found.used_at is not None:
        return AttemptRefused(
            "the attempt was used before",
            attempt="used",
            attempt_id=found.attempt_id,
            used_at=found.used_at.isoformat(),
        )
    return AttemptRefused(
        "the attempt has expired",
        attempt="expired",
        attempt_id=found.attempt_id,
        expired_at=found.expires_at.isoformat(),
    )
