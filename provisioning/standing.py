"""What stands in the place of a restore, and what the restore would give up of it."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from auth_server.audit import AuditLog
from auth_server.audit_chain import GENESIS, Checkpoint, Head
from auth_server.checkpoints import Checkpoints
from auth_server.errors import StoreError
from auth_server.store.backup import fold_log, opens_with, query
from auth_server.store.database import open_database
from auth_server.store.in_use import OpenElsewhere
from provisioning.backup_keys import Ring

HEAD: Final = "SELECT id, row_hash FROM access_logs ORDER BY id DESC LIMIT 1"
"""Asked in SQL, because the database may have an older schema."""

_HASH: Final = "SELECT row_hash FROM access_logs WHERE id = ?"


@dataclass(frozen=True, slots=True)
class Standing:
    """The database that stands in the place of a restore. `key` opens it; None where no key of ours does."""

    path: Path
    key: bytes | None

    def head(self) -> Head | None:
        """The newest row of its log; None where it cannot be read."""
        rows = self._ask(HEAD)
        if rows is None:
            return None
        return Head(*rows[0]) if rows else Head(0, GENESIS)

    def hash_at(self, row_id: int) -> str | None:
        """A row's hash, or None where there is no such row or it cannot be read."""
        rows = self._ask(_HASH, (row_id,))
        return str(rows[0][0]) if rows else None

    def _ask(self, statement: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]] | None:
        if self.key is None:
            return None
        try:
            return query(self.path, self.key, statement, values)
        except StoreError:  # damaged: that may be why it is replaced
            return None


def standing(path: Path, ring: Ring) -> Standing | None:
    """Look at what stands at the place of the database; None for nothing.

    Raises OpenElsewhere when somebody has it open, whatever program that is.
    """
    if not path.exists():
        return None
    if not any(opens_with(path, key) for key in ring.database.values()):
        return Standing(path, None)
    # It is ours. Which key it is depends on its log too, where a rotation was killed.
    return Standing(path, next((key for key in ring.database.values() if _folded(path, key)), None))


def _folded(path: Path, key: bytes) -> bool:
    """Make it one whole file; False for another key, or for one that is damaged, which may be why it is replaced."""
    try:
        fold_log(path, key)
    except OpenElsewhere:
        raise
    except StoreError:
        return False
    return True


class Log(Protocol):
    """The log of what a restore replaces."""

    def head(self) -> Head | None:
        """The newest row; None where it cannot be read."""
        ...

    def hash_at(self, row_id: int) -> str | None:
        """A row's hash, or None."""
        ...


@dataclass(frozen=True, slots=True)
class Loss:
    """What a restore gives up: the rows after `kept`, up to `given_up_to`, that are known to have been there."""

    kept: int
    given_up_to: int

    @property
    def rows(self) -> int:
        """How many rows that is."""
        return max(0, self.given_up_to - self.kept)


def loss(restored: Path, ring: Ring, old: Log | None, checkpoints: Checkpoints) -> Loss:
    """Compare the log of an unpacked backup with what stands here and what was signed here."""
    with closing(open_database(restored, ring.keyring)) as database:
        log = AuditLog(database)
        head, newest = log.head(), checkpoints.newest()
        old_head = old.head() if old is not None else None
        ends = [end.sequence for end in (old_head, newest) if end is not None]
        if old is not None and old_head is not None:
            kept = _shared(min(head.sequence, old_head.sequence), lambda row: log.hash_at(row) == old.hash_at(row))
        else:
            kept = _signed_last(checkpoints, log, head.sequence)
    return Loss(kept, max(ends, default=kept))


def _shared(most: int, is_same: Callable[[int], bool]) -> int:
    """The last row that two logs share, found by halves: chained logs that part never meet again."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if is_same(middle) else (low, middle - 1)
    return low


def _signed_last(checkpoints: Checkpoints, log: AuditLog, most: int) -> int:
    """How far the log is the signed one: to its end, unless the newest checkpoints within it differ."""
    lines = [line for line in checkpoints.read() if isinstance(line, Checkpoint) and line.sequence <= most]
    differing = False
    for line in reversed(lines):
        if log.hash_at(line.sequence) == line.head:
            return line.sequence if differing else most
        differing = True
    return 0 if differing else most
