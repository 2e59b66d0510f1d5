"""The checkpoint file: signed heads of the audit log, one JSON line each, kept apart from it.

Copy it off the host as it grows: an attacker who holds the database, its keys and every copy of
this file can still cut both at the same row.
"""

import base64
import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_server.audit_chain import Checkpoint, DamagedLine, Head
from auth_server.canonical import canonical_json, utc_text
from auth_server.errors import StoreError
from auth_server.keyring import key_id

_LINE_MAX_BYTES: Final = 1024
_TAIL_BYTES: Final = 8 * _LINE_MAX_BYTES
_SEQUENCE_MAX: Final = 2**63 - 1


class Checkpoints:
    """Writes and reads one checkpoint file. Any number of processes may write to it."""

    def __init__(self, path: Path, key: Ed25519PrivateKey) -> None:
        self._path = path
        self._key = key
        self._key_id = key_id(key.public_key())

    def write(self, head: Head, now: datetime) -> bool:
        """Sign `head` and add it to the file, through to the disk; False when the log has not grown.

        Raises StoreError when the file cannot be written, and when the log is behind its newest
        checkpoint: then an older copy of the database was put back, and signing would hide it.
        """
        draft = Checkpoint(head.sequence, head.row_hash, utc_text(now), self._key_id, b"")
        made = replace(draft, signature=self._key.sign(draft.signed_bytes()))
        try:
            with self._locked() as descriptor:
                is_broken, newest = self._end_of_file(descriptor)
                if not self._is_growth(newest, head):
                    return False
                # A line that a power cut left unended stays, as a line of its own.
                _write_all(descriptor, (b"\n" if is_broken else b"") + _line(made))
                os.fsync(descriptor)
        except OSError as error:
            raise StoreError(f"the checkpoint file {self._path} cannot be written: {error.strerror}") from error
        return True

    def read(self) -> Iterator[Checkpoint | DamagedLine]:
        """Give every line that stood in the file when reading began; none when there is no file.

        Signatures are not checked here but by `verify_chain`. Raises StoreError when it cannot be read.
        """
        try:
            with self._path.open("rb") as file:
                end = os.fstat(file.fileno()).st_size
                number = 0
                while (start := file.tell()) < end:
                    number += 1
                    line = file.readline(_LINE_MAX_BYTES)
                    if file.tell() > end:  # a line that was still being written when reading began
                        line = line[: end - start]
                    yield parse_line(line, number)
        except FileNotFoundError:
            return
        except OSError as error:
            raise StoreError(f"the checkpoint file {self._path} cannot be read: {error.strerror}") from error

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

    def _is_growth(self, newest: Checkpoint | None, head: Head) -> bool:
        if newest is None or head.sequence > newest.sequence:
            return True
        if head == (newest.sequence, newest.head):
            return False
        if head.sequence == newest.sequence:
            raise StoreError(
                f"row {head.sequence} of the audit log is not the one signed on {newest.ts_utc} in {self._path}: "
                "run `4auth-provision audit verify`"
            )
        raise StoreError(
            f"the audit log ends at row {head.sequence}, but {self._path} has a checkpoint of row {newest.sequence}: "
            "an older copy of the database was put back. Run `4auth-provision audit verify`"
        )

    @contextmanager
    def _locked(self) -> Iterator[int]:
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if is_new:
                _sync_folder(self._path.parent)
            # The lock belongs to this opening of the file, so it keeps out threads as well.
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)


def parse_line(line: bytes, number: int) -> Checkpoint | DamagedLine:
    """Read one line of the file, ended by a newline."""
    if not line.endswith(b"\n"):
        return DamagedLine(number, "its end is missing, as after a power cut")
    try:
        members = json.loads(line)
        made = Checkpoint(
            sequence=members["sequence"],
            head=members["head"],
            ts_utc=members["ts_utc"],
            key_id=members["key_id"],
            signature=base64.b64decode(members["signature"], validate=True),
            line=number,
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return DamagedLine(number, "it is no checkpoint record")
    texts = (made.head, made.ts_utc, made.key_id)
    if type(made.sequence) is not int or not 0 <= made.sequence <= _SEQUENCE_MAX or not all(map(_is_text, texts)):
        return DamagedLine(number, "it is no checkpoint record")
    return made


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isascii()


def _line(made: Checkpoint) -> bytes:
    members = {
        "sequence": made.sequence,
        "head": made.head,
        "ts_utc": made.ts_utc,
        "key_id": made.key_id,
        "signature": base64.b64encode(made.signature).decode(),
    }
    return canonical_json(members).encode() + b"\n"


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
