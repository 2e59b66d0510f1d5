"""Who has a database open: every opener shares a lock, and whoever replaces the file holds it alone.

The lock is an flock(2) of the folder that holds the database. A lock on the file itself would follow
the file when it is renamed, and closing it would drop SQLite's own locks; a lock file could not be
made on a full disk. The kernel drops the lock with its process, so none is ever left behind.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from auth_server.errors import StoreError


class OpenElsewhere(StoreError):
    """A database that must be nobody else's for a moment is open in another process."""

    def __init__(self, database: object) -> None:
        super().__init__(
            f"{database} is open in another process, the server or another command: stop it, then try again"
        )


class InUse:
    """A process's share in the use of the databases of one folder, until `end`."""

    def __init__(self, database: Path) -> None:
        """Take a share. Raises StoreError while somebody holds the folder alone, as a restore does."""
        self._descriptor: int | None = None
        self._descriptor = _locked(database, fcntl.LOCK_SH)

    def end(self) -> None:
        """Give the share back; once is enough."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        """A database that nobody closed must not stay locked for the life of the process."""
        with suppress(OSError):
            self.end()


@contextmanager
def alone(database: Path) -> Iterator[None]:
    """Keep every other opener away from a database until leaving.

    Raises OpenElsewhere at once, without waiting, when anybody has it open.
    """
    descriptor = _locked(database, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(database: Path, how: int) -> int:
    folder = database.parent
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"the folder {folder} cannot be opened: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        if how == fcntl.LOCK_SH:
            raise StoreError(f"{database} is being replaced by a restore: wait for it to end") from None
        raise OpenElsewhere(database) from None
    except OSError as error:
        os.close(descriptor)
        raise StoreError(f"the folder {folder} cannot be locked: {error.strerror}") from error
    return descriptor
