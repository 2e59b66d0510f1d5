"""Liveness, readiness and metrics of a worker, on the local port.

Any of them answers for itself, and metrics are gathered over all.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from auth_server.errors import AuthServerError
from auth_server.local_port import LocalPort
from auth_server.metrics import CLOCK_OFFSET
from auth_server.services import Services
from auth_server.settings import HealthSettings

FREE_MIN_BYTES: Final = 8 * 2**20
"""Below it the next login may be the one whose row finds no room, and so is refused."""


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
    # Reading goes on where nothing can be written, and then every login is refused.
    disk = disk_fault(services.database.path.parent)
    if disk is not None:
        faults["disk"] = disk
    try:
        services.audit.head()
        # An open file outlives its name: rows would go where no backup and no restart finds them.
        if not services.database.path.is_file():
            faults["store"] = f"{services.database.path} is gone"
    except AuthServerError as error:
        faults["store"] = str(error)
    except Exception as error:  # whatever the driver raises, the answer is "not ready"
        faults["store"] = type(error).__name__
    status = services.time.status()
    faults.update(services.housekeeping.faults)
    if status.state == "wrong":
        faults["clock"] = f"off by {status.offset_s} s"
    return faults


def _metrics(services: Services) -> bytes:
    offset_s = services.time.status().offset_s
    if offset_s is not None:
        CLOCK_OFFSET.set(offset_s)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


def open_port(
    settings: HealthSettings, services: Services, warnings: Mapping[str, str] = MappingProxyType({})
) -> LocalPort:
    """Listen for a worker; `warnings` are the settings' own, by part. Raises StartRefused for a port in use."""
    return LocalPort(
        settings,
        lambda: readiness(services),
        lambda: {**warnings, **services.notifier.warnings},
        lambda: _metrics(services),
    )
