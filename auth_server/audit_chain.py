"""The audit chain: what a row and a checkpoint are, and how they are hashed and signed. Pure.

    detail_hash = SHA-256(detail_salt || detail as UTF-8)
    row_hash    = SHA-256(canonical JSON of the row's fields, detail_hash and prev_hash)

A row's detail and salt may be erased later, and the chain still holds. The hashes need no key, so
the chain alone proves only that rows belong together. The checkpoints, signed with a key that the
database does not hold, prove that it is the chain the server wrote.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple

from auth_server.canonical import canonical_json, utc_text

GENESIS: Final = "0" * 64
"""Stands before the first row."""

RESTORE: Final = "restore"
"""The kind of a checkpoint with which an administrator accepted a restored database."""

_SIGNED_AS: Final = b"4auth audit checkpoint v1\n"


class Head(NamedTuple):
    """The newest row's number and hash; `(0, GENESIS)` for an empty log."""

    sequence: int
    row_hash: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row as it is stored. `detail` is JSON, or None where it was erased with its salt."""

    id: int
    ts_utc: datetime
    username: str | None
    kiosk_id: str | None
    source_address: str | None
    action: str
    success: bool
    reason: str
    detail: str | None
    detail_salt: bytes | None
    detail_hash: str
    row_hash: str


@dataclass(frozen=True, slots=True)
class Restore:
    """An administrator's word that an older database was put back on purpose.

    Checkpoints on earlier lines, of rows after `kept`, hold no more; `given_up` is the newest of
    them. `line` is the place in the file that it was signed for: a copy elsewhere counts for nothing.
    """

    kept: int
    given_up: Head
    line: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The server's word that its log had `sequence` rows and ended in `head`. `line` is its place in the file."""

    sequence: int
    head: str
    ts_utc: str
    key_id: str
    signature: bytes
    line: int = 0
    restore: Restore | None = None

    def members(self) -> dict[str, object]:
        """All but the signature, as it stands in the file; an ordinary checkpoint has no kind."""
        members: dict[str, object] = {
            "sequence": self.sequence,
            "head": self.head,
            "ts_utc": self.ts_utc,
            "key_id": self.key_id,
        }
        if self.restore is not None:
            given_up = self.restore.given_up
            members |= {"kind": RESTORE, "kept": self.restore.kept, "line": self.restore.line}
            members |= {"old_sequence": given_up.sequence, "old_head": given_up.row_hash}
        return members

    def signed_bytes(self) -> bytes:
        """What the Ed25519 signature is over."""
        return _SIGNED_AS + canonical_json(self.members()).encode()


@dataclass(frozen=True, slots=True)
class DamagedLine:
    """A line of the checkpoint file that is no whole record, as a power cut leaves one."""

    line: int
    why: str


def holds(made: Checkpoint, restores: Iterable[Checkpoint]) -> bool:
    """Whether none of the restores that stand after a checkpoint has given it up."""
    return all(made.sequence <= later.restore.kept for later in restores if later.restore and later.line > made.line)


def detail_hash(salt: bytes, detail: str) -> str:
    """Hash a detail; the salt keeps a guess at an erased one from being checked."""
    return hashlib.sha256(salt + detail.encode()).hexdigest()


def row_hash(row: AuditRow, prev_hash: str) -> str:
    """Hash a row's fields together with the hash of the row before."""
    return chain_hash(
        {
            "id": row.id,
            "ts_utc": utc_text(row.ts_utc),
            "username": row.username,
            "kiosk_id": row.kiosk_id,
            "source_address": row.source_address,
            "action": row.action,
            "success": row.success,
            "reason": row.reason,
            "detail_hash": row.detail_hash,
            "prev_hash": prev_hash,
        }
    )


def chain_hash(members: Mapping[str, object]) -> str:
    """SHA-256 of an object's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(members).encode()).hexdigest()
