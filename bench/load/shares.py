"""The same share of the processor for each server, whatever the others do.

A share is the quota of a control group, in periods so short that a login hardly notices them. Without control
groups each server has a core to itself, which shows as many servers as there are cores.
"""

import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

PERIOD_US: Final = 20_000
"""The usual 100 ms would let a server of half a core stand still for 50 ms again and again."""

WEIGHT: Final = 10
"""Of a group, in processes: with all its threads it would count as one where other work runs beside it."""

_ENDED_WITHIN_S: Final = 10.0
_JOIN: Final = 'echo $$ > "$0" && exec "$@"'


class Shares(Protocol):
    """Where servers run."""

    @property
    def cores(self) -> float:
        """One share."""
        ...

    @property
    def servers(self) -> int:
        """How many there can be."""
        ...

    @property
    def told(self) -> str:
        """The same in words."""
        ...

    def within(self, server: int) -> tuple[str, ...]:
        """The words before a server's command line by which it and its children take from its share alone."""
        ...

    def limit(self) -> None:
        """Hold the servers to their shares, once they are started."""
        ...


@dataclass(frozen=True)
class Controller:
    """Where the kernel's controller of the processor is mounted, and its version, 1 or 2."""

    folder: Path
    version: int

    def set_quota(self, group: Path, cores: float) -> None:
        """Let a group have so many cores at the most."""
        quota = round(cores * PERIOD_US)
        if self.version == 2:
            (group / "cpu.max").write_text(f"{quota} {PERIOD_US}")
            return
        (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
        (group / "cpu.cfs_quota_us").write_text(str(quota))

    def make(self, name: str) -> Path:
        """Make a group. Raises OSError where that is not allowed."""
        if self.version == 2:
            (self.folder / "cgroup.subtree_control").write_text("+cpu")
        group = self.folder / name
        group.mkdir()
        return group

    def weigh(self, group: Path) -> None:
        """Let a group count as several processes."""
        weight, usual = ("cpu.weight", 100) if self.version == 2 else ("cpu.shares", 1024)
        (group / weight).write_text(str(WEIGHT * usual))


@dataclass
class Groups:
    """Shares by control groups."""

    controller: Controller
    folders: Sequence[Path]
    cores: float

    @property
    def servers(self) -> int:
        """How many there can be."""
        return len(self.folders)

    @property
    def told(self) -> str:
        """What the output says."""
        return (
            f"each server has {self.cores:g} of {os.cpu_count()} cores, by the quota of a control group "
            f"(version {self.controller.version}) in periods of {PERIOD_US // 1000} ms"
        )

    def within(self, server: int) -> tuple[str, ...]:
        """See `Shares`."""
        return ("/bin/sh", "-c", _JOIN, str(self.folders[server] / "cgroup.procs"))

    def limit(self) -> None:
        """See `Shares`."""
        for folder in self.folders:
            self.controller.set_quota(folder, self.cores)


@dataclass(frozen=True)
class Cores:
    """A core for each server; what else runs takes from it."""

    why: str
    servers: int
    cores: float = 1.0

    @property
    def told(self) -> str:
        """What the output says."""
        return (
            f"each server has a core to itself by taskset, so that {self.servers} can be compared, and kiosks and "
            f"database take from them: {self.why}"
        )

    def within(self, server: int) -> tuple[str, ...]:
        """See `Shares`."""
        return (shutil.which("taskset") or "taskset", "-c", str(sorted(os.sched_getaffinity(0))[server]))

    def limit(self) -> None:
        """See `Shares`; they are held already."""


def usual_share(servers: int, cores: int) -> float:
    """Return how many cores each of so many servers may have, so that half a one is left for all else."""
    return min(1.0, (cores - 0.5) / servers)


def controller_in(mounts: str) -> Controller | None:
    """Return the processor's controller by the text of /proc/mounts, or None."""
    for line in mounts.splitlines():
        _, place, kind, options, *_ = line.split()
        if kind == "cgroup" and "cpu" in options.split(","):
            return Controller(Path(place), 1)
        if kind == "cgroup2":
            with suppress(OSError):
                if "cpu" in (Path(place) / "cgroup.controllers").read_text().split():
                    return Controller(Path(place), 2)
    return None


@contextmanager
def shared_out(servers: int, cores: float) -> Iterator[Shares]:
    """Give so many shares of so many cores; the servers must have ended when this does."""
    controller = controller_in(Path("/proc/mounts").read_text())
    if controller is None:
        yield Cores("there is no control group of the processor here", min(servers, os.cpu_count() or 1))
        return
    made: list[Path] = []
    try:
        for number in range(servers):
            made.append(controller.make(f"4auth-load-{os.getpid()}-{number + 1}"))
            controller.weigh(made[-1])
    except OSError as error:
        _remove(made)
        yield Cores(f"no control group can be made ({error}); be root", min(servers, os.cpu_count() or 1))
        return
    try:
        yield Groups(controller, made, cores)
    finally:
        _remove(made)


def _remove(folders: Sequence[Path]) -> None:
    """Remove groups, which the kernel allows a moment after their last process has ended."""
    ends = time.monotonic() + _ENDED_WITHIN_S
    for folder in folders:
        while True:
            try:
                folder.rmdir()
                break
            except OSError:
                if time.monotonic() > ends:
                    raise
                time.sleep(0.05)
