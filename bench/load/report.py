"""What a run found, as lines of a table and as JSON."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from bench.load.figures import SCALING_MIN, Growth, Seen
from bench.load.measuring import Step

USED_MIN: Final = 0.95
"""Of its share, by a server that has enough to do."""

HEAD: Final = (
    f"{'loop':7} {'servers':>7} {'kiosks':>6} {'come/s':>7} {'in/s':>6} {'logins':>6} {'p50':>8} {'p95':>8} {'p99':>8} "
    f"{'refused':>8} {'share':>6} {'store':>8} {'kiosk':>6} {'db':>5}"
)
LEGEND: Final = """\
come/s   people who come, a second: in open loop alone, at times drawn beforehand; their wait counts from then
in/s     people let in, a second; logins: those that were answered (closed) or came (open) while it was measured
p50 ...  from when a person came until they were let in, through all tries (closed), or of those let in (open);
         > where it is longer than that, since too many still waited at the end
refused  told to come back, or without an answer
share    the part of the servers' share of the processor that they took
store    time in transactions for each login, waits for a turn included
kiosk    time of processor that a simulated kiosk took for a login; db: cores that PostgreSQL took"""


@dataclass
class Report:
    """All that one run measured: the ramp, the rounds of the bar, and the open loop.

    `outcomes` are all answers, of warm-ups too, `granted_by_servers` the servers' own count of grants,
    `store_faults` theirs of transactions that the store did not do.
    """

    told: str
    machine: dict[str, Any]
    ramp: list[Step] = field(default_factory=list)
    rounds: list[Step] = field(default_factory=list)
    growth: list[Growth] = field(default_factory=list)
    opened: list[Step] = field(default_factory=list)
    outcomes: dict[str, int] = field(default_factory=dict)
    granted_by_servers: int = 0
    store_faults: int = 0

    @property
    def json(self) -> dict[str, Any]:
        """For a file. Times are in seconds, rates a second; null is what there was nothing to measure of."""
        return {**_without_nan(asdict(self)), "bar": SCALING_MIN}


def line(step: Step) -> str:
    """A step's line of the table."""
    seen = step.seen
    come = "" if step.offered is None else f"{step.offered:.2f}"
    return (
        f"{step.loop:7} {step.servers:7} {step.kiosks:6} {come:>7} {seen.rate:6.2f} {seen.tried:6} "
        f"{_wait(seen, 'p50')} {_wait(seen, 'p95')} {_wait(seen, 'p99')} {seen.refused:8.0%} {step.used:6.0%} "
        f"{step.store_ms:5.0f} ms {step.kiosk_ms:3.0f} ms {step.database_cores:5.2f}"
    )


def growth_line(found: Growth) -> str:
    """How much more several servers let in, and whether that is enough."""
    mark = "met" if found.is_met else "MISSED"
    return (
        f"{found.servers} shares let in {found.times:.2f} times as many as one "
        f"({found.least:.2f} to {found.most:.2f}), {found.times / found.servers:.3f} of {found.servers}   "
        f"(bar: {SCALING_MIN}) {mark}"
    )


def outcomes_line(found: Report) -> str:
    """What people were told in the whole run."""
    told = ", ".join(f"{count} {outcome}" for outcome, count in sorted(found.outcomes.items()))
    return f"{told}; {found.store_faults} transactions failed in the store"


def caution(rounds: Sequence[Step]) -> str:
    """Say so where servers did not take their shares, since then the bar tells of something else; else nothing."""
    short = [step for step in rounds if step.used < USED_MIN]
    if not short:
        return ""
    least = min(step.used for step in short)
    return (
        f"In {len(short)} of {len(rounds)} steps of the rounds servers took less than {USED_MIN:.0%} of their shares "
        f"(at the least {least:.0%}): other work ran here, or they waited for the store"
    )


def _wait(seen: Seen, name: str) -> str:
    seconds = float(getattr(seen, name))
    told = "-" if math.isnan(seconds) else f"{'>' if name in seen.at_least else ''}{seconds:.2f} s"
    return f"{told:>8}"


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
