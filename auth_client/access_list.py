"""Who could read a file whose group bits are set: where it has an access control list, those show the list's mask.

systemd hands credentials over by such lists, where the file system keeps them.
"""

import os
import struct
from typing import Final

ACL_NAME: Final = "system.posix_acl_access"
"""The extended attribute in which the kernel keeps a file's list (acl(5))."""

_ENTRY: Final = struct.Struct("<HHI")
_USER, _GROUP_OBJ, _GROUP, _OTHER = 0x02, 0x04, 0x08, 0x20


def is_closed_by_list(file: int | os.PathLike[str]) -> bool:
    """Return whether a descriptor or path has a list, and it lets nobody in but its owner and this process's user."""
    try:
        acl = os.getxattr(file, ACL_NAME)
    except OSError:
        return False
    entries = list(_ENTRY.iter_unpack(acl[4:]))
    return all(
        permissions == 0 or (tag == _USER and user == os.geteuid())
        for tag, permissions, user in entries
        if tag in (_USER, _GROUP_OBJ, _GROUP, _OTHER)
    )
