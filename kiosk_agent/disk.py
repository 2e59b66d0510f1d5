"""Whether the disk could be written, found out without writing: an agent at work writes nothing.

Under systemd the agent's own view tells little: its sandbox shows a disk that can be written as one that cannot,
and copies of secrets, in memory, lie over the folder of the device key.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

FREE_MIN_BYTES: Final = 8 * 2**20
"""Below it neither an upgrade nor the system's own log has room."""

_MOUNTS: Final = Path("/proc/self/mountinfo")
_DEVICE, _OF_THE_FILE_SYSTEM = 2, -1
"""Fields of a line of mountinfo: major:minor, and the options of the file system, not of the mount (proc(5))."""


def disk_of(folder: Path, around: Mapping[str, str] = os.environ) -> Path:
    """Return the folder, or the nearest above it that is on a disk where systemd's copies of secrets lie over it."""
    copies = around.get("CREDENTIALS_DIRECTORY")
    if copies is None:
        return folder
    try:
        memory = Path(copies).stat().st_dev
        return next((place for place in (folder, *folder.parents) if place.stat().st_dev != memory), folder)
    except OSError:
        return folder


def disk_fault(
    folder: Path,
    *,
    is_read_only: bool,
    look: Callable[[Path], os.statvfs_result] = os.statvfs,
    mounts: Path = _MOUNTS,
) -> str | None:
    """Return what is wrong with the file system of a folder; `is_read_only` tells that it is so on purpose."""
    try:
        found = look(folder)
        is_closed = bool(found.f_flag & os.ST_RDONLY) and _is_closed_to_all(folder, mounts)
    except OSError as error:
        return f"disk: {folder}: {error.strerror}"
    if is_closed:
        return None if is_read_only else f"disk: {folder} is read-only: look for errors in the kernel's log"
    free = found.f_bavail * found.f_frsize
    if free < FREE_MIN_BYTES:
        return f"disk: {folder} has {free // 1024} KiB free: remove what fills it"
    return None


def _is_closed_to_all(folder: Path, mounts: Path) -> bool:
    """Whether the file system itself is read-only, and not its mount in this process's sandbox alone."""
    device = folder.stat().st_dev
    lines = [line.split() for line in mounts.read_text(encoding="utf-8", errors="replace").splitlines()]
    own = [words for words in lines if words[_DEVICE] == f"{os.major(device)}:{os.minor(device)}"]
    # A file system that is not listed by its number, as btrfs is not, is what its mount says.
    return not own or any("ro" in words[_OF_THE_FILE_SYSTEM].split(",") for words in own)
