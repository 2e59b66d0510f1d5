"""Liveness, readiness and metrics of a worker, on the local port.

Any of them answers for itself, and metrics are gathered over all.
"""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import MappingProxyType
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from auth_server.errors import AuthServerError, StoreError
from auth_server.last_backup import last_backup
from auth_server.local_port import LocalPort
from auth_server.metrics import CLOCK_OFFSET, KIOSKS, LAST_BACKUP, READY
from auth_server.services import Services
from auth_server.settings import HealthSettings
from auth_server.signs_of_life import count_states

FREE_MIN_BYTES: Final = 8 * 2**20
"""Below it the next login may be the one whose row finds no room, and so is refused."""


PROMPT_S: Final = 3.0
"""For which a readiness check waits for the store."""


def disk_fault(folder: Path, look: Callable[[Path], os.statvfs_result] = os.statvfs) -> str | None:
    """Return why nothing more can be written to the file system of a folder, found out without writing; else None."""
    try:
        found = look(folder)
    except OSError as error:
        return f"{folder}: {error.strerror}"
    if found.f_flag & os.ST_RDONLY:
        return f"{folder} is read-only: look for errors in the kernel's log"
    free = found.f_bavail * found.f_frsize
    return f"{folder} has {free // 1024} KiB free: remove what fills it" if free < FREE_MIN_BYTES else None


def readiness(services: Services) -> dict[str, str]:
    """What stands in the way of serving, by part; empty when ready."""
    faults: dict[str, str] = {}
    file = services.database.location
    # Reading goes on where nothing can be written, and then every login is refused.
    disk = disk_fault(file.parent) if isinstance(file, Path) else None
    if disk is not None:
        faults["disk"] = disk
    try:
        services.audit.head()
        # An open file outlives its name: rows would go where no backup and no restart finds them.
        if isinstance(file, Path) and not file.is_file():
            faults["store"] = f"{file} is gone"
    except AuthServerError as error:
        faults["store"] = str(error)
    except Exception as error:  # whatever the driver raises, the answer is "not ready"
        faults["store"] = type(error).__name__
    status = services.time.status()
    faults.update(services.housekeeping.faults)
    if status.state == "wrong":
        faults["clock"] = f"off by {status.offset_s} s"
    return faults


class Prompt:
    """Asks for what is wrong in a thread of its own, and tells as a fault that the answer takes longer than `within_s`.

    Whoever asks, as Prometheus does, does not wait for a store that hangs as long as a login does.
    """

    def __init__(self, ask: Callable[[], dict[str, str]], within_s: float = PROMPT_S) -> None:
        self._ask, self._within_s = ask, within_s
        self._pool, self._turn = ThreadPoolExecutor(1, thread_name_prefix="readiness"), Lock()
        self._asked: Future[dict[str, str]] | None = None

    def __call__(self) -> dict[str, str]:
        """Return the faults by part. Who asks while another does gets the same answer."""
        with self._turn:
            if self._asked is None or self._asked.done():
                self._asked = self._pool.submit(self._ask)
            asked = self._asked
        try:
            return asked.result(self._within_s)
        except TimeoutError:
            return {"store": f"no answer for {self._within_s:g} s"}


def _metrics(services: Services, faults: Mapping[str, str]) -> bytes:
    offset_s = services.time.status().offset_s
    if offset_s is not None:
        CLOCK_OFFSET.set(offset_s)
    READY.set(not faults)
    if "store" not in faults:
        with suppress(StoreError):  # the metrics of its faults are read all the same
            for state, count in count_states(services.kiosks.list(), services.time.now()).items():
                KIOSKS.labels(state).set(count)
            backed_up = last_backup(services.database)
            LAST_BACKUP.set(0 if backed_up is None else backed_up.timestamp())
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


def open_port(
    settings: HealthSettings, services: Services, warnings: Mapping[str, str] = MappingProxyType({})
) -> LocalPort:
    """Listen for a worker; `warnings` are the settings' own, by part. Raises StartRefused for a port in use."""
    ready = Prompt(lambda: readiness(services))
    return LocalPort(
        settings,
        ready,
        lambda: {**warnings, **services.notifier.warnings},
        lambda: _metrics(services, ready()),
    )
