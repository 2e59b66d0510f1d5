"""How many audit rows strangers may cause: a flood of unsigned requests must not fill the disk.

Whoever signs as a registered kiosk has a row for every attempt. A source that no signature proves
has `BURST` rows at once and `ROWS_PER_S` after that; what goes beyond is counted, and the count
stands in its next row. Measured without this: 1,040 rows a second from four sockets, 75 GB a day.
"""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import Final

from auth_server.sources import source_of

ROWS_PER_S: Final = 5.0
BURST: Final = 100.0
SOURCES_MAX: Final = 1024
"""Sources that are told apart in one worker; all others share one budget."""

_OTHERS: Final = "others"


@dataclass(slots=True)
class _Account:
    rows_left: float
    counted_at: float
    unwritten: int = 0


class RowBudget:
    """The budgets of one worker's sources, each a token bucket. May be used from any thread."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        self._accounts: dict[str, _Account] = {}

    def spend(self, address: str | None) -> int | None:
        """Take one row of this source's budget.

        Returns how many refusals of the source went unwritten before it, or None when the budget
        is spent and this one is to be counted only.
        """
        with self._lock:
            account = self._account(source_of(address))
            if account.rows_left < 1:
                account.unwritten += 1
                return None
            account.rows_left -= 1
            unwritten, account.unwritten = account.unwritten, 0
            return unwritten

    def drain(self) -> dict[str, int]:
        """Return the sources that have unwritten refusals with their numbers, and forget these."""
        with self._lock:
            pending = {source: account.unwritten for source, account in self._accounts.items() if account.unwritten}
            for source in pending:
                self._accounts[source].unwritten = 0
            now = self._clock()
            full = [source for source, account in self._accounts.items() if self._refilled(account, now) >= BURST]
            for source in full:
                del self._accounts[source]
            return pending

    def _account(self, source: str) -> _Account:
        if source not in self._accounts and len(self._accounts) >= SOURCES_MAX:
            source = _OTHERS
        now = self._clock()
        account = self._accounts.setdefault(source, _Account(BURST, now))
        account.rows_left, account.counted_at = self._refilled(account, now), now
        return account

    @staticmethod
    def _refilled(account: _Account, now: float) -> float:
        return min(BURST, account.rows_left + (now - account.counted_at) * ROWS_PER_S)
