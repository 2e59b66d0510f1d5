"""What the commands about people look up: accounts, the kiosks that they name, and who is told."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from auth_contract.actions import Action
from auth_server.accounts import Account, Accounts
from auth_server.admins import Admins
from auth_server.assertions import Assertions
from auth_server.changes import Change, Changes
from auth_server.kiosks import Kiosks
from auth_server.lockouts import Lockouts
from auth_server.notifications import Notifications
from auth_server.password_policy import hash_password
from auth_server.store.database import Database
from auth_server.tickets import Tickets
from provisioning.act import author
from provisioning.desk import Site
from provisioning.errors import Refused
from provisioning.kiosk_lookup import mac_of

if TYPE_CHECKING:
    from auth_server.effects import Effects


def accounts_of(site: Site, database: Database | None = None) -> Accounts:
    """Return the accounts of an opened site, or those of a running transaction."""
    # The model shapes the decoys of unknown names, and nobody logs in here.
    return Accounts(database or site.database, site.keyring.field, model="")


def changes_of(site: Site, database: Database | None = None) -> Changes:
    """Return the pending changes of an opened site, or those of a running transaction."""
    return Changes(database or site.database, site.keyring.field, lambda: secrets.token_urlsafe(16))


def find_account(accounts: Accounts, username: str) -> Account:
    """Return an account. Raises Refused when there is none of this name."""
    found = accounts.find(username)
    if found is None:
        raise no_account(username)
    return found


def no_account(username: str) -> Refused:
    """Return the refusal of a name that has no account, to be raised."""
    return Refused(f"there is no account {username}: `4auth-provision user list` tells which there are")


def macs_of(database: Database, kiosk_ids: Sequence[str]) -> dict[str, str]:
    """Return the MAC of each of these kiosks. Raises Refused naming those that are not there."""
    kiosks = Kiosks(database)
    found = {kiosk_id: kiosks.find(kiosk_id) for kiosk_id in kiosk_ids}
    unknown = sorted(kiosk_id for kiosk_id, kiosk in found.items() if kiosk is None)
    if unknown:
        raise Refused(f"there is no kiosk {', '.join(unknown)}: `4auth-provision kiosk list` tells which there are")
    return {kiosk_id: mac_of(kiosk) for kiosk_id, kiosk in found.items() if kiosk is not None}


def places(account: Account, names: Mapping[str, str]) -> str:
    """Return where a person may log in, in words."""
    return ", ".join(sorted(names.get(mac, mac) for mac in account.mac_addresses)) or "nowhere"


def notifications_of(site: Site, database: Database) -> Notifications:
    """Return the outbox, which takes nothing in where the settings tell nobody."""
    return Notifications(database, is_kept=site.settings.notify.kind != "none")


def effects_of(site: Site, database: Database) -> "Effects":
    """Return what puts changes in force and ends them, within a running transaction."""
    # Imported on use: it brings in the face libraries, half a second that other commands need not wait for.
    from auth_server.duplicates import Duplicates
    from auth_server.effects import Effects

    return Effects(
        site=site.settings.site,
        accounts=accounts_of(site, database),
        admins=Admins(database),
        tickets=Tickets(database),
        changes=changes_of(site, database),
        # No face is put in force here; by this threshold every one would be a duplicate.
        duplicates=Duplicates(database, site.keyring.field, threshold=2.0),
        lockouts=Lockouts(database),
        notifications=notifications_of(site, database),
        assertions=Assertions(site.keyring.assertion, site.settings.site),
        policies=site.settings.actions.policies(),
        kiosks=Kiosks(database),
        hash_password=hash_password,
    )


def end_change(
    site: Site, database: Database, username: str, now: datetime, *, only: Action | None = None
) -> Change | None:
    """End a name's pending change in a running transaction, where it is of the one action that is asked for."""
    with database.transaction() as session:
        found = changes_of(site, database).glance(session, username)
        if found is None or only not in {None, found.action}:
            return None
        return effects_of(site, database).cancel(session, username, author(), now)
