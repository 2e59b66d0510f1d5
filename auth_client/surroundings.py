"""What a client must not fetch by itself, so that tests can give it."""

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Time, waiting and chance."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    new_nonce: Callable[[], str]


def real_surroundings(clock_offset: timedelta = timedelta(0)) -> Surroundings:
    """The machine's clock, moved by an offset for trials, its sleep, and its randomness."""
    return Surroundings(
        now=lambda: datetime.now(UTC) + clock_offset,
        monotonic=time.monotonic,
        sleep=time.sleep,
        new_nonce=lambda: secrets.token_urlsafe(16),
    )
