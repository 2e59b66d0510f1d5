"""What a backup file says of itself, and the signature over it. Pure.

The manifest can be read without any key, so that a file can be told from another: it names the
site, times, keys by their ids, and the head of the audit log, and nothing of any person.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auth_server.audit_chain import Head
from auth_server.canonical import canonical_json
from provisioning.errors import Refused

FORMAT: Final = "4auth-backup"
VERSION: Final = 1
MANIFEST_MAX_BYTES: Final = 64 * 1024
_SIGNED_AS: Final = b"4auth backup manifest v1\n"


@dataclass(frozen=True, slots=True)
class Member:
    """One file inside: its length in bytes and its SHA-256."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class KeyIds:
    """Which keys a backup needs; `field` are all field keys that were in the ring."""

    database: str
    field: tuple[str, ...]
    audit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a backup is of. `made_at` is ISO 8601 in UTC, `schema` the revision of the database in it."""

    site: str
    made_at: str
    program: str
    schema: str
    head: Head
    keys: KeyIds
    members: Mapping[str, Member]

    def document(self) -> dict[str, object]:
        """The manifest as JSON members."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "site": self.site,
            "made_at": self.made_at,
            "program": self.program,
            "schema": self.schema,
            "head": {"row": self.head.sequence, "hash": self.head.row_hash},
            "keys": {"database": self.keys.database, "field": list(self.keys.field), "audit": self.keys.audit},
            "members": {name: {"size": m.size, "sha256": m.sha256} for name, m in self.members.items()},
        }

    def spelt(self) -> bytes:
        """The manifest as it stands in the file."""
        return canonical_json(self.document()).encode()


def sign(spelt: bytes, key: Ed25519PrivateKey) -> bytes:
    """Return the signature, 64 bytes, of a manifest as it is spelt."""
    return key.sign(_SIGNED_AS + spelt)


def is_signed(spelt: bytes, signature: bytes, keys: Iterable[Ed25519PublicKey]) -> bool:
    """Whether one of the keys signed a manifest."""
    return any(_fits(key, spelt, signature) for key in keys)


def _fits(key: Ed25519PublicKey, spelt: bytes, signature: bytes) -> bool:
    try:
        key.verify(signature, _SIGNED_AS + spelt)
    except (InvalidSignature, ValueError):
        return False
    return True


def parse_manifest(spelt: bytes, name: str) -> Manifest:
    """Read the manifest of the backup `name`.

    Raises Refused when it is none, or of a later version than this program knows.
    """
    try:
        members = json.loads(spelt)
        if members["format"] != FORMAT:
            raise ValueError("another format")
        if _number(members["version"]) > VERSION:
            raise Refused(
                f"{name} is a backup of version {members['version']}, and this program knows {VERSION}: "
                "install the newer program"
            )
        return _manifest(members)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise Refused(f"{name} is no backup of 4Auth, or its manifest is damaged: use another copy") from None


def _manifest(members: Mapping[str, Any]) -> Manifest:
    keys, head = members["keys"], members["head"]
    return Manifest(
        site=_text(members["site"]),
        made_at=_text(members["made_at"]),
        program=_text(members["program"]),
        schema=_text(members["schema"]),
        head=Head(_number(head["row"]), _text(head["hash"])),
        keys=KeyIds(_text(keys["database"]), tuple(map(_text, keys["field"])), _text(keys["audit"])),
        members={
            _text(name): Member(_number(member["size"]), _text(member["sha256"]))
            for name, member in members["members"].items()
        },
    )


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("no count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or len(value) > 200:
        raise ValueError("no text")
    return value
