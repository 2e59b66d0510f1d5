"""A name's failures as an administrator sees them: how many where, and until when they make wait."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import bindparam, select

from auth_server.lockout import Counter, Counters, decide
from auth_server.lockouts import CLOCK_STEP_S, is_over
from auth_server.store.database import Database
from auth_server.store.models import (
    ANYWHERE,
    ANYWHERE_IN_A_ROW,
    IN_A_ROW,
    LOCKOUTS,
    OVER_ALL,
    THROUGH_GATEWAYS,
    THROUGH_GATEWAYS_IN_A_ROW,
)

_OF_NAMES = (
    select(LOCKOUTS.c.username, LOCKOUTS.c.kiosk_id, LOCKOUTS.c.failures, LOCKOUTS.c.last_failure_at)
    .where(LOCKOUTS.c.username.in_(bindparam("names", expanding=True)))
    .order_by(LOCKOUTS.c.username, LOCKOUTS.c.kiosk_id)
)


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures in a row of one name. `place` is a kiosk id, or stands for several as in the `lockouts` table.

    `locked_until` is set while a try there must wait, `is_closed` where only an administrator ends it.
    """

    place: str
    count: int
    last_at: datetime
    locked_until: datetime | None = None
    is_closed: bool = False

    def is_locked(self) -> bool:
        """Whether nothing is judged there now."""
        return self.is_closed or self.locked_until is not None


def failures_of(database: Database, names: Collection[str], now: datetime) -> dict[str, tuple[Failures, ...]]:
    """Return what is counted against these names now; a name without failures is left out.

    What the server would take for forgotten is left out too. Raises StoreError when the store fails.
    """
    with database.read() as session:
        rows = session.connection().execute(_OF_NAMES, {"names": sorted(names)}).all()
    found: dict[str, list[Failures]] = {}
    for name, place, count, last in rows:
        # As `reserve` does it: the clock was set back, so waiting begins again from now.
        counter = Counter(count, now if last > now + timedelta(seconds=CLOCK_STEP_S) else last)
        if not is_over(place, counter, now):
            found.setdefault(name, []).append(_failures(place, counter, now))
    return {name: tuple(listed) for name, listed in found.items()}


def _failures(place: str, counter: Counter, now: datetime) -> Failures:
    ruling = decide(_counters(place, counter))
    until = ruling.locked_until
    return Failures(
        place=place,
        count=counter.failures,
        last_at=counter.last_failure_at or now,
        locked_until=until if until is not None and until > now else None,
        is_closed=ruling.is_closed,
    )


def _counters(place: str, counter: Counter) -> Counters:
    """The counter in the part that it plays for a try."""
    if place == OVER_ALL:
        return Counters(overall=counter)
    if place == IN_A_ROW:
        return Counters(in_a_row=counter.failures)
    if place in {ANYWHERE, THROUGH_GATEWAYS}:
        return Counters(anywhere=counter)
    if place in {ANYWHERE_IN_A_ROW, THROUGH_GATEWAYS_IN_A_ROW}:
        return Counters(anywhere_in_a_row=counter.failures)
    return Counters(pair=counter)
