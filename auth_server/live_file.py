"""A file whose contents are used for as long as the process runs, and which may be replaced meanwhile.

Each use costs one stat(2). A folder of systemd credentials is a copy that never changes: there a
process has what it started with.
"""

from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar

import structlog

from auth_server.errors import KeyringRefused
from auth_server.incidents import report_incident

Value = TypeVar("Value")

log = structlog.get_logger(__name__)


class LiveFile(Generic[Value]):
    """What a file says now. `read` raises KeyringRefused where the file cannot be used."""

    def __init__(self, path: Path, read: Callable[[Path], Value]) -> None:
        """Read it. Raises KeyringRefused."""
        self._path = path
        self._read = read
        self._lock = Lock()
        self._told: tuple[int, ...] | None = ()
        self._seen = _stamp(path)
        self._value = read(path)

    def __call__(self) -> Value:
        """Return what the file says, or said last where it cannot be used now, which is an incident."""
        if _stamp(self._path) != self._seen:
            self.read_again()
        return self._value

    def read_again(self) -> Value:
        """The same, whether the file looks changed or not."""
        with self._lock:
            # The stamp comes first: what is written after it is read at the next use.
            stamp = _stamp(self._path)
            try:
                self._value = self._read(self._path)
                self._seen = stamp
            except KeyringRefused as error:
                # Tried again at each use, because it may be this process that was out of files; told once.
                if stamp != self._told:
                    report_incident(log, error, file=self._path.name, why=str(error))
                self._told = stamp
        return self._value


def _stamp(path: Path) -> tuple[int, ...] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    # The change time too: a file that others could read is refused until its mode is mended.
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size)
