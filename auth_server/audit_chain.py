"""The audit chain: what a row and a checkpoint are, and how they are hashed and signed. Pure.

    detail_hash = SHA-256(detail_salt || detail as UTF-8)
    row_hash    = SHA-256(canonical JSON of the row's fields, detail_hash and prev_hash)

A row's detail and salt may be erased later, and the chain still holds. The hashes need no key, so
the chain alone proves only that rows belong together. The checkpoints, signed with a key that the
database does not hold, prove that it is the chain the server wrote.
"""

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from json.encoder import encode_basestring
from typing import Final, NamedTuple

from auth_server.canonical import canonical_json

GENESIS: Final = "0" * 64
"""Stands before the first row."""

RESTORE: Final = "restore"
"""The kind of a checkpoint with which an administrator accepted a restored database."""

HAND_OVER: Final = "key"
"""The kind of a checkpoint with which one audit key hands over to the next."""

_SIGNED_AS: Final = b"4auth audit checkpoint v1\n"


class Head(NamedTuple):
    """The newest row's number and hash; `(0, GENESIS)` for an empty log."""

    sequence: int
    row_hash: str


class StoredRow(NamedTuple):
    """One row in the very values that are stored and hashed: `ts_utc` is its text, `success` 1 or 0."""

    id: int
    ts_utc: str
    username: str | None
    kiosk_id: str | None
    source_address: str | None
    action: str
    success: int
    reason: str
    detail: str | None
    detail_salt: bytes | None
    detail_hash: str
    row_hash: str


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One row to be shown. `detail` is JSON, or None where it was erased with its salt."""

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
class HandOver:
    """The word of two audit keys, each 32 raw bytes, that the second signs all lines after this one.

    Both sign it: the first, so that nobody can name a successor without it; the second, so that the
    first, stolen later, cannot change what was signed before. `line` is the place it was signed for.
    """

    old_key: bytes
    new_key: bytes
    line: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The server's word that its log had `sequence` rows and ended in `head`. `line` is its place in the file.

    `countersignature` is the new key's, of a hand-over.
    """

    sequence: int
    head: str
    ts_utc: str
    key_id: str
    signature: bytes
    line: int = 0
    restore: Restore | None = None
    hand_over: HandOver | None = None
    countersignature: bytes = b""

    @property
    def is_in_its_place(self) -> bool:
        """Whether it stands where it was signed for; an ordinary checkpoint may stand anywhere."""
        mark = self.restore or self.hand_over
        return mark is None or mark.line == self.line

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
        if self.hand_over is not None:
            keys = {"old_key": self.hand_over.old_key, "new_key": self.hand_over.new_key}
            members |= {"kind": HAND_OVER, "line": self.hand_over.line}
            members |= {name: base64.b64encode(key).decode() for name, key in keys.items()}
        return members

    def signed_bytes(self) -> bytes:
        """What the Ed25519 signatures are over."""
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


def row_hash(row: StoredRow, prev_hash: str) -> str:
    """Hash a row's fields together with the hash of the row before.

    Raises TypeError, ValueError or KeyError where a field holds what this program never wrote there.
    """
    # Canonical JSON, spelt out because a million rows are hashed at a time: see `canonical_json`.
    text = (
        f'{{"action":{encode_basestring(row.action)},"detail_hash":{encode_basestring(row.detail_hash)},'
        f'"id":{row.id:d},"kiosk_id":{_text_or_null(row.kiosk_id)},"prev_hash":{encode_basestring(prev_hash)},'
        f'"reason":{encode_basestring(row.reason)},"source_address":{_text_or_null(row.source_address)},'
        f'"success":{_TRUTH[row.success]},"ts_utc":{encode_basestring(row.ts_utc)},'
        f'"username":{_text_or_null(row.username)}}}'
    )
    return hashlib.sha256(text.encode()).hexdigest()


def _text_or_null(value: str | None) -> str:
    return "null" if value is None else encode_basestring(value)


_TRUTH: Final = {0: "false", 1: "true"}


def chain_hash(members: Mapping[str, object]) -> str:
    """SHA-256 of an object's canonical JSON, in hexadecimal."""
    return hashlib.sha256(canonical_json(members).encode()).hexdigest()
