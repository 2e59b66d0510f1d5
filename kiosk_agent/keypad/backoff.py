"""When to try again to open what failed: soon, then less and less often. Pure."""

from typing import Final

FIRST_S: Final = 0.5
LAST_S: Final = 4.0
"""A keypad that is plugged in again serves within 10 s, so the longest wait leaves room for the system to see it."""


class Backoff:
    """The wait before the next try; doubles from `FIRST_S` to `LAST_S`."""

    def __init__(self) -> None:
        self._wait_s = FIRST_S
        self._next_s = 0.0

    def left_s(self, now_s: float) -> float:
        """Seconds until the next try is due, never below 0."""
        return max(0.0, self._next_s - now_s)

    def failed(self, now_s: float) -> None:
        """A try failed: wait longer than before."""
        self._next_s = now_s + self._wait_s
        self._wait_s = min(2 * self._wait_s, LAST_S)

    def worked(self) -> None:
        """The next failure is a first one."""
        self._wait_s = FIRST_S
