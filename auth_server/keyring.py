"""The key files: database key, field keys, audit key, assertion key.

They live in a folder apart from the database, so that neither opens anything without the other.
A keyring is made once and whole; loading never makes or mends a file. What is loaded stays live:
each use looks whether its file was replaced, so that a running server follows a rotation.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeVar

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auth_server.errors import KeyringRefused, StoreError
from auth_server.key_files import check_folder, read_key_file, write_key_file
from auth_server.key_forms import ASSERTION, AUDIT, DATABASE, FIELD, FORMS, RETIRED_AUDIT, Key, KeyForm, Keys
from auth_server.key_forms import key_id as key_id
from auth_server.live_file import LiveFile
from auth_server.on_disk import flush_folder

Material = TypeVar("Material")

KEY_FILES: Final = tuple(form.file for form in FORMS.values())


class FieldCipher:
    """Seals a value for one place in the database: Fernet, the newest key first.

    Fernet has no associated data, so the plaintext begins with its table, column and row. A token
    moved to another place decrypts, and is then refused.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._fixed = _ring(keys)

    @property
    def _ring(self) -> MultiFernet:
        return self._fixed

    def seal(self, table: str, column: str, row: str, plaintext: bytes) -> bytes:
        """Return `plaintext` encrypted for this table, column and row."""
        return self._ring.encrypt(_place(table, column, row) + plaintext)

    def open(self, table: str, column: str, row: str, token: bytes) -> bytes:
        """Return what was sealed for this place.

        Raises StoreError when the token was made by another key, changed, or sealed for another place.
        """
        place = _place(table, column, row)
        try:
            plaintext = self._decrypt(token)
        except InvalidToken:
            raise StoreError(f"{table}.{column} of {row!r} was changed or sealed by another key") from None
        if not plaintext.startswith(place):
            raise StoreError(f"{table}.{column} of {row!r} holds a value that was sealed for another place")
        return plaintext[len(place) :]

    def _decrypt(self, token: bytes) -> bytes:
        return self._ring.decrypt(token)


class SiteCipher(FieldCipher):
    """Seals with the site's field key in use and opens with every field key, as their file has them now."""

    def __init__(self, keys: LiveFile[Keys[bytes]]) -> None:
        self._live = keys
        self._made: tuple[Keys[bytes], MultiFernet] | None = None

    @property
    def keys(self) -> Keys[bytes]:
        """All field keys, the one in use first."""
        return self._live()

    @property
    def _ring(self) -> MultiFernet:
        keys, made = self._live(), self._made
        if made is None or made[0] is not keys:
            made = self._made = (keys, _ring([key.material for key in keys]))
        return made[1]

    def _decrypt(self, token: bytes) -> bytes:
        try:
            return super()._decrypt(token)
        except InvalidToken:
            self._live.read_again()  # once, should the file have changed without looking so
            return super()._decrypt(token)


def _ring(keys: Sequence[bytes]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


class SigningKeys:
    """The keys with which one thing is signed, and the public halves with which it is proved."""

    def __init__(
        self,
        keys: Callable[[], Keys[Ed25519PrivateKey]],
        retired: Callable[[], Keys[Ed25519PublicKey]] = tuple,
    ) -> None:
        self._keys = keys
        self._retired = retired

    @classmethod
    def of(cls, *keys: Ed25519PrivateKey) -> "SigningKeys":
        """Return keys that stay as they are, the one in use first."""
        fixed = tuple(AUDIT.key(key) for key in keys)
        return cls(lambda: fixed)

    @property
    def keys(self) -> Keys[Ed25519PrivateKey]:
        """All keys whose private half is here, the one in use first."""
        return self._keys()

    @property
    def current(self) -> Ed25519PrivateKey:
        """The key that signs."""
        return self._keys()[0].material

    @property
    def public(self) -> Mapping[str, Ed25519PublicKey]:
        """The public halves of all keys by `key_id`, those of retired keys too, the one in use first."""
        known = {key.id: key.material.public_key() for key in self._keys()}
        return known | {key.id: key.material for key in self._retired() if key.id not in known}


def _place(table: str, column: str, row: str) -> bytes:
    # JSON escapes NUL, so the NUL that ends the prefix stands in no table, column or row.
    return json.dumps([table, column, row]).encode() + b"\0"


@dataclasses.dataclass(frozen=True, slots=True)
class Keyring:
    """All keys of one server, each as its file has it now. Its repr shows none of them."""

    folder: Path = dataclasses.field(repr=False)
    database: LiveFile[Keys[bytes]] = dataclasses.field(repr=False)
    field: SiteCipher = dataclasses.field(repr=False)
    audit: SigningKeys = dataclasses.field(repr=False)
    assertion: SigningKeys = dataclasses.field(repr=False)

    @classmethod
    def create(cls, folder: Path, now: datetime | None = None) -> "Keyring":
        """Make all key files at once in a new or empty `folder`, mode 0700.

        Raises KeyringRefused, with nothing created, when the folder holds anything already.
        """
        _check_free(folder)
        try:
            with TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as made:
                _write_new_keys(Path(made), now)
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
            folder=folder,
            database=_live(folder, DATABASE),
            field=SiteCipher(_live(folder, FIELD)),
            audit=SigningKeys(_live(folder, AUDIT), _live(folder, RETIRED_AUDIT)),
            assertion=SigningKeys(_live(folder, ASSERTION)),
        )

    @property
    def database_keys(self) -> tuple[bytes, ...]:
        """All keys that may open the database, the one in use first."""
        return tuple(key.material for key in self.database())

    @property
    def database_key(self) -> bytes:
        """The database key in use."""
        return self.database_keys[0]

    @property
    def audit_key(self) -> Ed25519PrivateKey:
        """The key that signs checkpoints."""
        return self.audit.current


def read_keys(path: Path, form: KeyForm[Material]) -> tuple[Key[Material], ...]:
    """Return the keys of one file; a file of retired keys may be missing.

    Raises KeyringRefused naming the file and what to do.
    """
    if form.is_retired and not path.exists():
        return ()
    data = read_key_file(path)
    try:
        return form.parse(data)
    except (ValueError, TypeError):  # their messages could quote the key
        raise KeyringRefused(f"key file {path} is damaged: put back the copy from your backup of the keys") from None


def _live(folder: Path, form: KeyForm[Material]) -> LiveFile[tuple[Key[Material], ...]]:
    return LiveFile(folder / form.file, lambda path: read_keys(path, form))


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


def _write_new_keys(folder: Path, now: datetime | None) -> None:
    folder.chmod(0o700)
    for form in FORMS.values():
        write_key_file(folder / form.file, form.spelt([form.new(now)]))
    flush_folder(folder)
