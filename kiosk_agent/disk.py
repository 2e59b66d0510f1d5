"""Whether the disk could be written, found out without writing: an agent at work writes nothing."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

FREE_MIN_BYTES: Final = 8 * 2**20
"""Below it neither an upgrade nor the system's own log has room."""


def disk_fault(
    folder: Path, *, is_read_only: bool, look: Callable[[Path], os.statvfs_result] = os.statvfs
) -> str | None:
    """Return what is wrong with the file system of a folder; `is_read_only` tells that it is so on purpose."""
    try:
        found = look(folder)
    except OSError as error:
        return f"disk: {folder}: {error.strerror}"
    if found.f_flag & os.ST_RDONLY:
        return None if is_read_only else f"disk: {folder} is read-only: look for errors in the kernel's log"
    free = found.f_bavail * found.f_frsize
    if free < FREE_MIN_BYTES:
        return f"disk: {folder} has {free // 1024} KiB free: remove what fills it"
    return None
