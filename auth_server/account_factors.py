"""An account's factors in the store: used up, looked at again, and replaced, in the caller's transaction.

An account's secrets are sealed by a data key of its own. Whatever is sealed for one that is there is
sealed and written in the transaction that read its key, because a rotation replaces the key.
"""

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Delete, Update, bindparam, delete, exists, insert, or_, select, update
from sqlalchemy.orm import Session

from auth_contract.fields import canonical_mac
from auth_server.data_keys import open_data_key
from auth_server.domain import Enrolment, Template
from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher
from auth_server.store.database import Database
from auth_server.store.models import FACE_TEMPLATES, USER_DEVICES, USER_KEYS, USERS

CLOCK_STEP_S: Final = 60
"""A factor that changed further ahead of now than this changed before the clock was set back."""

_BY_NAME = USERS.c.username == bindparam("name")
KEYED = USERS.join(USER_KEYS, USER_KEYS.c.username == USERS.c.username)
"""Accounts with their data keys."""

DEVICES = select(USER_DEVICES.c.mac_address).where(USER_DEVICES.c.username == bindparam("name"))
ADD_DEVICE = insert(USER_DEVICES)
_PICTURE = select(USERS.c.face_image_enc, USER_KEYS.c.data_key_enc).select_from(KEYED).where(_BY_NAME)
_IS_THERE = select(USERS.c.username).where(_BY_NAME)
_DATA_KEY = select(USER_KEYS.c.data_key_enc).where(USER_KEYS.c.username == bindparam("name"))
_DROP_DEVICE = delete(USER_DEVICES).where(
    USER_DEVICES.c.username == bindparam("name"), USER_DEVICES.c.mac_address == bindparam("mac")
)
_DROP_DEVICES = delete(USER_DEVICES).where(USER_DEVICES.c.username == bindparam("name"))
_STORE_TEMPLATE = (
    update(USERS).where(_BY_NAME).values(face_template_enc=bindparam("template"), face_model=bindparam("model"))
)
_DROP_FURTHER = delete(FACE_TEMPLATES).where(FACE_TEMPLATES.c.username == bindparam("name"))
_STORE_PICTURE = update(USERS).where(_BY_NAME).values(face_image_enc=bindparam("picture"))
_STORE_PASSWORD = update(USERS).where(_BY_NAME).values(password_hash=bindparam("new_hash"))
_STORE_TOTP = (
    update(USERS).where(_BY_NAME).values(totp_secret_enc=bindparam("secret"), totp_last_step=bindparam("step"))
)
_FACTOR_CHANGED = (
    update(USER_KEYS)
    .where(USER_KEYS.c.username == bindparam("name"))
    .values(factors_changed_at=bindparam("changed_at"))
)
_IS_OPENED_SINCE = exists().where(
    USER_KEYS.c.username == bindparam("name"),
    or_(
        USER_KEYS.c.factors_changed_at <= bindparam("opened_at"),
        USER_KEYS.c.factors_changed_at > bindparam("latest"),
    ),
)
_IN_GOOD_STANDING = (_BY_NAME, USERS.c.enabled, USERS.c.face_enabled, _IS_OPENED_SINCE)
_BURN = (
    update(USERS)
    .where(*_IN_GOOD_STANDING, USERS.c.totp_last_step < bindparam("step"))
    .values(totp_last_step=bindparam("step"))
)
_AS_READ = select(USER_KEYS.c.username).where(
    USER_KEYS.c.username == bindparam("name"), USER_KEYS.c.factors_changed_at == bindparam("as_read")
)
_LIVE = select(USERS.c.username).where(_BY_NAME, USERS.c.enabled, USERS.c.face_enabled)
_STAND = update(USERS).where(*_IN_GOOD_STANDING).values(totp_last_step=USERS.c.totp_last_step)


class AccountFactors:
    """The stored factors of all accounts. Methods raise StoreError."""

    def __init__(self, database: Database, cipher: FieldCipher) -> None:
        self._database = database
        self._cipher = cipher

    @staticmethod
    def is_there(session: Session, username: str) -> bool:
        """Whether a name has an account, in the caller's transaction."""
        return session.connection().execute(_IS_THERE, {"name": username}).first() is not None

    @staticmethod
    def spend(session: Session, username: str, *, step: int | None, opened_at: datetime, now: datetime) -> bool:
        """Use up a time step, and every earlier one, in the transaction that grants; without a step only look.

        False when the step was used already, when the account or its face was disabled since its enrolment
        was read, or when a factor changed after the attempt was opened: then nothing may be granted.
        """
        values = {"name": username, "opened_at": opened_at, "latest": now + timedelta(seconds=CLOCK_STEP_S)}
        if step is None:
            return changed(session, _STAND, values)
        return changed(session, _BURN, {**values, "step": step})

    @staticmethod
    def is_as_read(session: Session, enrolment: Enrolment) -> bool:
        """Whether the factors that were read are still those in force, as the caller's transaction sees it.

        A change that was begun before an attempt was opened may end after its factors were read, so the
        times of the two tell nothing.
        """
        read_at = enrolment.factors_changed_at
        return read_at is not None and AccountFactors.stands_as(session, enrolment.username, read_at)

    @staticmethod
    def stands_as(session: Session, username: str, as_read: datetime) -> bool:
        """Whether an account's factors are those that were in force when `factors_changed_at` was read so."""
        return session.connection().execute(_AS_READ, {"name": username, "as_read": as_read}).first() is not None

    @staticmethod
    def is_live(session: Session, username: str) -> bool:
        """Whether a name has an account, it and its face enabled, as the caller's transaction sees it."""
        return session.connection().execute(_LIVE, {"name": username}).first() is not None

    def replace_password(self, session: Session, username: str, password_hash: bytes, now: datetime) -> bool:
        """Put a new hash in place of the old in the caller's transaction; False when there is no such account."""
        is_there = changed(session, _STORE_PASSWORD, {"name": username, "new_hash": password_hash})
        return is_there and _note_change(session, username, now)

    def replace_totp(self, session: Session, username: str, secret: str, step: int, now: datetime) -> bool:
        """Put a new secret in place of the old; `step`, of its first code, is used up, 0 where none was asked for.

        What was used of the old secret says nothing of the new one's codes.
        """
        sealed = self._sealed(session, "totp_secret_enc", username, secret.encode())
        if sealed is None or not changed(session, _STORE_TOTP, {"name": username, "secret": sealed, "step": step}):
            return False
        return _note_change(session, username, now)

    def replace_face(self, session: Session, username: str, template: Template, face_png: bytes, now: datetime) -> bool:
        """Put a new template and picture in place of the old, and of all templates made of it, in the caller's."""
        picture = self._sealed(session, "face_image_enc", username, face_png)
        if picture is None or not self._put_template(session, username, template):
            return False
        changed(session, _STORE_PICTURE, {"name": username, "picture": picture})
        session.connection().execute(_DROP_FURTHER, {"name": username})
        return _note_change(session, username, now)

    def replace_devices(self, session: Session, username: str, mac_addresses: Collection[str], now: datetime) -> bool:
        """Bind an account to these MACs alone in the caller's transaction."""
        if not self.is_there(session, username):
            return False
        session.connection().execute(_DROP_DEVICES, {"name": username})
        for mac in sorted(set(map(canonical_mac, mac_addresses))):
            session.connection().execute(ADD_DEVICE, {"username": username, "mac_address": mac})
        return _note_change(session, username, now)

    def bind(self, username: str, mac_address: str, now: datetime) -> bool:
        """Let an account log in at one more device; False when it could already. Raises StoreError for no account."""
        with self._database.transaction() as session:
            macs = self._devices(session, username)
            return mac_address not in macs and self.replace_devices(session, username, {*macs, mac_address}, now)

    def unbind(self, username: str, mac_address: str, now: datetime) -> bool:
        """Take a device from an account; False when it had none of it. Raises StoreError for no account."""
        with self._database.transaction() as session:
            self._devices(session, username)
            is_gone = changed(session, _DROP_DEVICE, {"name": username, "mac": mac_address})
            return is_gone and _note_change(session, username, now)

    def face_picture(self, username: str) -> bytes:
        """Return the enrolled picture as PNG. Raises StoreError for an unknown name."""
        with self._database.read() as session:
            found = session.connection().execute(_PICTURE, {"name": username}).one_or_none()
        if found is None:
            raise StoreError(f"there is no account {username!r}")
        picture, data_key = found
        return open_of(open_data_key(self._cipher, username, data_key), "face_image_enc", username, picture)

    def _put_template(self, session: Session, username: str, template: Template) -> bool:
        sealed = self._sealed(session, "face_template_enc", username, template.embedding)
        values = {"name": username, "template": sealed, "model": template.model}
        return sealed is not None and changed(session, _STORE_TEMPLATE, values)

    def _sealed(self, session: Session, column: str, username: str, plaintext: bytes) -> bytes | None:
        """Seal for an account by the data key that it has in this transaction; None when it has none."""
        data_key = session.connection().execute(_DATA_KEY, {"name": username}).scalar_one_or_none()
        return data_key and seal_for(open_data_key(self._cipher, username, data_key), column, username, plaintext)

    def _own_cipher(self, session: Session, username: str) -> FieldCipher:
        """The cipher of an account that is known to be there, as the caller's transaction sees it."""
        data_key = session.connection().execute(_DATA_KEY, {"name": username}).scalar_one()
        return open_data_key(self._cipher, username, data_key)

    def _devices(self, session: Session, username: str) -> list[str]:
        if not self.is_there(session, username):
            raise StoreError(f"there is no account {username!r}")
        return [*session.connection().execute(DEVICES, {"name": username}).scalars()]


def seal_for(own: FieldCipher, column: str, username: str, plaintext: bytes) -> bytes:
    """Seal a value of `users` by an account's own key."""
    return own.seal("users", column, username, plaintext)


def open_of(own: FieldCipher, column: str, username: str, token: bytes) -> bytes:
    """Open what `seal_for` sealed. Raises StoreError."""
    return own.open("users", column, username, token)


def _note_change(session: Session, username: str, now: datetime) -> bool:
    return changed(session, _FACTOR_CHANGED, {"name": username, "changed_at": now})


def changed(session: Session, statement: Update | Delete, values: Mapping[str, object]) -> bool:
    """Run a statement, and tell whether it met its one row."""
    return session.connection().execute(statement, values).rowcount == 1
