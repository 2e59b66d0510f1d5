"""When failures lock: a pure rule over stored counters.

Five tries are free. Each failure from the fifth on doubles a wait of 30 s, up to one hour; after a
week without one, waiting begins anew, for names with and without an account alike. Fifty failures
in a row, however far apart, switch the face factor off, a hundred the account, until an admin acts
(NIST SP 800-63B, 3.2.2, caps consecutive failures at 100).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

FREE_FAILURES: Final = 5
"""The failure with which waiting begins."""

FIRST_WAIT_S: Final = 30
LONGEST_WAIT_S: Final = 3600
FORGOTTEN_AFTER_S: Final = 7 * 24 * 3600
"""A counter whose last failure is longer ago counts for no wait any more."""

CLOSED_FOR_S: Final = 365 * 24 * 3600
"""A count in a row of what can be tried at any kiosk is forgotten after a year without a failure: it is kept
for names without an account too, or its end would tell which those are, and they must not pile up for good."""

FACE_DISABLED_FROM: Final = 50
ACCOUNT_DISABLED_FROM: Final = 100

_LAST_DOUBLING = (LONGEST_WAIT_S // FIRST_WAIT_S).bit_length()


@dataclass(frozen=True, slots=True)
class Counter:
    """Failures in a row and when the last of them was."""

    failures: int = 0
    last_failure_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Ruling:
    """What the counters say. `locked_until` is the first moment at which a try is let in again.

    `is_closed` shuts what can be tried at any kiosk, or the gateways, until an administrator acts, or for a year;
    logging in at a kiosk stays open.
    """

    locked_until: datetime | None
    face_disabled: bool
    account_disabled: bool
    is_closed: bool = False


def wait_s(failures: int) -> int:
    """Return how many seconds must pass after this many failures in a row: 0, or 30 to 3600."""
    if failures < FREE_FAILURES:
        return 0
    return min(LONGEST_WAIT_S, FIRST_WAIT_S << min(failures - FREE_FAILURES, _LAST_DOUBLING))


def is_forgotten(counter: Counter, now: datetime, after_s: int = FORGOTTEN_AFTER_S) -> bool:
    """Whether waiting begins anew, as if the counter had never been; failures for the caps stay."""
    last = counter.last_failure_at
    return last is not None and now - last > timedelta(seconds=after_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """A name's failures as far as they matter to one try.

    `overall` and `in_a_row` are those at the person's own kiosks: empty where this is none of them.
    `anywhere` and `anywhere_in_a_row` are those of actions that need no own kiosk, or of all gateways: empty for
    others.
    """

    pair: Counter = Counter()
    overall: Counter = Counter()
    in_a_row: int = 0
    anywhere: Counter = Counter()
    anywhere_in_a_row: int = 0


def decide(counters: Counters) -> Ruling:
    """Judge a name's counters. The latest lock holds; the counts in a row are for the caps."""
    waits = (counters.pair, counters.overall, counters.anywhere)
    locks = [lock for counter in waits if (lock := _locked_until(counter)) is not None]
    return Ruling(
        locked_until=max(locks, default=None),
        face_disabled=counters.in_a_row >= FACE_DISABLED_FROM,
        account_disabled=counters.in_a_row >= ACCOUNT_DISABLED_FROM,
        is_closed=counters.anywhere_in_a_row >= ACCOUNT_DISABLED_FROM,
    )


def _locked_until(counter: Counter) -> datetime | None:
    wait = wait_s(counter.failures)
    if wait == 0 or counter.last_failure_at is None:
        return None
    return counter.last_failure_at + timedelta(seconds=wait)
