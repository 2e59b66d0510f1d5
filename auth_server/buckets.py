"""Token buckets by source: so many at once, and so many a second after that. Not for several threads at once."""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Final

from auth_server.sources import source_of

SOURCES_MAX: Final = 1024
"""Sources that are told apart; all others share one bucket."""

_OTHERS: Final = "others"


@dataclass(slots=True)
class _Bucket:
    tokens: float
    counted_at: float


class Buckets:
    """The buckets of all sources. `per_s` tokens flow into each, up to `burst`."""

    def __init__(self, per_s: float, burst: float, clock: Callable[[], float] = monotonic) -> None:
        self._per_s = per_s
        self._burst = burst
        self._clock = clock
        self._buckets: dict[str, _Bucket] = {}

    def name(self, address: str | None) -> str:
        """Return the name of an address's bucket, which one machine or many may share."""
        source = source_of(address)
        if source not in self._buckets and len(self._buckets) >= SOURCES_MAX:
            self.forget_full()
        return source if source in self._buckets or len(self._buckets) < SOURCES_MAX else _OTHERS

    def take(self, name: str) -> bool:
        """Take a token out of a bucket; False where there is none."""
        now = self._clock()
        bucket = self._buckets.setdefault(name, _Bucket(self._burst, now))
        bucket.tokens, bucket.counted_at = self._level(bucket, now), now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        return True

    def forget_full(self) -> None:
        """Forget the sources whose bucket is full again: they are as if they had never come."""
        now = self._clock()
        for name in [name for name, bucket in self._buckets.items() if self._level(bucket, now) >= self._burst]:
            del self._buckets[name]

    def _level(self, bucket: _Bucket, now: float) -> float:
        return min(self._burst, bucket.tokens + (now - bucket.counted_at) * self._per_s)
