"""Reading and writing one key file, and who else could read it.

A file is replaced whole: what is written first is a draft beside it, closed to others, which takes the
file's name in one rename. A run that was killed may leave a draft, and the next one removes it.

A group bit alone does not tell: where systemd passes credentials by an access control list, the
group bits show that list's mask. So the list itself is read.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from auth_client.access_list import ACL_NAME, is_closed_by_list
from auth_server.errors import KeyringRefused
from auth_server.on_disk import flush_folder

_KEY_FILE_MAX_BYTES = 16 * 1024
_DRAFT = ".draft"
_LOCK = ".changing"


def check_folder(folder: Path) -> None:
    """Raise KeyringRefused unless `folder` is there and closed to everybody else."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except NotADirectoryError:
        raise KeyringRefused(f"key folder {folder} is not a folder: name the folder that holds the key files") from None
    except OSError as error:
        raise KeyringRefused(
            f"key folder {folder}: {error.strerror}: name the right folder in the settings, or put back your backup "
            "of the keys. A database made with other keys cannot be opened without them"
        ) from None
    try:
        _check_closed(folder, descriptor, "chmod 0700")
    finally:
        os.close(descriptor)


def read_key_file(path: Path) -> bytes:
    """Return a key file's bytes.

    Raises KeyringRefused when it is missing, no plain file, or open to somebody else.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise KeyringRefused(
            f"key file {path}: {error.strerror}: put back the copy from your backup of the keys; "
            "nothing was made in its place, because another key could not open the database"
        ) from None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise KeyringRefused(f"key file {path} is not a plain file: put back the copy from your backup of the keys")
        _check_closed(path, descriptor, "chmod 0600")
        data = os.read(descriptor, _KEY_FILE_MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(data) > _KEY_FILE_MAX_BYTES:
        raise KeyringRefused(f"key file {path} is longer than {_KEY_FILE_MAX_BYTES} bytes, so it is no key file")
    return data


def write_key_file(path: Path, data: bytes) -> None:
    """Write a new file, mode 0600, through to the disk. Raises FileExistsError when there is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def replace_key_file(path: Path, data: bytes) -> None:
    """Put `data` in the place of a file, or make it, through to the disk: after a crash it is the one or the other.

    The owner and the access list stay, so that the server can still read what root has written. Raises
    KeyringRefused, with the file as it was, when it cannot be written. Hold `changing_keys` meanwhile.
    """
    draft = _draft(path)
    try:
        draft.unlink(missing_ok=True)
        write_key_file(draft, data)
        _copy_access(path, draft)
        draft.rename(path)
        flush_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise KeyringRefused(
            f"key file {path} cannot be written: {error.strerror}: run this where the key folder is writable, "
            "on a disk with room, as root or as the user that owns the keys"
        ) from None


@contextmanager
def changing_keys(folder: Path) -> Iterator[None]:
    """Keep every other change of a key folder out until leaving, and remove what a killed one left.

    Raises KeyringRefused while another is under way, or where the folder cannot be written to. The
    kernel lets go of the lock with its process.
    """
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise KeyringRefused(
            f"key folder {folder} cannot be written to: {error.strerror}: run this where it is writable, "
            "as root or as the user that owns the keys"
        ) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise KeyringRefused(f"another command is changing the keys in {folder}: wait for it to end") from None
        for draft in folder.glob(f".*{_DRAFT}"):
            draft.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}{_DRAFT}")


def _copy_access(path: Path, draft: Path) -> None:
    try:
        before = path.stat()
    except FileNotFoundError:
        before = path.parent.stat()
    if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()) and os.geteuid() == 0:
        os.chown(draft, before.st_uid, before.st_gid)
    with suppress(OSError):  # it has none, or the file system knows none
        os.setxattr(draft, ACL_NAME, os.getxattr(path, ACL_NAME))


def _check_closed(path: Path, descriptor: int, remedy: str) -> None:
    found = os.fstat(descriptor)
    if found.st_uid not in (0, os.geteuid()):
        raise KeyringRefused(f"{path} belongs to user {found.st_uid}: chown it to the user that runs the server")
    if found.st_mode & 0o077 and not is_closed_by_list(descriptor):
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise KeyringRefused(f"{path} has mode {mode} and is open to other users: {remedy} it")
