"""Accounts: what the factors compare with, sealed at rest, and an account's standing.

For a name that no account has a decoy is handed out. Reading it costs what a real one costs: the
same statements, the same three decryptions, and a bcrypt hash of the same cost for the factor.
"""

import builtins
import functools
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import pyotp
from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from auth_contract.fields import canonical_mac, canonical_username
from auth_server.account_faces import FURTHER, AccountFaces
from auth_server.account_factors import ADD_DEVICE, DEVICES, KEYED, changed, open_of, seal_for
from auth_server.data_keys import new_data_key, open_data_key
from auth_server.decoy_face import noise_embedding, noise_png
from auth_server.domain import Enrolment, Template
from auth_server.errors import StoreError
from auth_server.held_faces import HeldFaces
from auth_server.keyring import FieldCipher
from auth_server.password_policy import hash_password
from auth_server.store.database import Database
from auth_server.store.models import (
    CHANGES,
    EXEMPTIONS,
    FACE_TEMPLATES,
    LOCKOUTS,
    SNAPSHOTS,
    TICKETS,
    USER_DEVICES,
    USER_KEYS,
    USERS,
)

_NO_NAME: Final = ""
"""The row for which the decoy's blobs are sealed; no account can have it."""

_BY_NAME = USERS.c.username == bindparam("name")
_SECRETS = (
    select(
        USERS.c.password_hash,
        USERS.c.totp_secret_enc,
        USERS.c.totp_last_step,
        USERS.c.face_model,
        USERS.c.face_template_enc,
        USERS.c.face_image_enc,
        USERS.c.enabled,
        USERS.c.face_enabled,
        USER_KEYS.c.data_key_enc,
        USER_KEYS.c.factors_changed_at,
    )
    .select_from(KEYED)
    .where(_BY_NAME)
)
_STANDING = select(
    USERS.c.username, USERS.c.enabled, USERS.c.face_enabled, USERS.c.face_model, USERS.c.created_at
).order_by(USERS.c.username)
_ALL_DEVICES = select(USER_DEVICES.c.username, USER_DEVICES.c.mac_address)
_ADD = insert(USERS)
_ADD_KEY = insert(USER_KEYS)
_SET_ENABLED = update(USERS).where(_BY_NAME).values(enabled=bindparam("is_enabled"))
_DISABLE_FACE = update(USERS).where(_BY_NAME).values(face_enabled=False)
_ENABLE = update(USERS).where(_BY_NAME).values(enabled=True, face_enabled=True)
_DELETE = delete(USERS).where(_BY_NAME)
_SHRED = update(USER_KEYS).where(USER_KEYS.c.username == bindparam("name")).values(data_key_enc=bindparam("nothing"))
_OF_NOBODY = tuple(
    delete(table).where(table.c.username == bindparam("name"))
    for table in (USER_KEYS, USER_DEVICES, EXEMPTIONS, FACE_TEMPLATES, SNAPSHOTS, LOCKOUTS, TICKETS, CHANGES)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAccount:
    """All that an account starts with. `totp_last_step` is the step of the code that proved the secret."""

    username: str
    password_hash: bytes = field(repr=False)
    totp_secret: str = field(repr=False)
    totp_last_step: int
    template: Template = field(repr=False)
    face_png: bytes = field(repr=False)
    mac_addresses: frozenset[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What an administrator may see of an account."""

    username: str
    enabled: bool
    face_enabled: bool
    face_model: str
    mac_addresses: frozenset[str]
    created_at: datetime


@functools.cache
def _decoy_hash(make_hash: Callable[[str], bytes]) -> bytes:
    """A hash that no password is known for; made once, because it takes as long as a check."""
    return make_hash(secrets.token_urlsafe(32))


class Accounts(AccountFaces):
    """All accounts. Methods raise StoreError.

    `model` is the one whose templates are handed out, where there are some; it and `embedding_size` shape
    the decoy's face. `is_following` hands out what good logins moved. `make_hash` makes the decoy's hash,
    as it makes everybody's.
    """

    def __init__(
        self,
        database: Database,
        cipher: FieldCipher,
        model: str,
        *,
        embedding_size: int = 512,
        is_following: bool = False,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        make_hash: Callable[[str], bytes] = hash_password,
    ) -> None:
        super().__init__(database, cipher)
        self._model = model
        self._make_hash = make_hash
        self._is_following = is_following
        self._decoy_secrets = (
            pyotp.random_base32().encode(),
            noise_embedding(embedding_size, random_bytes),
            noise_png(random_bytes),
        )
        self._decoy = self._new_decoy()

    def prepare_decoy(self) -> None:
        """Make the decoy's hash now, 0.2 s: a server does so before its first login, others need none."""
        _decoy_hash(self._make_hash)

    def enrolment(self, username: str) -> Enrolment:
        """Return what the factors compare with, or a decoy of the same shape and cost."""
        with self._database.read() as session:
            connection = session.connection()
            found = connection.execute(_SECRETS, {"name": username}).one_or_none()
            devices = connection.execute(DEVICES, {"name": username}).scalars().all()
            further = connection.execute(FURTHER, {"name": username, "model": self._model}).all()
        # Asked for whatever the name is, so that a first call which has to make it tells nothing.
        decoy = (_decoy_hash(self._make_hash), *self._decoy)
        owner = _NO_NAME if found is None else username
        password_hash, totp_secret, last_step, model, template, picture, enabled, face_enabled, data_key, changed_at = (
            found or decoy
        )
        try:
            own = open_data_key(self._cipher, owner, data_key)
        except StoreError:
            if found is not None:
                raise
            # The site's key that sealed the decoy's was retired since.
            self._decoy = self._new_decoy()
            return self.enrolment(username)
        faces = HeldFaces(own, owner, Template(model, template), {row.kind: row for row in further})
        return Enrolment(
            username=username,
            password_hash=password_hash,
            totp_secret=open_of(own, "totp_secret_enc", owner, totp_secret).decode(),
            totp_last_step=last_step,
            template=faces.template(self._model),
            mac_addresses=frozenset(devices),
            enabled=enabled,
            face_enabled=face_enabled,
            is_decoy=owner == _NO_NAME,
            factors_changed_at=changed_at,
            face_png=open_of(own, "face_image_enc", owner, picture),
            followed=faces.followed(self._model) if self._is_following else None,
            followed_at=faces.followed_at if self._is_following else None,
        )

    def add(self, account: NewAccount, now: datetime) -> Account:
        """Store a new account, enabled, and return it; see `create`."""
        with self._database.transaction() as session:
            return self.create(session, account, now)

    def create(self, session: Session, account: NewAccount, now: datetime) -> Account:
        """Store a new account in the caller's transaction, enabled, and return it.

        Raises ValueError for a name or MAC of the wrong form, StoreError for a name in use.
        """
        name = canonical_username(account.username)
        macs = frozenset(map(canonical_mac, account.mac_addresses))
        own, data_key = new_data_key(self._cipher, name)
        values = {
            "username": name,
            "password_hash": account.password_hash,
            "totp_secret_enc": seal_for(own, "totp_secret_enc", name, account.totp_secret.encode()),
            "totp_last_step": account.totp_last_step,
            "face_model": account.template.model,
            "enabled": True,
            "face_enabled": True,
            "created_at": now,
            "face_template_enc": seal_for(own, "face_template_enc", name, account.template.embedding),
            "face_image_enc": seal_for(own, "face_image_enc", name, account.face_png),
        }
        connection = session.connection()
        if self.is_there(session, name):
            raise StoreError(f"there is an account {name!r} already: choose another name")
        connection.execute(_ADD, values)
        connection.execute(_ADD_KEY, {"username": name, "data_key_enc": data_key, "factors_changed_at": now})
        for mac in sorted(macs):
            connection.execute(ADD_DEVICE, {"username": name, "mac_address": mac})
        return Account(
            username=name,
            enabled=True,
            face_enabled=True,
            face_model=account.template.model,
            mac_addresses=macs,
            created_at=now,
        )

    def list(self) -> builtins.list[Account]:
        """Return all accounts by name."""
        with self._database.read() as session:
            return _accounts(session.connection(), None)

    def find(self, username: str) -> Account | None:
        """Return one account, or None."""
        with self._database.read() as session:
            return next(iter(_accounts(session.connection(), username)), None)

    def set_enabled(self, username: str, enabled: bool) -> bool:
        """Let an account log in or not, as an admin's act; False when there is no such account."""
        with self._database.transaction() as session:
            return changed(session, _SET_ENABLED, {"name": username, "is_enabled": enabled})

    def delete(self, username: str) -> bool:
        """Forget an account: its data key is overwritten, then every row of it goes; False when there is none.

        What the audit log says of the name stays.
        """
        with self._database.transaction() as session:
            changed(session, _SHRED, {"name": username, "nothing": b""})
            for statement in _OF_NOBODY:
                session.connection().execute(statement, {"name": username})
            return changed(session, _DELETE, {"name": username})

    @staticmethod
    def disable_face(session: Session, username: str) -> bool:
        """Switch the face factor off in the caller's transaction: every login is then denied."""
        return changed(session, _DISABLE_FACE, {"name": username})

    @staticmethod
    def disable(session: Session, username: str) -> bool:
        """Disable an account in the caller's transaction."""
        return changed(session, _SET_ENABLED, {"name": username, "is_enabled": False})

    @staticmethod
    def enable(session: Session, username: str) -> bool:
        """Enable an account and its face in the caller's transaction."""
        return changed(session, _ENABLE, {"name": username})

    def _new_decoy(self) -> tuple[bytes, int, str, bytes, bytes, bool, bool, bytes, None]:
        own, data_key = new_data_key(self._cipher, _NO_NAME)
        totp = seal_for(own, "totp_secret_enc", _NO_NAME, self._decoy_secrets[0])
        face = seal_for(own, "face_template_enc", _NO_NAME, self._decoy_secrets[1])
        picture = seal_for(own, "face_image_enc", _NO_NAME, self._decoy_secrets[2])
        return (totp, 0, self._model, face, picture, False, False, data_key, None)


def _accounts(connection: Connection, username: str | None) -> list[Account]:
    standing, devices = _STANDING, _ALL_DEVICES
    if username is not None:
        standing = standing.where(USERS.c.username == username)
        devices = devices.where(USER_DEVICES.c.username == username)
    macs: dict[str, set[str]] = {}
    for name, mac in connection.execute(devices):
        macs.setdefault(name, set()).add(mac)
    return [
        Account(
            username=name,
            enabled=enabled,
            face_enabled=face_enabled,
            face_model=model,
            mac_addresses=frozenset(macs.get(name, ())),
            created_at=created_at,
        )
        for name, enabled, face_enabled, model, created_at in connection.execute(standing)
    ]
