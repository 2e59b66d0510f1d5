"""Stored failure counters. A failure is counted before the factors run, and taken back if it was none.

So parallel guesses cannot outrun the limit, and a crash leaves a counted failure. Names that no
account has are counted like all others, and what a wait depends on is forgotten alike.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, bindparam, case, delete, insert, or_, select, update
from sqlalchemy.orm import Session

from auth_server.accounts import Accounts
from auth_server.lockout import FORGOTTEN_AFTER_S, Counter, Ruling, decide, is_forgotten
from auth_server.store.database import Database
from auth_server.store.models import IN_A_ROW, LOCKOUTS, OVER_ALL, USERS

CLOCK_STEP_S: Final = 60
"""A last failure further ahead of now than this was counted before the clock was set back; one
nearer was counted by a request that read the clock later and came first."""

_FOR_NAME = LOCKOUTS.c.username == bindparam("name")
_ONE = (_FOR_NAME, LOCKOUTS.c.kiosk_id == bindparam("place"))
_COUNTERS = select(
    LOCKOUTS.c.kiosk_id, LOCKOUTS.c.failures, LOCKOUTS.c.first_failure_at, LOCKOUTS.c.last_failure_at
).where(_FOR_NAME, LOCKOUTS.c.kiosk_id.in_([bindparam("place"), OVER_ALL, IN_A_ROW]))
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
            (LOCKOUTS.c.last_failure_at == bindparam("counted_at"), bindparam("previous")),
            else_=LOCKOUTS.c.last_failure_at,
        ),
    )
)
_DROP_EMPTY = delete(LOCKOUTS).where(_FOR_NAME, LOCKOUTS.c.failures <= 0)
_CLEAR = delete(LOCKOUTS).where(_FOR_NAME, LOCKOUTS.c.kiosk_id.in_([bindparam("place"), OVER_ALL, IN_A_ROW]))
_CLEAR_ALL = delete(LOCKOUTS).where(_FOR_NAME)
_FORGET = delete(LOCKOUTS).where(*_ONE)
_PRUNE = delete(LOCKOUTS).where(
    LOCKOUTS.c.last_failure_at < bindparam("before"),
    or_(LOCKOUTS.c.kiosk_id != IN_A_ROW, LOCKOUTS.c.username.not_in(select(USERS.c.username))),
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

    def reserve(self, *, username: str, kiosk_id: str, is_own_kiosk: bool, now: datetime) -> Reservation | LockedUntil:
        """Count one failure ahead of its judgement, unless the name must wait.

        At a kiosk that is not the person's own only that pair is counted and looked at, so that
        failures there neither lock the person elsewhere nor tell whether the account exists.
        """
        with self._database.transaction() as session:
            stored = _read(session.connection(), username, kiosk_id, now)
            pair = stored.get(kiosk_id)
            overall = stored.get(OVER_ALL) if is_own_kiosk else None
            in_a_row = stored.get(IN_A_ROW) if is_own_kiosk else None
            ruling = decide(_counter(pair), _counter(overall), _counter(in_a_row).failures)
            if ruling.face_disabled:
                Accounts.disable_face(session, username)
            if ruling.account_disabled:
                Accounts.disable(session, username)
            if ruling.locked_until is not None and now < ruling.locked_until:
                return LockedUntil(ruling.locked_until, ruling)
            places = {kiosk_id: pair}
            if is_own_kiosk:
                places |= {OVER_ALL: overall, IN_A_ROW: in_a_row}
            counted = tuple(
                _count(session.connection(), username, place, known, now) for place, known in places.items()
            )
        return Reservation(username=username, counted_at=now, counted=counted, ruling=ruling)

    def release(self, reservation: Reservation) -> None:
        """Take the counted failure back: the submission could not be judged.

        A counter that was cleared since is left alone.
        """
        with self._database.transaction() as session:
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

    def clear(self, session: Session, username: str, kiosk_id: str) -> None:
        """Forget a name's failures at this kiosk and over all: it has just got in there."""
        session.connection().execute(_CLEAR, {"name": username, "place": kiosk_id})

    def unlock(self, username: str) -> bool:
        """Forget all failures of a name and enable its account and face again, as an admin's act.

        Returns False when there is no such account.
        """
        with self._database.transaction() as session:
            session.connection().execute(_CLEAR_ALL, {"name": username})
            return Accounts.enable(session, username)

    def prune(self, now: datetime) -> int:
        """Forget counters a week after the last failure, save an account's for the caps; returns how many.

        No answer depends on when it runs, because `reserve` takes such counters for forgotten.
        """
        with self._database.transaction() as session:
            before = now - timedelta(seconds=FORGOTTEN_AFTER_S)
            return session.connection().execute(_PRUNE, {"before": before}).rowcount


def _counter(stored: _Stored | None) -> Counter:
    return stored.counter if stored else _NOBODY


def _read(connection: Connection, username: str, kiosk_id: str, now: datetime) -> dict[str, _Stored]:
    rows = connection.execute(_COUNTERS, {"name": username, "place": kiosk_id}).all()
    latest = now + timedelta(seconds=CLOCK_STEP_S)
    if any(last > latest for _, _, _, last in rows):
        # The clock was set back. Waiting begins again from now, instead of lasting as long as the step.
        connection.execute(_MEND_CLOCK, {"name": username, "now": now, "latest": latest})
    stored = {}
    for place, failures, first, last in rows:
        counter = Counter(failures, now if last > latest else last)
        if place != IN_A_ROW and is_forgotten(counter, now):
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
