"""Power cuts and bad sectors for tests: a store that fails at a chosen statement or commit.

A cut is made for real: the files are copied as they are at that moment, nothing gets through after it, and
whoever starts again finds the copy. In PostgreSQL what was committed at that moment is what is there.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from auth_server.errors import StoreError
from auth_server.store.database import Database


class Where(Enum):
    """What is reached before it fails."""

    STATEMENT = "before a statement"
    COMMIT = "before a commit"
    COMMITTED = "after a commit"


@dataclass(frozen=True)
class Fault:
    """What fails: the `count`th of its kind, from 1. After a `cut` nothing works any more, else all but this did."""

    where: Where
    count: int
    is_cut: bool = True


class Power:
    """The power of one opened database. `image` is where the files go that a cut leaves."""

    def __init__(self, database: Database, image: Path) -> None:
        self.is_cut = self.has_failed = False
        self._fault: Fault | None = None
        self._left = 0
        self._database, self._image = database, image
        event.listen(database.engine, "before_cursor_execute", lambda *_: self._reached(Where.STATEMENT))
        event.listen(database.engine, "commit", lambda *_: self._reached(Where.COMMIT))
        self._transaction = database.transaction
        database.transaction = self._noticed  # type: ignore[method-assign]

    def plan(self, fault: Fault | None) -> None:
        """Fail at this from now on, once; None for nothing."""
        self._fault, self._left, self.has_failed = fault, fault.count if fault else 0, False

    def restore(self) -> None:
        """Put the files that the cut left in the place of the database's; close all its openers before."""
        if not self._database.is_file:
            return
        path = self._database.path
        for name in _files(path):
            (path.parent / name).unlink(missing_ok=True)
            if (self._image / name).exists():
                shutil.move(self._image / name, path.parent / name)

    @contextmanager
    def _noticed(self) -> Iterator[Session]:
        with self._transaction() as session:
            yield session
        try:
            self._reached(Where.COMMITTED)
        except OperationalError as error:
            raise StoreError("the reply is lost") from error

    def _reached(self, where: Where) -> None:
        if self.is_cut:
            raise _fails("the power is cut")
        if self._fault is None or where is not self._fault.where:
            return
        self._left -= 1
        if self._left > 0:
            return
        self.has_failed, self.is_cut, self._fault = True, self._fault.is_cut, None
        if self.is_cut and self._database.is_file:
            self._image.mkdir(exist_ok=True)
            for name in _files(self._database.path):
                if not name.endswith("-shm") and (self._database.path.parent / name).exists():
                    shutil.copy(self._database.path.parent / name, self._image / name)
        raise _fails("the disk is bad")


def _files(path: Path) -> tuple[str, str, str]:
    # The index of the log (-shm) is not copied but made again: it is not on the disk after a power cut.
    return path.name, f"{path.name}-wal", f"{path.name}-shm"


def _fails(what: str) -> OperationalError:
    cause: Any = OSError(what)
    return OperationalError("a statement", None, cause)
