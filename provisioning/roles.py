"""Which administrator may run which command: the one table, by role.

A command that stands in no row is refused to everybody who acts under a name, and a test walks all
commands, so that a new one cannot be forgotten.
"""

from collections.abc import Mapping
from typing import Final

from auth_server.admins import Role

NAMELESS: Final = frozenset(
    {
        *("site init", "site upgrade", "restore", "backup check", "backup list"),
        *("audit copy-checkpoints", "audit ship", "models fetch", "models check", "completion"),
        *("face calibrate", "face compare", "face evaluate", "face liveness"),
    }
)
"""These make or mend what names are kept in, touch no site, or are a timer's and change nothing of it: they take no
name, and none is asked of them."""

_READING: Final = frozenset(
    {
        *("audit list", "audit show", "audit verify", "audit why", "audit export", "audit view"),
        *("gateway list", "keys list", "kiosk list", "kiosk show", "store servers", "user list", "user show"),
    }
)
_STOPPING: Final = frozenset(
    {"gateway forbid", "kiosk disable", "user cancel-change", "user changes", "user disable", "user unlock"}
)
_EVERYTHING_ELSE: Final = frozenset(
    {
        *("admin add", "admin list", "admin remove", "admin renew-secret", "admin role", "admin show"),
        *("audit accept-restore", "audit erase"),
        *("backup make", "face migrate", "import-original"),
        *("face snapshots delete", "face snapshots list", "face snapshots show"),
        *("gateway allow", "gateway init"),
        *("keys add", "keys check", "keys retire", "keys rotate"),
        *("kiosk add", "kiosk enable", "kiosk replace-key"),
        *("notifications list", "notifications retry", "notifications test"),
        *("site next-key", "site pin", "site use-next-key", "store migrate"),
        *("user add", "user bind", "user delete", "user enable", "user invite", "user invites", "user reset"),
        *("user export", "user set", "user unbind", "user uninvite"),
    }
)

MAY_RUN: Final[Mapping[Role, frozenset[str]]] = {
    Role.AUDITOR: _READING,
    Role.SUPERVISOR: _READING | _STOPPING,
    Role.ADMIN: _READING | _STOPPING | _EVERYTHING_ELSE,
}
