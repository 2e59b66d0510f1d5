"""The forms of the key files: what stands in each, and which of its keys is for what. Pure.

A file holds one or more keys, the one in use first. A comment line above each says what it is:

    # id=0123456789abcdef added=2026-11-22T09:30:00+00:00 state=in-use
    <the key: a line of text, or a PEM block>

A key without that line is one of a file that an earlier release made: the first is in use, others are old.
"""

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar

from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

Material = TypeVar("Material")

_TEXT_KEY: Final = rb"[^\s#]\S*"
_PEM_KEY: Final = rb"-----BEGIN [A-Z ]+-----\r?\n(?:[A-Za-z0-9+/=]+\r?\n)+-----END [A-Z ]+-----"
_SECRET_ID: Final = b"4auth key id\n"
_ID_CHARS: Final = 16


class Kind(StrEnum):
    """What a key is for."""

    DATABASE = "database"
    FIELD = "field"
    AUDIT = "audit"
    ASSERTION = "assertion"


class State(StrEnum):
    """Where in its life a key is. What an old key sealed or signed, it still opens or proves."""

    IN_USE = "in-use"
    NEXT = "next"
    OLD = "old"


@dataclass(frozen=True, slots=True)
class Key(Generic[Material]):
    """One key. `unused_since` is set once an old key's last work is done anew by its successor."""

    id: str
    material: Material = field(repr=False, compare=False)
    state: State = State.IN_USE
    added_at: datetime | None = None
    unused_since: datetime | None = None


Keys = tuple[Key[Material], ...]


@dataclass(frozen=True, slots=True)
class KeyForm(Generic[Material]):
    """How the keys of one file are made, spelt, read and named. `read` raises ValueError or TypeError."""

    file: str
    pattern: bytes
    make: Callable[[], Material]
    spell: Callable[[Material], bytes]
    read: Callable[[bytes], Material]
    name: Callable[[Material], str]
    is_retired: bool = False

    def new(self, now: datetime | None, state: State = State.IN_USE) -> Key[Material]:
        """Make a random key."""
        return self.key(self.make(), state, now)

    def key(self, material: Material, state: State = State.IN_USE, now: datetime | None = None) -> Key[Material]:
        """Return a key of this material under its id."""
        return Key(self.name(material), material, state, now)

    def spelt(self, keys: Sequence[Key[Material]]) -> bytes:
        """Return the whole file."""
        return b"".join(_about(key).encode() + b"\n" + self.spell(key.material) + b"\n" for key in keys)

    def parse(self, data: bytes) -> Keys[Material]:
        """Return the keys of a file. Raises ValueError or TypeError, never quoting it, where it is damaged."""
        keys = tuple(self._found(data))
        states = [key.state for key in keys]
        if len({key.id for key in keys}) < len(keys):
            raise ValueError("a key stands there twice")
        if self.is_retired:
            return keys
        if states[:1] != [State.IN_USE] or State.IN_USE in states[1:] or states.count(State.NEXT) > 1:
            raise ValueError("one key is in use, the first, and at most one is next")
        return keys

    def _found(self, data: bytes) -> Iterator[Key[Material]]:
        scan = re.compile(rb"\s+|(?P<about># id=[^\n]*)|#[^\n]*|(?P<key>%s)" % self.pattern)
        about: bytes | None = None
        state, at = State.OLD if self.is_retired else State.IN_USE, 0
        while at < len(data):
            found = scan.match(data, at)
            if found is None or (about and found["about"]):
                raise ValueError("something else than a key")
            at, about = found.end(), found["about"] or about
            if found["key"] is not None:
                key = self.key(self.read(found["key"]), state)
                yield key if about is None else _described(key, about)
                about, state = None, State.OLD
        if about is not None:
            raise ValueError("a key is missing")


def waiting(keys: Sequence[Key[Material]]) -> Key[Material] | None:
    """Return the key that was added and is not in use yet."""
    return next((key for key in keys if key.state is State.NEXT), None)


def old(keys: Sequence[Key[Material]]) -> list[Key[Material]]:
    """Return the keys that were in use, the newest first."""
    return [key for key in keys if key.state is State.OLD]


def taken(keys: Sequence[Key[Material]], unused_since: datetime | None) -> Keys[Material]:
    """Return the keys with the next one in use, and the one before it old since then."""
    last, *others = keys
    following = next(key for key in others if key.state is State.NEXT)
    rest = [key for key in others if key is not following]
    before = replace(last, state=State.OLD, unused_since=unused_since)
    return (replace(following, state=State.IN_USE), before, *rest)


def unused(keys: Sequence[Key[Material]], since: datetime) -> Keys[Material]:
    """Return the keys with each old one that was still needed unused since then."""
    is_needed = [key.state is State.OLD and key.unused_since is None for key in keys]
    return tuple(
        replace(key, unused_since=since) if needed else key for key, needed in zip(keys, is_needed, strict=True)
    )


def secret_id(key: bytes) -> str:
    """Name a secret key of 32 bytes or more by 16 hexadecimal digits, from which nobody finds it."""
    return hashlib.sha256(_SECRET_ID + key).hexdigest()[:_ID_CHARS]


def key_id(key: Ed25519PublicKey) -> str:
    """Name a public key by the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:_ID_CHARS]


def _about(key: Key[Any]) -> str:
    words = [f"# id={key.id}", key.added_at and f"added={key.added_at.isoformat()}", f"state={key.state.value}"]
    words.append(key.unused_since and f"unused={key.unused_since.isoformat()}")
    return " ".join(word for word in words if word)


def _described(key: Key[Material], about: bytes) -> Key[Material]:
    told = dict(word.split("=", 1) for word in about.decode("ascii").removeprefix("# ").split())
    if told.pop("id") != key.id:
        raise ValueError("an id that is another key's")
    state = State(told.pop("state", ""))
    added_at, unused_since = (_time(told.pop(name, None)) for name in ("added", "unused"))
    if told or (unused_since is not None and state is not State.OLD):
        raise ValueError("what no release has written of a key")
    return replace(key, state=state, added_at=added_at, unused_since=unused_since)


def _time(text: str | None) -> datetime | None:
    moment = None if text is None else datetime.fromisoformat(text)
    if moment is not None and moment.tzinfo is None:
        raise ValueError("a time without its offset")
    return moment


def _database_key(text: bytes) -> bytes:
    key = bytes.fromhex(text.decode("ascii"))
    if len(key) != 32:
        raise ValueError("a database key has 32 bytes")
    return key


def _field_key(text: bytes) -> bytes:
    Fernet(text)
    return text


def _private_key(pem: bytes) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(pem, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("not an Ed25519 key")
    return key


def _public_key(pem: bytes) -> Ed25519PublicKey:
    key = serialization.load_pem_public_key(pem)
    if not isinstance(key, Ed25519PublicKey):
        raise TypeError("not an Ed25519 key")
    return key


def _private_pem(key: Ed25519PrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).strip()


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).strip()


def _pem_form(file: str) -> KeyForm[Ed25519PrivateKey]:
    return KeyForm(
        file, _PEM_KEY, Ed25519PrivateKey.generate, _private_pem, _private_key, lambda key: key_id(key.public_key())
    )


def _no_secret() -> Ed25519PublicKey:
    raise TypeError("a public half is made of its key")


DATABASE: Final = KeyForm(
    "database.key", _TEXT_KEY, lambda: secrets.token_bytes(32), lambda key: key.hex().encode(), _database_key, secret_id
)
FIELD: Final = KeyForm("field.keys", _TEXT_KEY, Fernet.generate_key, bytes, _field_key, secret_id)
AUDIT: Final = _pem_form("audit.pem")
ASSERTION: Final = _pem_form("assertion.pem")
RETIRED_AUDIT: Final = KeyForm("audit.pub", _PEM_KEY, _no_secret, _public_pem, _public_key, key_id, is_retired=True)
"""The public halves of retired audit keys: what they signed can still be proved."""

FORMS: Final[dict[Kind, KeyForm[Any]]] = {
    Kind.DATABASE: DATABASE,
    Kind.FIELD: FIELD,
    Kind.AUDIT: AUDIT,
    Kind.ASSERTION: ASSERTION,
}
