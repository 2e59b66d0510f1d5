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
    """What the counters say. `locked_until` is the first moment at which a try is let in again."""

    locked_until: datetime | None
    face_disabled: bool
    account_disabled: bool


def wait_s(failures: int) -> int:
    """Return how many seconds must pass after this many failures in a row: 0, or 30 to 3600."""
    if failures < FREE_FAILURES:
        return 0
    return min(LONGEST_WAIT_S, FIRST_WAIT_S << min(failures - FREE_FAILURES, _LAST_DOUBLING))


def is_forgotten(counter: Counter, now: datetime) -> bool:
    """Whether waiting begins anew, as if the counter had never been; failures for the caps stay."""
    last = counter.last_failure_at
    return last is not None and now - last > timedelta(seconds=FORGOTTEN_AFTER_S)


def decide(pair: Counter, overall: Counter, in_a_row: int) -> Ruling:
    """Judge a name's counter at one kiosk together with the one over all its own kiosks.

    The later lock holds. `in_a_row` are all failures at its own kiosks since the last success, for
    the caps. Where the kiosk is not the person's own, pass an empty `overall` and 0.
    """
    locks = [lock for counter in (pair, overall) if (lock := _locked_until(counter)) is not None]
    return Ruling(
        locked_until=max(locks, default=None),
        face_disabled=in_a_row >= FACE_DISABLED_FROM,
        account_disabled=in_a_row >= ACCOUNT_DISABLED_FROM,
    )


def _locked_until(counter: Counter) -> datetime | None:
    wait = wait_s(counter.failures)
    if wait == 0 or counter.last_failure_at is None:
        return None
    return counter.last_failure_at + timedelta(seconds=wait)
