"""The names that a shell may complete: read from the store where it opens, and otherwise none, in silence."""

from collections.abc import Callable, Mapping
from typing import Final

import click

from auth_server.accounts import Accounts
from auth_server.admins import Admins
from auth_server.errors import AuthServerError
from auth_server.kiosks import Kiosks
from provisioning.desk import Desk, Site
from provisioning.errors import ProvisioningError
from provisioning.params import Known

_NEW_NAMES: Final = frozenset({"add", "invite"})
"""Commands whose own name must not be there yet."""

_LISTS: Final[Mapping[Known, Callable[[Site], list[str]]]] = {
    "users": lambda site: [a.username for a in Accounts(site.database, site.keyring.field, model="").list()],
    "kiosks": lambda site: [kiosk.kiosk_id for kiosk in Kiosks(site.database).list()],
    "admins": lambda site: [admin.name for admin in Admins(site.database).list()],
}


def names_of(context: click.Context, parameter: click.Parameter, known: Known) -> list[str]:
    """Return all names of a kind that the site of this command line knows; none where it cannot be opened."""
    if isinstance(parameter, click.Argument) and context.command.name in _NEW_NAMES:
        return []
    try:
        with context.ensure_object(Desk).site() as opened:
            return _LISTS[known](opened)
    except (AuthServerError, ProvisioningError, OSError):
        return []  # a shell that completes has nobody to tell
