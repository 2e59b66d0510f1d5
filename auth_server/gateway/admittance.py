"""How many connections and requests there may be: by address and in all. One event loop's, so it needs no lock."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from time import monotonic

from auth_server.buckets import Buckets
from auth_server.gateway.settings import LimitSettings
from auth_server.sources import source_of


class Busy(Exception):
    """As many requests wait as there may."""


class Admittance:
    """Counts what is open and what is asked."""

    def __init__(self, limits: LimitSettings, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._open: Counter[str] = Counter()
        self._buckets = Buckets(limits.requests_per_address_s, limits.requests_burst, clock)
        self._places = asyncio.Semaphore(limits.requests_in_flight)
        self._asking: Counter[str] = Counter()
        self._waiting = 0

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._open.total()

    def enter(self, address: str) -> str | None:
        """Count a connection in, or return why it may not be: `address` or `all`."""
        source = source_of(address)
        if self._open[source] >= self._limits.connections_per_address:
            return "address"
        if self.connections >= self._limits.connections:
            return "all"
        self._open[source] += 1
        return None

    def leave(self, address: str) -> None:
        """Count a connection out."""
        source = source_of(address)
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]

    def may_ask(self, address: str) -> bool:
        """Count a request; False where the address asked too often."""
        return self._buckets.take(self._buckets.name(address))

    @asynccontextmanager
    async def place(self, address: str) -> AsyncIterator[None]:
        """Hold a place at the server, waiting for one in turn.

        Raises Busy where too many wait already, or hold or await one from this address, or none came in time.
        """
        source = source_of(address)
        is_full = self._places.locked() and self._waiting >= self._limits.requests_waiting
        if is_full or self._asking[source] >= self._limits.requests_per_address:
            raise Busy
        self._asking[source] += 1
        try:
            await self._turn()
            try:
                yield
            finally:
                self._places.release()
        finally:
            self._asking[source] -= 1
            if not self._asking[source]:
                del self._asking[source]

    async def _turn(self) -> None:
        self._waiting += 1
        try:
            async with asyncio.timeout(self._limits.waiting_timeout_s):
                await self._places.acquire()
        except TimeoutError:
            raise Busy from None
        finally:
            self._waiting -= 1
