"""Putting a change in force, and ending one: what becomes of it once nothing is missing.

Each step looks again, under the write lock of the caller's transaction, at what it depends on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from auth_contract.actions import Action
from auth_server.accounts import Accounts, NewAccount
from auth_server.admins import Admins, Role
from auth_server.changes import Asked, Change, Changes
from auth_server.duplicates import Duplicates, Found, Looked
from auth_server.errors import AttemptRefused, Denied, Malformed, RequestRefused
from auth_server.kiosks import Kiosks
from auth_server.notifications import Event, Notifications
from auth_server.tickets import Tickets


class EffectRefused(Exception):
    """An effect cannot be had any more; `refusal` is what the person is told."""

    def __init__(self, refusal: RequestRefused) -> None:
        super().__init__(refusal.why)
        self.refusal = refusal


class DuplicateFace(EffectRefused):
    """The new face is enrolled under another name. The person is not told so, the site is."""

    def __init__(self, change: Change, found: Found) -> None:
        super().__init__(Denied("the new face is enrolled under another name"))
        self.change = change
        self.found = found


@dataclass(frozen=True, slots=True, kw_only=True)
class Enforcement:
    """Puts changes in force and ends them, each time telling whom the site wants told."""

    accounts: Accounts
    admins: Admins
    tickets: Tickets
    changes: Changes
    kiosks: Kiosks
    duplicates: Duplicates
    notifications: Notifications

    def cancel(self, session: Session, username: str, by: str, now: datetime) -> Change | None:
        """End a name's pending change in the caller's transaction; `by` says who did. None when it had none."""
        change = self.changes.find(session, username)
        if change is None:
            return None
        self.changes.drop(session, username)
        self.notify(session, "change_cancelled", change, now, by=by)
        return change

    def look(self, change: Asked | Change | None) -> Looked | None:
        """Compare the new face of a change with all others, outside of any transaction; None where it brings none."""
        if change is None or change.new.template is None:
            return None
        return self.duplicates.look(change.username, change.new.template)

    def put_in_force(
        self, session: Session, change: Change, now: datetime, looked: Looked | None = None
    ) -> Mapping[str, object]:
        """Put a settled change in force in the caller's transaction: the old factor ends with this.

        `looked` makes it quick where there is a new face. Returns what the audit keeps of it. Raises EffectRefused
        when it cannot be: a name taken, a ticket used, an account disabled or gone, a face of another name, a claimed
        device that is a kiosk now.
        """
        if change.action is Action.REGISTER:
            self.check_free(session, change)
        if change.new.claimed_mac is not None and self.kiosks.has_mac(session, change.new.claimed_mac):
            raise EffectRefused(AttemptRefused("the device that was claimed through a gateway is a kiosk now"))
        faces = self.check_face(session, change, now, looked)
        if change.action is Action.REGISTER:
            self._register(session, change, now)
        elif not self.accounts.is_live(session, change.username) or not self._replace(session, change, now):
            raise EffectRefused(AttemptRefused("the account is disabled or gone"))
        self.changes.drop(session, change.username)
        self.notify(session, "change_in_force", change, now)
        return faces

    def check_face(
        self, session: Session, change: Change, now: datetime, looked: Looked | None, *, is_told: bool = True
    ) -> Mapping[str, object]:
        """Return what the audit keeps of how a change's new face compares with all others'.

        Raises DuplicateFace where it is to be refused; where the policy lets it pass, the site is told.
        """
        if change.new.template is None:
            return {}
        found = self.duplicates.settle(session, looked, change.username, change.new.template)
        if found.is_refused:
            raise DuplicateFace(change, found)
        if is_told:
            self._tell_duplicate(session, change, found, now)
        return found.detail()

    def tell_refusal(self, session: Session, error: EffectRefused, now: datetime) -> Mapping[str, object]:
        """Tell the site of a refusal that it should know of, in the caller's transaction; returns what the audit keeps.

        It is called after all that was refused has been undone.
        """
        if not isinstance(error, DuplicateFace):
            return {}
        self._tell_duplicate(session, error.change, error.found, now)
        return error.found.detail()

    def _tell_duplicate(self, session: Session, change: Change, found: Found, now: datetime) -> None:
        if found.match is not None:
            told = {"like": found.match.username, "is_refused": found.is_refused}
            self.notify(session, Event.DUPLICATE_FACE, change, now, **told)

    def _replace(self, session: Session, change: Change, now: datetime) -> bool:
        name, new, accounts = change.username, change.new, self.accounts
        if new.password_hash is not None:
            return accounts.replace_password(session, name, new.password_hash, now)
        if new.totp_secret is not None and new.totp_step is not None:
            return accounts.replace_totp(session, name, new.totp_secret, new.totp_step, now)
        if new.template is not None and new.face_png is not None:
            return accounts.replace_face(session, name, new.template, new.face_png, now)
        if new.mac_addresses is not None:
            return accounts.replace_devices(session, name, new.mac_addresses, now)
        return False

    def _register(self, session: Session, change: Change, now: datetime) -> None:
        new = change.new
        self._use_permission(session, change, now)
        # The step is 0 where no first code was asked for.
        if not (new.password_hash and new.totp_secret and new.template and new.face_png) or new.totp_step is None:
            raise EffectRefused(AttemptRefused("the registration is not whole"))
        account = NewAccount(
            username=change.username,
            password_hash=new.password_hash,
            totp_secret=new.totp_secret,
            totp_last_step=new.totp_step,
            template=new.template,
            face_png=new.face_png,
            mac_addresses=new.mac_addresses or frozenset(),
        )
        self.accounts.create(session, account, now)

    def check_free(self, session: Session, change: Change) -> None:
        """Raise EffectRefused when the name that is to be registered has an account."""
        if self.accounts.is_there(session, change.username):
            raise EffectRefused(Malformed("username", "is the name of an account already: choose another"))

    def _use_permission(self, session: Session, change: Change, now: datetime) -> None:
        """Use the ticket up, or see that the administrator still is one."""
        kind, _, value = (change.permission or "").partition(":")
        if kind == "ticket" and self.tickets.use(session, value, change.username, now):
            return
        if kind == "admin" and self.admins.role_of(session, value) is Role.ADMIN:
            return
        raise EffectRefused(AttemptRefused("the leave to register was used or withdrawn meanwhile"))

    def notify(self, session: Session, event: str, change: Change, now: datetime, **more: object) -> None:
        """Tell of a change, in the caller's transaction."""
        body = {"action": change.action.value, "kiosk": change.kiosk_id, **more}
        if change.in_force_at is not None:
            body["in_force_at"] = change.in_force_at.isoformat(timespec="seconds")
        self.notifications.add(session, event, change.username, body, now)
