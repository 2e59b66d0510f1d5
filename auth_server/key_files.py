"""Reading and writing one key file, and who else could read it.

A group bit alone does not tell: where systemd passes credentials by an access control list, the
group bits show that list's mask. So the list itself is read.
"""

import os
import stat
import struct
from pathlib import Path

from auth_server.errors import KeyringRefused

_ACL_NAME = "system.posix_acl_access"
_ACL_ENTRY = struct.Struct("<HHI")
_USER, _GROUP_OBJ, _GROUP, _OTHER = 0x02, 0x04, 0x08, 0x20
_KEY_FILE_MAX_BYTES = 16 * 1024


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
        return os.read(descriptor, _KEY_FILE_MAX_BYTES)
    finally:
        os.close(descriptor)


def write_key_file(path: Path, data: bytes) -> None:
    """Write a new file, mode 0600, through to the disk. Raises FileExistsError when there is one."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _check_closed(path: Path, descriptor: int, remedy: str) -> None:
    found = os.fstat(descriptor)
    if found.st_uid not in (0, os.geteuid()):
        raise KeyringRefused(f"{path} belongs to user {found.st_uid}: chown it to the user that runs the server")
    if found.st_mode & 0o077 and not _is_closed_by_list(descriptor):
        mode = f"{stat.S_IMODE(found.st_mode):04o}"
        raise KeyringRefused(f"{path} has mode {mode} and is open to other users: {remedy} it")


def _is_closed_by_list(descriptor: int) -> bool:
    try:
        acl = os.getxattr(descriptor, _ACL_NAME)
    except OSError:
        return False
    entries = list(_ACL_ENTRY.iter_unpack(acl[4:]))
    return all(
        permissions == 0 or (tag == _USER and user == os.geteuid())
        for tag, permissions, user in entries
        if tag in (_USER, _GROUP_OBJ, _GROUP, _OTHER)
    )
