"""Stored failure counters. A failure is counted before the factors run, and taken back if it was none.

So parallel guesses cannot outrun the limit, and a crash leaves a counted failure. Names that no
account has are counted like all others, and what a wait depends on is forgotten alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, and_, bindparam, case, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from auth_server.accounts import Accounts
from auth_server.lockout import (
    CLOSED_FOR_S,
    FORGOTTEN_AFTER_S,
    LONGEST_WAIT_S,
    Counter,
    Counters,
    Ruling,
    decide,
    is_forgotten,
)
from auth_server.store.database import Database
from auth_server.store.models import (
    ANYWHERE,
    ANYWHERE_IN_A_ROW,
    IN_A_ROW,
    LOCKOUTS,
    OVER_ALL,
    THROUGH_GATEWAYS,
    THROUGH_GATEWAYS_IN_A_ROW,
    USERS,
)
from auth_server.store.types import UtcDateTime

CLOCK_STEP_S: Final = 60
"""A last failure further ahead of now than this was counted before the clock was set back; one
nearer was counted by a request that read the clock later and came first."""

REGISTRATIONS: Final = "*register"
"""The name under which a kiosk's failed registrations count; no account can have it."""

_OWN: Final = (OVER_ALL, IN_A_ROW)
_ELSEWHERE: Final = (ANYWHERE, ANYWHERE_IN_A_ROW)
_GATEWAYS: Final = (THROUGH_GATEWAYS, THROUGH_GATEWAYS_IN_A_ROW)
_CLOSING: Final = (ANYWHERE_IN_A_ROW, THROUGH_GATEWAYS_IN_A_ROW)
"""Counts in a row of names with an account or without, which close what was tried for so long as a year."""

_FOR_NAME = LOCKOUTS.c.username == bindparam("name")
_ONE = (_FOR_NAME, LOCKOUTS.c.kiosk_id == bindparam("place"))
_COUNTERS = select(
    LOCKOUTS.c.kiosk_id, LOCKOUTS.c.failures, LOCKOUTS.c.first_failure_at, LOCKOUTS.c.last_failure_at
).where(_FOR_NAME, LOCKOUTS.c.kiosk_id.in_([bindparam("place"), *_OWN, *_ELSEWHERE, *_GATEWAYS]))
_FIRST = insert(LOCKOUTS)
_COUNT = update(LOCKOUTS).where(*_ONE).values(failures=LOCKOUTS.c.failures + 1, last_failure_at=bindparam("last"))
_MEND_CLOCK = (
    update(LOCKOUTS)
    .where(_FOR_NAME, LOCKOUTS.c.last_failure_at > bindparam("latest"))
    .values(last_failure_at=bindparam("now"))
)
_RELEASE = (
    update(LOCKOUTS)
    .where(*_ONE, LOCKOUTS.c.first_failure_at == bindparam("first"))
    .values(
        failures=LOCKOUTS.c.failures - 1,
        last_failure_at=case(
            # Without its type it would be stored in another form, which does not sort as time does.
            (LOCKOUTS.c.last_failure_at == bindparam("counted_at"), bindparam("previous", type_=UtcDateTime())),
            else_=LOCKOUTS.c.last_failure_at,
        ),
    )
)
_DROP_EMPTY = delete(LOCKOUTS).where(_FOR_NAME, LOCKOUTS.c.failures <= 0)
_CLEAR = delete(LOCKOUTS).where(_FOR_NAME, LOCKOUTS.c.kiosk_id.in_([bindparam("place"), *_OWN]))
_CLEAR_GATEWAYS = delete(LOCKOUTS).where(_FOR_NAME, LOCKOUTS.c.kiosk_id.in_([bindparam("place"), *_GATEWAYS]))
_CLEAR_ALL = delete(LOCKOUTS).where(_FOR_NAME)
_FORGET = delete(LOCKOUTS).where(*_ONE)
_HAS_NO_ACCOUNT = LOCKOUTS.c.username.not_in(select(USERS.c.username))
_IS_OLD = LOCKOUTS.c.last_failure_at < bindparam("before")
_PRUNE = delete(LOCKOUTS).where(
    or_(
        and_(_IS_OLD, LOCKOUTS.c.kiosk_id.not_in((IN_A_ROW, *_CLOSING))),
        and_(_IS_OLD, LOCKOUTS.c.kiosk_id == IN_A_ROW, _HAS_NO_ACCOUNT),
        and_(LOCKOUTS.c.kiosk_id.in_(_CLOSING), LOCKOUTS.c.last_failure_at < bindparam("long_before")),
    )
)
_NOBODY: Final = Counter()


@dataclass(frozen=True, slots=True)
class Counted:
    """One counter that a reservation raised; `first` names the run of failures it belongs to."""

    kiosk_id: str
    first: datetime
    previous: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reservation:
    """Leave to judge one submission, counted as a failure until released or cleared.

    `ruling` is what the failures before this one had led to: an account or a face that it calls
    disabled has been disabled by now, so an enrolment that was read before is out of date.
    """

    username: str
    counted_at: datetime
    counted: tuple[Counted, ...]
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class LockedUntil:
    """No leave: nothing was counted, and the next try is let in at `until`."""

    until: datetime
    ruling: Ruling


@dataclass(frozen=True, slots=True)
class _Stored:
    counter: Counter
    first: datetime


class Lockouts:
    """The failure counters of all names. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def reserve(
        self,
        *,
        username: str,
        kiosk_id: str,
        is_own_kiosk: bool,
        now: datetime,
        is_anywhere: bool = False,
        is_through_gateway: bool = False,
    ) -> Reservation | LockedUntil:
        """Count one failure ahead of its judgement, unless the name must wait.

        At a kiosk that is not the person's own only that pair is counted and looked at, so that
        failures there neither lock the person elsewhere nor tell whether the account exists.
        What may be tried `is_anywhere` counts over all of those too, for itself: else each kiosk of a
        site would bring five guesses more. Failures there keep nobody from cancelling at the own kiosk.
        What is tried `is_through_gateway` counts over all gateways in the same way, and for no kiosk.
        """
        with self._database.transaction() as session:
            stored = _read(session.connection(), username, kiosk_id, now)
            wide = _GATEWAYS if is_through_gateway else _ELSEWHERE if is_anywhere else ()
            places = (kiosk_id, *(_OWN if is_own_kiosk else wide))
            ruling = decide(_counters(kiosk_id, {place: stored.get(place) for place in places}))
            if ruling.face_disabled:
                Accounts.disable_face(session, username)
            if ruling.account_disabled:
                Accounts.disable(session, username)
            if ruling.is_closed:
                return LockedUntil(now + timedelta(seconds=LONGEST_WAIT_S), ruling)
            if ruling.locked_until is not None and now < ruling.locked_until:
                return LockedUntil(ruling.locked_until, ruling)
            connection = session.connection()
            counted = tuple(_count(connection, username, place, stored.get(place), now) for place in places)
        return Reservation(username=username, counted_at=now, counted=counted, ruling=ruling)

    def release(self, reservation: Reservation) -> None:
        """Take the counted failure back: the submission could not be judged."""
        with self._database.transaction() as session:
            self.take_back(session, reservation)

    @staticmethod
    def take_back(session: Session, reservation: Reservation) -> None:
        """Take the counted failure back in the caller's transaction: it was none, and those before it stay.

        A counter that was cleared since is left alone.
        """
        connection = session.connection()
        for counted in reservation.counted:
            values = {
                "name": reservation.username,
                "place": counted.kiosk_id,
                "first": counted.first,
                "counted_at": reservation.counted_at,
                "previous": counted.previous,
            }
            connection.execute(_RELEASE, values)
        connection.execute(_DROP_EMPTY, {"name": reservation.username})

    def clear(self, session: Session, username: str, kiosk_id: str, *, is_through_gateway: bool = False) -> None:
        """Forget a name's failures at this kiosk, and over all own kiosks or over all gateways: it just got in.

        A gateway is none of a person's own kiosks, so who got in through it forgets nothing of what was tried there.
        """
        statement = _CLEAR_GATEWAYS if is_through_gateway else _CLEAR
        session.connection().execute(statement, {"name": username, "place": kiosk_id})

    def unlock(self, username: str) -> bool:
        """Forget all failures of a name and enable its account and face again, as an admin's act.

        Returns False when there is no such account.
        """
        with self._database.transaction() as session:
            session.connection().execute(_CLEAR_ALL, {"name": username})
            return Accounts.enable(session, username)

    def prune(self, now: datetime) -> int:
        """Forget counters a week after the last failure, save those for the caps; returns how many.

        No answer depends on when it runs, because `reserve` takes such counters for forgotten.
        """
        with self._database.transaction() as session:
            before, long_before = (now - timedelta(seconds=age) for age in (FORGOTTEN_AFTER_S, CLOSED_FOR_S))
            return session.connection().execute(_PRUNE, {"before": before, "long_before": long_before}).rowcount


def is_over(place: str, counter: Counter, now: datetime) -> bool:
    """Whether a counter at this place, or these places, is taken for forgotten."""
    if place == IN_A_ROW:
        return False  # only a name with an account is counted there
    return is_forgotten(counter, now, CLOSED_FOR_S if place in _CLOSING else FORGOTTEN_AFTER_S)


def _counters(kiosk_id: str, stored: Mapping[str, _Stored | None]) -> Counters:
    found = {place: known.counter for place, known in stored.items() if known is not None}
    return Counters(
        pair=found.get(kiosk_id, _NOBODY),
        overall=found.get(OVER_ALL, _NOBODY),
        in_a_row=found.get(IN_A_ROW, _NOBODY).failures,
        # A try is through a gateway or not, so of these there is one or none.
        anywhere=found.get(ANYWHERE, found.get(THROUGH_GATEWAYS, _NOBODY)),
        anywhere_in_a_row=found.get(ANYWHERE_IN_A_ROW, found.get(THROUGH_GATEWAYS_IN_A_ROW, _NOBODY)).failures,
    )


def _read(connection: Connection, username: str, kiosk_id: str, now: datetime) -> dict[str, _Stored]:
    rows = connection.execute(_COUNTERS, {"name": username, "place": kiosk_id}).all()
    latest = now + timedelta(seconds=CLOCK_STEP_S)
    if any(last > latest for _, _, _, last in rows):
        # The clock was set back. Waiting begins again from now, instead of lasting as long as the step.
        connection.execute(_MEND_CLOCK, {"name": username, "now": now, "latest": latest})
    stored = {}
    for place, failures, first, last in rows:
        counter = Counter(failures, now if last > latest else last)
        if is_over(place, counter, now):
            connection.execute(_FORGET, {"name": username, "place": place})
        else:
            stored[place] = _Stored(counter, first)
    return stored


def _count(connection: Connection, username: str, place: str, known: _Stored | None, now: datetime) -> Counted:
    if known is None:
        values = {
            "username": username,
            "kiosk_id": place,
            "failures": 1,
            "first_failure_at": now,
            "last_failure_at": now,
        }
        connection.execute(_FIRST, values)
        return Counted(place, first=now, previous=now)
    previous = known.counter.last_failure_at or now
    # A request that read the clock earlier and came later must not shorten a wait.
    connection.execute(_COUNT, {"name": username, "place": place, "last": max(previous, now)})
    return Counted(place, first=known.first, previous=previous)
