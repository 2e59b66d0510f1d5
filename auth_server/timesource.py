"""The server's time: the operating system's clock, and a second opinion on it.

chrony keeps the clock. In the background several NTP sources are asked whether it is right, and
only what a majority of two or more agrees on is believed. No login waits for the network.
Servers that share a store share its clock too: one that differs from it lets nobody in, or a code would be good at
one of them and too old at another.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Event, Lock, Thread
from typing import Final, Literal

import structlog

from auth_server.errors import AuthServerError, Unavailable
from auth_server.ntp import NtpRefused, Sample, query
from auth_server.settings import TimeSettings

log = structlog.get_logger(__name__)

_SLACK_S: Final = 0.001
"""Added to every sample's error, so that rounding never keeps two honest sources apart."""

_STALE_AFTER_POLLS: Final = 3


@dataclass(frozen=True, slots=True)
class SourceReport:
    """What one source said in the last round: an offset, or the fault for which it was not believed."""

    source: str
    offset_s: float | None = None
    agrees: bool = False
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class TimeStatus:
    """Whether the clock may be trusted, and why that is thought.

    `verified`: a majority agrees that it is within the limit; `wrong`: a majority agrees that it
    is not; `unverified`: nobody says, or they contradict each other. `offset_s` is what must be
    added to the clock.
    """

    state: Literal["verified", "unverified", "wrong"]
    why: str
    offset_s: float | None = None
    checked_at: datetime | None = None
    sources: tuple[SourceReport, ...] = ()


def _os_clock() -> datetime:
    return datetime.now(UTC)


class TimeSource:
    """The clock of one worker. `start` begins the background rounds, `stop` ends them."""

    def __init__(
        self,
        settings: TimeSettings,
        *,
        ask: Callable[[str], Sample] = query,
        clock: Callable[[], datetime] = _os_clock,
        stop: Event | None = None,
        shared: Callable[[], Sample] | None = None,
    ) -> None:
        self._settings = settings
        self._shared = shared
        self._skew: TimeStatus | None = None
        self._ask = ask
        self._clock = clock
        self._stop = stop or Event()
        self._lock = Lock()
        self._thread: Thread | None = None
        why = "no source has answered yet" if settings.sources else "no sources are set: time.sources is empty"
        self._status = TimeStatus("unverified", why)

    def now(self) -> datetime:
        """The operating system's time, aware, in UTC; `status` says whether it may be trusted."""
        return self._clock()

    def trusted_now(self) -> datetime:
        """The time, unless it is known to be wrong: then Unavailable, for codes would be judged by it."""
        if self.status().state == "wrong":
            raise Unavailable("the server's clock is wrong", retry_after_s=max(1, int(self._settings.poll_s)))
        return self._clock()

    def status(self) -> TimeStatus:
        """The last round's finding; a `verified` one that is too old counts as `unverified`."""
        with self._lock:
            status = self._skew or self._status
        age = timedelta(0) if status.checked_at is None else abs(self._clock() - status.checked_at)
        if status.state == "verified" and age > timedelta(seconds=_STALE_AFTER_POLLS * self._settings.poll_s + 30):
            why = f"the last check was {age.total_seconds():.0f} s ago"
            return TimeStatus("unverified", why, None, status.checked_at, status.sources)
        return status

    def start(self) -> None:
        """Check now and then every `poll_s` seconds, in the background; with nobody to ask, never."""
        if (self._settings.sources or self._shared) and self._thread is None:
            self._thread = Thread(target=self._rounds, name="timesource", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the rounds. One that waits for a source is left to end by itself."""
        self._stop.set()

    def check(self) -> TimeStatus:
        """One round: ask every source and keep the finding."""
        reports, samples = [], {}
        for source in self._settings.sources:
            try:
                samples[source] = self._ask(source)
            except NtpRefused as error:
                reports.append(SourceReport(source, fault=str(error)))
            except Exception as error:  # whatever it was, the other sources are still asked
                reports.append(SourceReport(source, fault=f"unforeseen {type(error).__name__}"))
        self._keep(judge(samples, reports, self._settings.max_offset_s, self._clock()))
        self._compare()
        return self.status()

    def _compare(self) -> None:
        """Ask the clock that all servers share; while it does not answer, what was found last stands."""
        if self._shared is None:
            return
        try:
            sample = self._shared()
        except AuthServerError:
            return
        is_far = abs(sample.offset_s) - sample.error_s > self._settings.max_offset_s
        why = f"the store's clock, which all servers share, differs by {sample.offset_s:+.3f} s"
        found = TimeStatus("wrong", why, sample.offset_s, self._clock()) if is_far else None
        with self._lock:
            has_changed = (found is None) != (self._skew is None)
            self._skew = found
        if has_changed:
            log.warning("clock_skew", is_far=is_far, offset_s=sample.offset_s)

    def _keep(self, found: TimeStatus) -> TimeStatus:
        with self._lock:
            before = self._status
            # Sources that fall silent do not make a wrong clock right: only a verified round does.
            if before.state == "wrong" and found.state == "unverified":
                why = f"it was wrong, and since then: {found.why}"
                found = TimeStatus("wrong", why, before.offset_s, found.checked_at, found.sources)
            self._status = found
        if found.state != before.state:
            log.warning("clock_state", state=found.state, why=found.why, offset_s=found.offset_s)
        return found

    def _rounds(self) -> None:
        while not self._stop.is_set():
            self.check()
            self._stop.wait(self._settings.poll_s)


def judge(
    samples: dict[str, Sample], refused: Sequence[SourceReport], max_offset_s: float, now: datetime
) -> TimeStatus:
    """Return the status that a round's answers support. Pure.

    Each answer is an interval that holds the true offset if its source is honest. The offset is
    believed when two or more intervals, and more than half of all, share a point.
    """
    agreeing, low, high = _best_overlap(samples)
    is_majority = len(agreeing) >= 2 and 2 * len(agreeing) > len(samples)
    reports = tuple(
        [SourceReport(name, sample.offset_s, is_majority and name in agreeing) for name, sample in samples.items()]
        + list(refused)
    )
    if not is_majority:
        count = "no source" if not samples else "only one source" if len(samples) == 1 else "no majority of sources"
        verb = "agrees" if len(samples) > 1 else "gave a usable answer"
        return TimeStatus("unverified", f"{count} {verb}", None, now, reports)
    offset_s = (low + high) / 2
    where = f"{len(agreeing)} of {len(samples)} sources agree on an offset of {offset_s:+.3f} s"
    if abs(offset_s) > max_offset_s:
        return TimeStatus("wrong", f"{where}, more than {max_offset_s} s", offset_s, now, reports)
    return TimeStatus("verified", where, offset_s, now, reports)


def _best_overlap(samples: dict[str, Sample]) -> tuple[frozenset[str], float, float]:
    """Return the most sources whose intervals share a point, and their common interval (Marzullo)."""
    spans = {
        name: (sample.offset_s - sample.error_s - _SLACK_S, sample.offset_s + sample.error_s + _SLACK_S)
        for name, sample in samples.items()
    }
    best: frozenset[str] = frozenset()
    # The largest common part begins where one of the intervals begins.
    for start, _ in spans.values():
        holding = frozenset(name for name, (low, high) in spans.items() if low <= start <= high)
        if len(holding) > len(best):
            best = holding
    if not best:
        return best, 0.0, 0.0
    return best, max(spans[name][0] for name in best), min(spans[name][1] for name in best)
