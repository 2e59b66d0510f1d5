"""A device's Ed25519 key: made here on the first start, and never leaving the machine."""

import base64
import os
import stat
from contextlib import suppress
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from auth_client.access_list import is_closed_by_list
from auth_client.errors import DeviceKeyRefused

_KEY_MAX_BYTES = 4096


def load_or_make_key(path: Path) -> Ed25519PrivateKey:
    """Return the device key, made with mode 0600 in a folder of mode 0700 where there is none.

    Raises DeviceKeyRefused when a key is there but readable by others, unreadable or no Ed25519 key:
    it is never replaced, since the server knows the device by it.
    """
    if not os.path.lexists(path):
        _make_key(path)
    return _load_key(path)


def public_text(key: Ed25519PrivateKey) -> str:
    """Return the raw 32 bytes of the public key in base64url without padding, as the server registers it."""
    return base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).rstrip(b"=").decode()


def check_key(path: Path) -> bool:
    """Return whether a device key is there, and make nothing; a missing one can then be made.

    Raises DeviceKeyRefused where `load_or_make_key` would.
    """
    if os.path.lexists(path):
        _load_key(path)
        return True
    nearest = next(folder for folder in path.parents if os.path.lexists(folder))
    if not (nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)):
        raise DeviceKeyRefused(f"key_file {path}: cannot be made: {nearest} is no folder that this user may write to")
    if nearest == path.parent:
        _check_closed(nearest, nearest, "chmod 0700")
    return False


def _make_key(path: Path) -> None:
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(pem)
                file.flush()
                os.fsync(file.fileno())
            # A link, unlike a rename, never replaces a key that another process made meanwhile.
            with suppress(FileExistsError):
                os.link(draft, path)
        finally:
            draft.unlink()
        _sync_folder(path.parent)
    except OSError as error:
        raise DeviceKeyRefused(f"key_file {path}: cannot be made: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _load_key(path: Path) -> Ed25519PrivateKey:
    try:
        _check_closed(path.parent, path.parent, "chmod 0700")
        with path.open("rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise DeviceKeyRefused(f"key_file {path}: is no regular file")
            _check_closed(path, file.fileno(), "chmod 0600")
            pem = file.read(_KEY_MAX_BYTES)
    except OSError as error:
        raise DeviceKeyRefused(f"key_file {path}: cannot be read: {error.strerror}") from error
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise DeviceKeyRefused(f"key_file {path}: is no PEM private key; {_ADVICE}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise DeviceKeyRefused(f"key_file {path}: is no Ed25519 key; {_ADVICE}")
    return key


_ADVICE = "restore it from a backup, or move it away and register the device again"


def _check_closed(path: Path, file: int | Path, advice: str) -> None:
    mode = os.stat(file).st_mode  # noqa: PTH116 - of a descriptor, too
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and not is_closed_by_list(file):
        raise DeviceKeyRefused(
            f"key_file: {path} has mode {stat.S_IMODE(mode):04o}, open to others: find out who could read it, "
            f"then {advice} it"
        )
