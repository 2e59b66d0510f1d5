"""What a process takes, read from /proc, and whether that grows."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

GROWTH_MAX: Final = 0.05
MEMORY_MAX_MB: Final = 150.0
IDLE_MAX_PERCENT: Final = 3.0
_FIRST_SESSION: Final = 100
"""Before it the agent still fills what it keeps for good."""

_NEAR: Final = 5
"""Samples whose median stands for the 100th session, and for the last: one sample may fall into a capture."""


@dataclass(frozen=True)
class Sample:
    """One look at the process. `rss_mb` is in MB of a million bytes, `written_bytes` since its start."""

    sessions: int
    seconds: float
    rss_mb: float
    threads: int
    descriptors: int
    written_bytes: int


@dataclass(frozen=True)
class Figures:
    """What came of one screen. `growth` is a fraction, from the 100th session to the last."""

    screen: str
    sessions: int
    idle_percent: float
    written_bytes: int
    rss_max_mb: float
    rss_first_mb: float
    rss_last_mb: float
    growth: float
    threads: tuple[int, int]
    descriptors: tuple[int, int]


def look(pid: int, sessions: int, seconds: float) -> Sample:
    """Look at a process now; raises OSError where there is none."""
    proc = Path(f"/proc/{pid}")
    status = _members(proc / "status")
    rss_mb = round(int(status["VmRSS"].split()[0]) * 1024 / 1e6, 2)
    descriptors = len(list((proc / "fd").iterdir()))
    written = int(_members(proc / "io")["write_bytes"])
    return Sample(sessions, seconds, rss_mb, int(status["Threads"]), descriptors, written)


def processor_s(pid: int) -> float:
    """The seconds of processor that a process has taken, in all its threads."""
    # The name, in brackets, may hold spaces; utime and stime are fields 14 and 15 (proc(5)).
    members = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(members[11]) + int(members[12])) / os.sysconf("SC_CLK_TCK")


def figures(screen: str, idle_percent: float, written_bytes: int, samples: Sequence[Sample]) -> Figures:
    """Sum up the samples of one screen. Threads and descriptors are given as their medians near both ends."""
    later = [sample for sample in samples if sample.sessions >= _FIRST_SESSION] or list(samples)
    first, last = later[:_NEAR], later[-_NEAR:]
    before, after = (median(sample.rss_mb for sample in some) for some in (first, last))
    return Figures(
        screen=screen,
        sessions=samples[-1].sessions,
        idle_percent=idle_percent,
        written_bytes=written_bytes,
        rss_max_mb=max(sample.rss_mb for sample in samples),
        rss_first_mb=before,
        rss_last_mb=after,
        growth=round(after / before - 1, 4),
        threads=(int(median(one.threads for one in first)), int(median(one.threads for one in last))),
        descriptors=(int(median(one.descriptors for one in first)), int(median(one.descriptors for one in last))),
    )


def faults(found: Figures) -> list[str]:
    """What is too much, a sentence each; empty when all is well."""
    told = []
    if found.growth > GROWTH_MAX:
        told.append(f"memory grew by {found.growth:.1%}, from {found.rss_first_mb} to {found.rss_last_mb} MB")
    if found.rss_max_mb > MEMORY_MAX_MB:
        told.append(f"memory was {found.rss_max_mb} MB, over {MEMORY_MAX_MB:.0f}")
    if found.threads[1] > found.threads[0]:
        told.append(f"threads grew from {found.threads[0]} to {found.threads[1]}")
    if found.descriptors[1] > found.descriptors[0]:
        told.append(f"open files grew from {found.descriptors[0]} to {found.descriptors[1]}")
    if found.idle_percent > IDLE_MAX_PERCENT:
        told.append(f"idle took {found.idle_percent} % of a core, over {IDLE_MAX_PERCENT:.0f}")
    if found.written_bytes:
        told.append(f"{found.written_bytes} bytes were written to the disk")
    return [f"{found.screen}: {one}" for one in told]


def _members(path: Path) -> dict[str, str]:
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
