"""What logins amount to: pure, and told all times. Seconds are of the machine's monotonic clock."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from statistics import median
from typing import Final

GRANTED: Final = "granted"
SCALING_MIN: Final = 0.95
"""Of n times one share's throughput, by n shares."""

_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Login:
    """One try from its beginning to its answer, of a person who came at `due`. `outcome`: granted, or why not."""

    kiosk: int
    due: float
    began: float
    ended: float
    outcome: str

    @property
    def seconds(self) -> float:
        """How long the person waited: for a kiosk that was taken, and through earlier tries, too."""
        return self.ended - self.due


@dataclass(frozen=True, slots=True)
class Arrival:
    """Somebody comes to a kiosk so many seconds after the beginning."""

    after: float
    kiosk: int


@dataclass(frozen=True, slots=True)
class Window:
    """The time in which is measured."""

    begins: float
    ends: float

    @property
    def seconds(self) -> float:
        """How long it is."""
        return self.ends - self.begins

    def share_of(self, login: Login) -> float:
        """The part of a login that lies in it, 0 to 1."""
        inside = min(login.ended, self.ends) - max(login.began, self.begins)
        took = login.ended - login.began
        return max(0.0, inside) / took if took > 0 else float(login.ended in self)

    def __contains__(self, moment: float) -> bool:
        return self.begins <= moment < self.ends


@dataclass(frozen=True, slots=True)
class Seen:
    """What kiosks saw in a window: granted logins a second, people's waits in seconds, and refusals by reason.

    The percentiles that `at_least` names were longer than was measured: too many still waited at the end.
    """

    tried: int
    granted: int
    rate: float
    p50: float
    p95: float
    p99: float
    refusals: Mapping[str, int]
    at_least: tuple[str, ...] = ()

    @property
    def refused(self) -> float:
        """The refused part of all that were tried, 0 to 1."""
        return sum(self.refusals.values()) / self.tried if self.tried else 0.0


@dataclass(frozen=True, slots=True)
class Wait:
    """How long somebody has waited, in seconds, and whether it was over then."""

    seconds: float
    is_over: bool = True


@dataclass(frozen=True, slots=True)
class Growth:
    """How many times one server's throughput several have, over rounds: the median, the least and the most."""

    servers: int
    times: float
    least: float
    most: float

    @property
    def is_met(self) -> bool:
        """Whether the bar is."""
        return self.times >= SCALING_MIN * self.servers


def percentile(waits: Iterable[Wait], percent: float) -> Wait:
    """Return the least wait that so many percent do not exceed; NaN of none.

    Those that are not over count for as long as they were seen (the product-limit estimate of Kaplan and Meier).
    Where they leave it open how long so many percent wait, it is the longest of all waits, and not over.
    """
    ordered = sorted(waits, key=lambda wait: (wait.seconds, not wait.is_over))
    left = 1.0
    for place, wait in enumerate(ordered):
        if wait.is_over:
            left *= 1 - 1 / (len(ordered) - place)
            if left <= 1 - percent / 100 + _ROUNDING:
                return wait
    return Wait(ordered[-1].seconds, is_over=False) if ordered else Wait(math.nan)


def arrivals(rate: float, seconds: float, kiosks: int, seed: int) -> list[Arrival]:
    """Return who comes, independently of each other (Poisson): `rate` a second in the mean, each to any kiosk.

    So each server's people come independently too. With a kiosk for each in turn they would come nearly evenly.
    """
    chance, after, found = Random(seed), 0.0, list[Arrival]()  # noqa: S311 - a load, not a secret
    while (after := after + chance.expovariate(rate)) < seconds:
        found.append(Arrival(after, chance.randrange(kiosks)))
    return found


def seen_closed(logins: Iterable[Login], window: Window) -> Seen:
    """Return what kiosks saw that come again as soon as they are answered, by the answers in the window.

    A login counts for the rate by the part of it that lies in the window. Whole ones alone would make
    the rate of a slow server a multiple of one login a window. Waits are those of all who came since the
    beginning, up to the window's end: of answers in the window alone none could be longer than the measure.
    """
    every = list(logins)
    rate = sum(window.share_of(login) for login in every if login.outcome == GRANTED) / window.seconds
    return _seen([login for login in every if login.ended in window], rate, _waits(every, window.ends))


def seen_open(logins: Iterable[Login], window: Window) -> Seen:
    """Return what came of those who came in the window, whenever they were answered."""
    came = [login for login in logins if login.due in window]
    granted = sum(login.outcome == GRANTED for login in came)
    return _seen(came, granted / window.seconds, [Wait(login.seconds) for login in came if login.outcome == GRANTED])


def growth(rounds: Mapping[int, Sequence[float]]) -> list[Growth]:
    """Compare the rates of one server, `rounds[1]`, with those of several, each in its own round."""
    found = []
    for servers, rates in rounds.items():
        if servers > 1:
            times = [rate / one for rate, one in zip(rates, rounds[1], strict=True)]
            found.append(Growth(servers, median(times), min(times), max(times)))
    return found


def _waits(logins: Sequence[Login], ends: float) -> list[Wait]:
    """How long each person waited, from the first try until they were let in or all ended."""
    let_in = {(login.kiosk, login.due): login.ended for login in logins if login.outcome == GRANTED}
    people = {(login.kiosk, login.due) for login in logins}
    until = {person: let_in.get(person, math.inf) for person in people}
    return [Wait(min(moment, ends) - due, moment < ends) for (_, due), moment in until.items()]


def _seen(logins: Sequence[Login], rate: float, waits: Sequence[Wait]) -> Seen:
    refusals = Counter(login.outcome for login in logins if login.outcome != GRANTED)
    found = {f"p{percent}": percentile(waits, percent) for percent in (50, 95, 99)}
    return Seen(
        tried=len(logins),
        granted=len(logins) - refusals.total(),
        rate=rate,
        p50=found["p50"].seconds,
        p95=found["p95"].seconds,
        p99=found["p99"].seconds,
        refusals=dict(refusals),
        at_least=tuple(name for name, wait in found.items() if not wait.is_over),
    )
