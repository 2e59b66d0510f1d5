"""The key files: database key, field keys, audit key, assertion key.

They live in a folder apart from the database, so that neither opens anything without the other.
A keyring is made once and whole; loading never makes or mends a file.
"""

import dataclasses
import hashlib
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auth_server.errors import KeyringRefused, StoreError
from auth_server.key_files import check_folder, read_key_file, write_key_file

Key = TypeVar("Key")

DATABASE_KEY: Final = "database.key"
FIELD_KEYS: Final = "field.keys"
AUDIT_KEY: Final = "audit.pem"
ASSERTION_KEY: Final = "assertion.pem"
KEY_FILES: Final = (DATABASE_KEY, FIELD_KEYS, AUDIT_KEY, ASSERTION_KEY)


class FieldCipher:
    """Seals a value for one place in the database: Fernet, the newest key first.

    Fernet has no associated data, so the plaintext begins with its table, column and row. A token
    moved to another place decrypts, and is then refused.
    """

    def __init__(self, keys: list[bytes]) -> None:
        self._ring = MultiFernet([Fernet(key) for key in keys])

    def seal(self, table: str, column: str, row: str, plaintext: bytes) -> bytes:
        """Return `plaintext` encrypted for this table, column and row."""
        return self._ring.encrypt(_place(table, column, row) + plaintext)

    def open(self, table: str, column: str, row: str, token: bytes) -> bytes:
        """Return what was sealed for this place.

        Raises StoreError when the token was made by another key, changed, or sealed for another place.
        """
        place = _place(table, column, row)
        try:
            plaintext = self._ring.decrypt(token)
        except InvalidToken:
            raise StoreError(f"{table}.{column} of {row!r} was changed or sealed by another key") from None
        if not plaintext.startswith(place):
            raise StoreError(f"{table}.{column} of {row!r} holds a value that was sealed for another place")
        return plaintext[len(place) :]


def _place(table: str, column: str, row: str) -> bytes:
    # JSON escapes NUL, so the NUL that ends the prefix stands in no table, column or row.
    return json.dumps([table, column, row]).encode() + b"\0"


@dataclasses.dataclass(frozen=True, slots=True)
class Keyring:
    """All keys of one server. Its repr shows none of them."""

    database_key: bytes = dataclasses.field(repr=False)
    field: FieldCipher = dataclasses.field(repr=False)
    audit_key: Ed25519PrivateKey = dataclasses.field(repr=False)
    assertion_key: Ed25519PrivateKey = dataclasses.field(repr=False)

    @classmethod
    def create(cls, folder: Path) -> "Keyring":
        """Make all key files at once in a new or empty `folder`, mode 0700.

        Raises KeyringRefused, with nothing created, when the folder holds anything already.
        """
        _check_free(folder)
        try:
            with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made:
                _write_new_keys(Path(made))
                # An empty folder is replaced in one step; one that filled up meanwhile is not.
                Path(made).rename(folder)
        except OSError as error:
            raise KeyringRefused(
                f"the keys cannot be made in {folder}: {error.strerror}: name a new folder where you may write"
            ) from error
        return cls.load(folder)

    @classmethod
    def load(cls, folder: Path) -> "Keyring":
        """Read the key files of `folder`.

        Raises KeyringRefused naming the file and what to do when one is missing, damaged, owned by
        somebody else, or readable by more than this process's user. Makes and changes nothing.
        """
        check_folder(folder)
        return cls(
            database_key=_parsed(folder / DATABASE_KEY, _database_key),
            field=_parsed(folder / FIELD_KEYS, _field_cipher),
            audit_key=_parsed(folder / AUDIT_KEY, _signing_key),
            assertion_key=_parsed(folder / ASSERTION_KEY, _signing_key),
        )


def key_id(key: Ed25519PublicKey) -> str:
    """Name a public key by the first 16 hexadecimal digits of the SHA-256 of its 32 bytes."""
    return hashlib.sha256(key.public_bytes_raw()).hexdigest()[:16]


def _check_free(folder: Path) -> None:
    try:
        held = sorted(entry.name for entry in folder.iterdir())
    except FileNotFoundError:
        if not folder.parent.is_dir():
            raise KeyringRefused(f"{folder.parent} is no folder: make it first, then create the keys") from None
        return
    except OSError as error:
        raise KeyringRefused(f"{folder} cannot be listed: {error.strerror}: name a folder for the keys") from error
    if held:
        raise KeyringRefused(
            f"{folder} holds {', '.join(held[:6])}: keys are made in a new or empty folder only, never over others. "
            "Name another folder, or move these away if no database needs them"
        )


def _write_new_keys(folder: Path) -> None:
    folder.chmod(0o700)
    write_key_file(folder / DATABASE_KEY, secrets.token_hex(32).encode() + b"\n")
    write_key_file(folder / FIELD_KEYS, Fernet.generate_key() + b"\n")
    for name in (AUDIT_KEY, ASSERTION_KEY):
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_key_file(folder / name, pem)
    entry = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(entry)
    finally:
        os.close(entry)


def _parsed(path: Path, parse: Callable[[bytes], Key]) -> Key:
    data = read_key_file(path)
    try:
        return parse(data)
    except (ValueError, TypeError):  # their messages could quote the key
        raise KeyringRefused(f"key file {path} is damaged: put back the copy from your backup of the keys") from None


def _database_key(data: bytes) -> bytes:
    key = bytes.fromhex(data.decode("ascii").strip())
    if len(key) != 32:
        raise ValueError("a database key has 32 bytes")
    return key


def _field_cipher(data: bytes) -> FieldCipher:
    keys = data.split()
    if not keys:
        raise ValueError("no key")
    return FieldCipher(keys)


def _signing_key(data: bytes) -> Ed25519PrivateKey:
    key = serialization.load_pem_private_key(data, password=None)
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("not an Ed25519 key")
    return key
