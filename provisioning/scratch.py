"""A folder for work in progress: closed to others, one user at a time, and empty when work begins.

A run that was killed leaves its folder, and the next run for the same place removes what is in it.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from provisioning.errors import Refused


@contextmanager
def scratch_folder(beside: Path, what: str) -> Iterator[Path]:
    """Give an empty folder, mode 0700, inside `beside`; it is gone afterwards, whatever happens.

    Raises Refused when it cannot be made, or another run holds it.
    """
    scratch = beside / f".4auth-{what}.scratch"
    lock = _opened(scratch)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another {what} is at work in {beside}: wait for it to end") from None
        _empty(scratch)
        work = scratch / "work"  # apart from the lock, because a database in it locks its own folder
        work.mkdir(mode=0o700)
        try:
            yield work
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    finally:
        os.close(lock)


def _opened(scratch: Path) -> int:
    try:
        scratch.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise Refused(f"{scratch} cannot be made: {error.strerror}: name a folder that you may write to") from None
    if os.fstat(lock).st_uid != os.geteuid():
        os.close(lock)
        raise Refused(f"{scratch} belongs to another user: remove it, or name another folder")
    return lock


def _empty(folder: Path) -> None:
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
