"""One line for each check: what holds, and what was seen. A check that fails does not end the others."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Failed(Exception):
    """What was to hold does not."""


class Checks:
    """Prints and counts."""

    def __init__(self, leg: str) -> None:
        self._leg = leg
        self.failed = 0

    @contextmanager
    def check(self, sentence: str) -> Iterator[list[str]]:
        """Print the sentence as good or failed; what is put into the list given is printed with it."""
        seen: list[str] = []
        began_s = time.monotonic()
        try:
            yield seen
        except Exception as error:  # each driver has errors of its own, and all of them are to be told
            self.failed += 1
            print(f"FAIL  {self._leg}: {sentence}: {type(error).__name__}: {error}", flush=True)
            return
        took = f"{time.monotonic() - began_s:.1f} s"
        print(f"ok    {self._leg}: {sentence} ({', '.join([*seen, took])})", flush=True)


def require(holds: object, what: str) -> None:
    """Raise Failed with what was seen instead, unless it holds."""
    if not holds:
        raise Failed(what)


def wait_for(holds: Callable[[], object], what: str, timeout_s: float = 10.0) -> None:
    """Wait until it holds; raises Failed when it does not in time."""
    ends_s = time.monotonic() + timeout_s
    while not holds():
        require(time.monotonic() < ends_s, f"{what}: not in {timeout_s:.0f} s")
        time.sleep(0.05)
