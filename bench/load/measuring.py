"""One step: kiosks at work for a while, what they saw, and what everything took meanwhile."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bench.load.figures import GRANTED, Arrival, Seen, Window, seen_closed, seen_open
from bench.load.kiosks import COME_BACK, LOST, UNREACHABLE, Closed, Job, KioskFailed, Kiosks, Open, Work
from bench.load.shares import Shares
from bench.load.site import Servers, Taken

_EXPECTED: Final = frozenset({GRANTED, COME_BACK, LOST, UNREACHABLE})
"""All other answers would be a fault of the people, whose factors are right."""


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the table.

    `offered` is the rate at which people came, a second; None in closed loop. `used` is the part of the servers'
    shares that they took, `database_cores` what the database took. For each login that was tried `kiosk_ms` is
    the kiosk's time of processor, and `store_ms` the server's time in transactions, waits for a turn included.
    """

    loop: str
    servers: int
    kiosks: int
    offered: float | None
    seconds: float
    seen: Seen
    used: float
    kiosk_ms: float
    database_cores: float
    store_ms: float


@dataclass(frozen=True, slots=True)
class _Found:
    """What a step gave: the processor in its window, all else until the last answer."""

    job: Job
    taken: Taken
    work: Work
    store_s: float


@dataclass
class Meter:
    """Measures steps. `warm_up_s` is not measured: all kiosks begin in one moment.

    `outcomes` counts what kiosks were told in all steps.
    """

    kiosks: Kiosks
    servers: Servers
    shares: Shares
    warm_up_s: float
    outcomes: Counter[str] = field(default_factory=Counter)
    _store_s: float = 0.0

    def __post_init__(self) -> None:
        self._store_s = self.servers.store_s()

    def closed(self, kiosks: int, servers: int, seconds: float) -> Step:
        """Let so many kiosks log in again and again. Raises KioskFailed."""
        window = self._window(seconds)
        found = self._during(Closed(kiosks, servers, window.ends), window)
        return self._step(found, window, None, seen_closed(found.work.logins, window))

    def open(self, kiosks: int, servers: int, arrivals: Sequence[Arrival], seconds: float) -> Step:
        """Let people come as they are listed, over the warm-up and so many seconds. Raises KioskFailed."""
        window = self._window(seconds)
        begins = window.begins - self.warm_up_s
        found = self._during(Open(kiosks, servers, begins, tuple(arrivals)), window)
        came = sum(begins + arrival.after in window for arrival in arrivals)
        return self._step(found, window, came / seconds, seen_open(found.work.logins, window))

    def granted_by_servers(self) -> int:
        """What the servers count. Raises KioskFailed where that is not what kiosks were told.

        Of replies that were lost nobody knows which were grants.
        """
        told, counted = self.outcomes[GRANTED], self.servers.granted()
        if not told <= counted <= told + self.outcomes[LOST]:
            raise KioskFailed(f"kiosks were told of {told} grants, servers count {counted}: the figures are not right")
        return counted

    def _window(self, seconds: float) -> Window:
        begins = time.monotonic() + self.warm_up_s
        return Window(begins, begins + seconds)

    def _during(self, job: Job, window: Window) -> _Found:
        self.kiosks.begin(job)
        time.sleep(max(0.0, window.begins - time.monotonic()))
        before = self.servers.taken()
        time.sleep(max(0.0, window.ends - time.monotonic()))
        taken = self.servers.taken().since(before)
        work = self.kiosks.finish()
        # Asked when all is over, since it costs a server a part of its share.
        before_s, self._store_s = self._store_s, self.servers.store_s()
        self.outcomes.update(login.outcome for login in work.logins)
        strange = set(self.outcomes) - _EXPECTED
        if strange:
            raise KioskFailed(f"people whose factors are right were told: {', '.join(sorted(strange))}")
        return _Found(job, taken, work, self._store_s - before_s)

    def _step(self, found: _Found, window: Window, offered: float | None, seen: Seen) -> Step:
        servers, logins = found.job.servers, len(found.work.logins)
        return Step(
            loop="closed" if offered is None else "open",
            servers=servers,
            kiosks=found.job.kiosks,
            offered=offered,
            seconds=window.seconds,
            seen=seen,
            used=sum(found.taken.servers[:servers]) / (window.seconds * self.shares.cores * servers),
            kiosk_ms=1000 * found.work.processor_s / max(1, logins),
            database_cores=found.taken.database / window.seconds,
            store_ms=1000 * found.store_s / max(1, logins),
        )
