"""How many audit rows strangers may cause: a flood of unsigned requests must not fill the disk.

Whoever signs as a registered kiosk has a row for every attempt. A source that no signature proves
has `BURST` rows at once and `ROWS_PER_S` after that; what goes beyond is counted, and the count
stands in its next row. Measured without this: 1,040 rows a second from four sockets, 75 GB a day.
"""

from collections import Counter
from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Final

from auth_server.buckets import Buckets

ROWS_PER_S: Final = 5.0
BURST: Final = 100.0


class RowBudget:
    """The budgets of one worker's sources. May be used from any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._lock = Lock()
        self._buckets = Buckets(ROWS_PER_S, BURST, clock)
        self._unwritten: Counter[str] = Counter()

    def spend(self, address: str | None) -> int | None:
        """Take one row of this source's budget.

        Returns how many refusals of the source went unwritten before it, or None when the budget
        is spent and this one is to be counted only.
        """
        with self._lock:
            source = self._buckets.name(address)
            if not self._buckets.take(source):
                self._unwritten[source] += 1
                return None
            return self._unwritten.pop(source, 0)

    def drain(self) -> dict[str, int]:
        """Return the sources that have unwritten refusals with their numbers, and forget these."""
        with self._lock:
            pending = dict(self._unwritten)
            self._unwritten.clear()
            self._buckets.forget_full()
            return pending
