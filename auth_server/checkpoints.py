"""The checkpoint file: signed heads of the audit log, one JSON line each, kept apart from it.

Copy it off the host as it grows: an attacker who holds the database, its keys and every copy of
this file can still cut both at the same row.
"""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_server.audit_chain import Checkpoint, DamagedLine, Head, Restore, holds
from auth_server.canonical import utc_text
from auth_server.checkpoint_line import LINE_MAX_BYTES, line_of, parse_line
from auth_server.errors import LogRolledBack, StoreError
from auth_server.keyring import key_id

_WAY_BACK: Final = (
    "Nobody is let in until you put back the right database or, where this one was restored on purpose, "
    "run `4auth-provision audit accept-restore`"
)
_TAIL_BYTES: Final = 8 * LINE_MAX_BYTES


class SignedLog(Protocol):
    """What is asked of the log whose heads are signed; `AuditLog` is one."""

    def head(self) -> Head:
        """The newest row's number and hash."""
        ...

    def hash_at(self, row_id: int) -> str | None:
        """A row's hash, or None where there is no such row."""
        ...


class Checkpoints:
    """Writes and reads one checkpoint file. Any number of processes may write to it."""

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        self.path = path
        self._key = key
        self._key_id = key_id(key.public_key())

    def write(self, log: SignedLog, now: datetime) -> bool:
        """Sign the log's head and add it to the file, through to the disk; False when the log has not grown.

        Raises LogRolledBack when the row of the newest checkpoint is missing or another one, because
        signing would hide it, and StoreError when the log cannot be read or the file not written.
        """
        with self._locked() as descriptor:
            is_broken, newest = self._end_of_file(descriptor)
            head = log.head()
            if newest is not None:
                _refuse_another(newest, head, log, self.path)
                if head.sequence == newest.sequence:
                    return False
            self._append(descriptor, self._signed(head, now), is_broken)
        return True

    def accept_restore(self, log: SignedLog, now: datetime) -> Checkpoint:
        """Sign the head of a log that an administrator says was restored, and return that checkpoint.

        It gives up the checkpoints after the newest one that the log still agrees with. Raises
        StoreError when there is nothing to accept, or the log or the file fails.
        """
        with self._locked() as descriptor:
            is_broken, newest = self._end_of_file(descriptor)
            head, lines = log.head(), list(self.read())
            if newest is None or _difference(newest, head, log, self.path) is None:
                raise StoreError("the audit log is the one that was signed: there is no restore to accept")
            given_up = Head(newest.sequence, newest.head)
            restore = Restore(self._newest_common(lines, log), given_up, len(lines) + 1)
            made = self._signed(head, now, restore)
            self._append(descriptor, made, is_broken)
        return made

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint of ours, or None. Raises StoreError when the file cannot be read."""
        try:
            with self.path.open("rb") as file:
                return self._end_of_file(file.fileno())[1]
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"the checkpoint file {self.path} cannot be read: {error.strerror}") from error

    def restores(self) -> list[Checkpoint]:
        """Return the lines that accept a restore, for `verify_chain`; signatures are checked there."""
        return [line for line in self.read() if isinstance(line, Checkpoint) and line.restore is not None]

    def read(self) -> Iterator[Checkpoint | DamagedLine]:
        """Give every line that stood in the file when reading began; none when there is no file.

        Signatures are not checked here but by `verify_chain`. Raises StoreError when it cannot be read.
        """
        try:
            with self.path.open("rb") as file:
                end = os.fstat(file.fileno()).st_size
                number = 0
                while (start := file.tell()) < end:
                    number += 1
                    line = file.readline(LINE_MAX_BYTES)
                    if file.tell() > end:  # a line that was still being written when reading began
                        line = line[: end - start]
                    yield parse_line(line, number)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"the checkpoint file {self.path} cannot be read: {error.strerror}") from error

    def _end_of_file(self, descriptor: int) -> tuple[bool, Checkpoint | None]:
        """Whether the file ends inside a line, and the newest checkpoint of ours among its last lines."""
        size = os.fstat(descriptor).st_size
        tail = os.pread(descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
        lines = (parse_line(line, 0) for line in reversed(tail.splitlines(keepends=True)))
        newest = next((line for line in lines if isinstance(line, Checkpoint) and self._is_ours(line)), None)
        return bool(tail) and not tail.endswith(b"\n"), newest

    def _is_ours(self, made: Checkpoint) -> bool:
        # A forged line of row 2**62 must not keep us from signing; `verify_chain` reports it.
        try:
            self._key.public_key().verify(made.signature, made.signed_bytes())
        except (InvalidSignature, ValueError):
            return False
        return True

    def _newest_common(self, lines: Sequence[Checkpoint | DamagedLine], log: SignedLog) -> int:
        """The newest row that a checkpoint in force signed and the log still has; 0 when there is none."""
        made = [line for line in lines if isinstance(line, Checkpoint)]
        restores = [line for line in made if line.restore is not None and self._is_ours(line)]
        in_force = (line for line in reversed(made) if holds(line, restores) and self._is_ours(line))
        return next((line.sequence for line in in_force if log.hash_at(line.sequence) == line.head), 0)

    def _signed(self, head: Head, now: datetime, restore: Restore | None = None) -> Checkpoint:
        draft = Checkpoint(head.sequence, head.row_hash, utc_text(now), self._key_id, b"", restore=restore)
        return replace(draft, signature=self._key.sign(draft.signed_bytes()))

    def _append(self, descriptor: int, made: Checkpoint, is_broken: bool) -> None:
        # A line that a power cut left unended stays, as a line of its own.
        _write_all(descriptor, (b"\n" if is_broken else b"") + line_of(made))
        os.fsync(descriptor)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        try:
            with self._opened() as descriptor:
                # The lock belongs to this opening of the file, so it keeps out threads as well.
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                yield descriptor
        except OSError as error:
            raise StoreError(f"the checkpoint file {self.path} cannot be written: {error.strerror}") from error

    @contextmanager
    def _opened(self) -> Iterator[int]:
        is_new = not self.path.exists()
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if is_new:
                _sync_folder(self.path.parent)
            yield descriptor
        finally:
            os.close(descriptor)


def check_log(log: SignedLog, checkpoints: Checkpoints) -> None:
    """Raise LogRolledBack, saying what to do, unless the log still has the row that was signed last.

    Raises StoreError when the log or the checkpoint file cannot be read.
    """
    # In this order: a row that another process signs meanwhile is in the log before it is in the file.
    newest = checkpoints.newest()
    if newest is not None:
        _refuse_another(newest, log.head(), log, checkpoints.path)


def _refuse_another(newest: Checkpoint, head: Head, log: SignedLog, path: Path) -> None:
    what = _difference(newest, head, log, path)
    if what is not None:
        raise LogRolledBack(f"{what}. {_WAY_BACK}")


def _difference(newest: Checkpoint, head: Head, log: SignedLog, path: Path) -> str | None:
    """In what the log is not the one that was signed, or None."""
    if head.sequence < newest.sequence:
        return (
            f"the audit log ends at row {head.sequence}, but {path} has a checkpoint of row {newest.sequence}: "
            "an older copy of the database was put back, or rows were cut off"
        )
    if log.hash_at(newest.sequence) != newest.head:
        return (
            f"row {newest.sequence} of the audit log is not the one signed on {newest.ts_utc} in {path}: "
            "an older copy of the database was put back and written on, or rows were changed"
        )
    return None


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
