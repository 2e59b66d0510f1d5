"""The checkpoint file: signed heads of the audit log, one JSON line each, kept apart from it.

Copy it off the host as it grows: an attacker who holds the database, its keys and every copy of
this file can still cut both at the same row.
"""

import fcntl
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auth_server.audit_anchors import judge_lines
from auth_server.audit_chain import Checkpoint, DamagedLine, HandOver, Head, Restore, StoredRow, holds
from auth_server.audit_keys import KeyPath, is_counter_signed_by, is_signed_by, key_path
from auth_server.audit_processes import judge_in_processes
from auth_server.audit_verify import ChainReport, Signed, verify_chain
from auth_server.canonical import utc_text
from auth_server.checkpoint_file import lines_backwards, lines_to, marks_to, write_all
from auth_server.checkpoint_line import line_of
from auth_server.errors import StoreError
from auth_server.key_forms import State
from auth_server.keyring import SigningKeys, key_id
from auth_server.on_disk import flush_folder
from auth_server.settings import StoreSettings
from auth_server.signed_log import SignedLog, difference, refuse_another

_LONG_BYTES: Final = 2**20
"""Beyond it other processes check the signatures: to start them takes as long as 3,000 lines."""


@dataclass(frozen=True, slots=True)
class _End:
    """How the file ends: inside a line, or not; the newest checkpoint of ours; and the key to go on with."""

    is_broken: bool
    newest: Checkpoint | None
    signer: Ed25519PrivateKey


class Checkpoints:
    """Writes and reads one checkpoint file. Any number of processes may write to it."""

    def __init__(self, path: Path, keys: SigningKeys, *, is_log_shared: bool = False) -> None:
        """`is_log_shared` says that other servers sign the same log into files of theirs, and may rotate its key."""
        self.path = path
        self._keys = keys
        self._is_log_shared = is_log_shared

    @classmethod
    def of(cls, store: StoreSettings, keys: SigningKeys) -> "Checkpoints":
        """The checkpoint file of a site's server."""
        return cls(store.checkpoints, keys, is_log_shared=not isinstance(store.database, Path))

    def write(self, log: SignedLog, now: datetime) -> bool:
        """Sign the log's head and add it to the file, through to the disk; False when the log has not grown.

        Raises LogRolledBack when the row of the newest checkpoint is missing or another one, because
        signing would hide it, and StoreError when the log cannot be read or the file not written.
        """
        if self._may_be_left_behind and (left_behind := self._left_behind(self.marks())) is not None:
            both = SigningKeys.of(left_behind, self._keys.current)
            Checkpoints(self.path, both).hand_over(log, self._keys.current, now)
        with self._locked() as descriptor:
            end = self._end_of_file(descriptor)
            head = log.head()
            if end.newest is not None:
                refuse_another(end.newest, head, log, self.path)
                if head.sequence == end.newest.sequence:
                    return False
            self._append(descriptor, end, _draft(head, now))
        return True

    def accept_restore(self, log: SignedLog, now: datetime) -> Checkpoint:
        """Sign the head of a log that an administrator says was restored, and return that checkpoint.

        It gives up the checkpoints after the newest one that the log still agrees with. Raises
        StoreError when there is nothing to accept, or the log or the file fails.
        """
        with self._locked() as descriptor:
            end = self._end_of_file(descriptor)
            head, newest = log.head(), end.newest
            if newest is None or difference(newest, head, log, self.path) is None:
                raise StoreError("the audit log is the one that was signed: there is no restore to accept")
            kept, count = self._newest_common(log), sum(1 for _ in self.read())
            restore = Restore(kept, Head(newest.sequence, newest.head), count + 1)
            return self._append(descriptor, end, replace(_draft(head, now), restore=restore))

    def hand_over(self, log: SignedLog, new_key: Ed25519PrivateKey, now: datetime) -> Checkpoint:
        """Sign, with the key in force and the new one, that the new one signs from here on; return that line.

        Where the file was handed over to this key already, that line is returned and nothing written,
        so that a rotation may be done again after a kill. Raises as `write` does.
        """
        with self._locked() as descriptor:
            end = self._end_of_file(descriptor)
            newest, head, successor = end.newest, log.head(), new_key.public_key()
            if newest is not None:
                refuse_another(newest, head, log, self.path)
            if key_id(end.signer.public_key()) == key_id(successor):
                done = next((made for made in self.marks() if is_counter_signed_by(made, successor)), None)
                if done is None:
                    raise StoreError(f"key {key_id(successor)} is the audit key in use: hand over to a new one")
                return done
            old, new = (key.public_bytes_raw() for key in (end.signer.public_key(), successor))
            mark = HandOver(old, new, sum(1 for _ in self.read()) + 1)
            made = self._append(descriptor, end, replace(_draft(head, now), hand_over=mark), new_key)
            return replace(made, line=mark.line)

    def newest(self) -> Checkpoint | None:
        """Return the newest checkpoint of ours, or None. Raises StoreError when the file cannot be read."""
        try:
            with self.path.open("rb") as file:
                return self._end_of_file(file.fileno()).newest
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"the checkpoint file {self.path} cannot be read: {error.strerror}") from error

    def verify(self, rows: Iterable[StoredRow], in_use: Ed25519PublicKey | None = None) -> ChainReport:
        """Check a log's rows, from the first on, against this file.

        `in_use` is the audit key of the time, where the file is an old copy. Raises StoreError when it
        cannot be read.
        """
        return verify_chain(rows, self.signed(in_use))

    def signed(self, in_use: Ed25519PublicKey | None = None) -> Signed:
        """Return what stands in the file now, for `verify_chain`."""
        size = self._size()
        marks = self._marks(size)
        keys = self._key_path(marks, in_use)
        judge = judge_in_processes if size >= _LONG_BYTES else judge_lines
        return Signed(lines=self._lines(size), keys=keys, marks=marks, judge=judge)

    def marks(self) -> list[Checkpoint]:
        """Return the lines that accept a restore or hand over to another key; signatures are not checked."""
        return self._marks(self._size())

    def read(self) -> Iterator[Checkpoint | DamagedLine]:
        """Give every line that stood in the file when reading began; none when there is no file.

        Signatures are not checked here but by `verify_chain`. Raises StoreError when it cannot be read.
        """
        yield from self._lines(self._size())

    def _size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0
        except OSError as error:
            raise StoreError(f"the checkpoint file {self.path} cannot be read: {error.strerror}") from error

    def _lines(self, size: int) -> Iterator[Checkpoint | DamagedLine]:
        with _read_errors(self.path):
            yield from lines_to(self.path, size)

    def _marks(self, size: int) -> list[Checkpoint]:
        with _read_errors(self.path):
            return list(marks_to(self.path, size))
        return []

    def _key_path(self, marks: Sequence[Checkpoint], in_use: Ed25519PublicKey | None = None) -> KeyPath:
        held = [key.material.public_key() for key in self._keys.keys]
        if in_use is None and (left_behind := self._left_behind(marks)) is not None:
            in_use = left_behind.public_key()
        return key_path(marks, in_use or held[0], held)

    @property
    def _may_be_left_behind(self) -> bool:
        """Whether the whole file need be read to know: between a rotation and the old key's end alone."""
        return self._is_log_shared and any(key.state is State.OLD for key in self._keys.keys)

    def _left_behind(self, marks: Sequence[Checkpoint]) -> Ed25519PrivateKey | None:
        """Return the old key that is in force here, where a key is in use of which nothing stands here yet; else None.

        So it is where another server of the same database rotated the audit key, and its key files were copied here.
        """
        present, *others = self._keys.keys
        olds = [key.material for key in others if key.state is State.OLD]
        if not self._may_be_left_behind or key_path(marks, present.material.public_key()).hand_overs:
            return None
        signers = {line.key_id for line in self.read() if isinstance(line, Checkpoint)}
        if present.id in signers:
            return None
        return next((key for key in olds if key_id(key.public_key()) in signers), None)

    def _end_of_file(self, descriptor: int) -> _End:
        """Look from the end for the newest line of ours; others may have been forged, and `verify` reports them."""
        size = os.fstat(descriptor).st_size
        is_broken = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        key, *others = [key.material for key in self._keys.keys]
        for line in lines_backwards(descriptor, size):
            if isinstance(line, DamagedLine):
                continue
            is_by_us = is_signed_by(line, key.public_key())
            if (is_by_us and line.hand_over) or any(is_signed_by(line, other.public_key()) for other in others):
                return self._handed_over_end(is_broken)
            if is_by_us or is_counter_signed_by(line, key.public_key()):
                return _End(is_broken, line, key)
        return _End(is_broken, None, key)

    def _handed_over_end(self, is_broken: bool) -> _End:
        """The same where a rotation was not finished: the file has a new key, and the key folder still the old one."""
        keys = self._key_path(self.marks())
        newest = None
        for line in self.read():
            if isinstance(line, Checkpoint) and keys.fault(line) is None:
                newest = line
        signer = next((k.material for k in self._keys.keys if k.id == key_id(keys.newest)), self._keys.current)
        return _End(is_broken, newest, signer)

    def _newest_common(self, log: SignedLog) -> int:
        """The newest row that a checkpoint in force signed and the log still has; 0 when there is none."""
        keys = self._key_path(self.marks())
        made = [line for line in self.read() if isinstance(line, Checkpoint) and keys.fault(line) is None]
        restores = [line for line in made if line.restore is not None and line.is_in_its_place]
        in_force = (line for line in reversed(made) if holds(line, restores))
        return next((line.sequence for line in in_force if log.hash_at(line.sequence) == line.head), 0)

    def _append(
        self, descriptor: int, end: _End, draft: Checkpoint, new_key: Ed25519PrivateKey | None = None
    ) -> Checkpoint:
        named = replace(draft, key_id=key_id(end.signer.public_key()))
        text = named.signed_bytes()
        countersignature = b"" if new_key is None else new_key.sign(text)
        made = replace(named, signature=end.signer.sign(text), countersignature=countersignature)
        # A line that a power cut left unended stays, as a line of its own.
        write_all(descriptor, (b"\n" if end.is_broken else b"") + line_of(made))
        os.fsync(descriptor)
        return made

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
                flush_folder(self.path.parent)
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
        refuse_another(newest, log.head(), log, checkpoints.path)


def _draft(head: Head, now: datetime) -> Checkpoint:
    return Checkpoint(head.sequence, head.row_hash, utc_text(now), "", b"")


@contextmanager
def _read_errors(path: Path) -> Iterator[None]:
    """A file that is not there has no lines; one that cannot be read is a StoreError."""
    try:
        yield
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(f"the checkpoint file {path} cannot be read: {error.strerror}") from error
