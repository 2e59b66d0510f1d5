"""A device key that systemd passes on: its group bits are an access list's mask, and the list says who may read it."""

import os
import struct
from pathlib import Path

import pytest

from auth_client.access_list import ACL_NAME, is_closed_by_list
from auth_client.device_key import check_key, load_or_make_key
from auth_client.errors import DeviceKeyRefused

_NOBODY = 0xFFFFFFFF


def access_list(*, user: int, group: int = 0, other: int = 0) -> bytes:
    """The owner may read and write, `user` may read, the mask says so; acl(5)."""
    entries = [(1, 6, _NOBODY), (2, 4, user), (4, group, _NOBODY), (0x10, 4, _NOBODY), (0x20, other, _NOBODY)]
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


def give(path: Path, listed: bytes) -> None:
    try:
        os.setxattr(path, ACL_NAME, listed)
    except OSError as error:
        pytest.skip(f"this file system keeps no access lists: {error.strerror}")
    assert path.stat().st_mode & 0o070, "which without the list would be open"


@pytest.mark.parametrize(
    ("more", "is_closed"),
    [({}, True), ({"user": os.geteuid() + 1}, False), ({"group": 4}, False), ({"other": 4}, False)],
    ids=["this user", "another user", "the group", "everybody"],
)
def test_a_device_key_is_taken_by_whom_its_list_names(tmp_path: Path, more: dict[str, int], is_closed: bool) -> None:
    path = tmp_path / "keys" / "device.pem"
    made = load_or_make_key(path)
    give(path, access_list(**{"user": os.geteuid(), **more}))
    assert is_closed_by_list(path) is is_closed
    if is_closed:
        assert check_key(path) and load_or_make_key(path).public_key() == made.public_key()
    else:
        with pytest.raises(DeviceKeyRefused, match=r"device\.pem has mode"):
            check_key(path)


def test_a_file_without_a_list_is_not_closed_by_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o640)
    assert not is_closed_by_list(tmp_path / "file")
    assert not is_closed_by_list(tmp_path / "none")
