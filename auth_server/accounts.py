"""Accounts: what the factors compare with, sealed at rest, and an account's standing.

For a name that no account has a decoy is handed out. Reading it costs what a real one costs: the
same statements, the same two decryptions, and a bcrypt hash of the same cost for the factor.
"""

import builtins
import functools
import math
import secrets
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import bcrypt
import pyotp
from sqlalchemy import Connection, Update, bindparam, insert, select, update
from sqlalchemy.orm import Session

from auth_contract.fields import canonical_mac, canonical_username
from auth_server.domain import Enrolment, Template
from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher
from auth_server.password_policy import BCRYPT_COST
from auth_server.store.database import Database
from auth_server.store.models import USER_DEVICES, USERS

_NO_NAME: Final = ""
"""The row for which the decoy's blobs are sealed; no account can have it."""

_BY_NAME = USERS.c.username == bindparam("name")
_SECRETS = select(
    USERS.c.password_hash,
    USERS.c.totp_secret_enc,
    USERS.c.totp_last_step,
    USERS.c.face_model,
    USERS.c.face_template_enc,
    USERS.c.enabled,
    USERS.c.face_enabled,
).where(_BY_NAME)
_STANDING = select(
    USERS.c.username, USERS.c.enabled, USERS.c.face_enabled, USERS.c.face_model, USERS.c.created_at
).order_by(USERS.c.username)
_ALL_DEVICES = select(USER_DEVICES.c.username, USER_DEVICES.c.mac_address)
_DEVICES = select(USER_DEVICES.c.mac_address).where(USER_DEVICES.c.username == bindparam("name"))
_PICTURE = select(USERS.c.face_image_enc).where(_BY_NAME)
_ADD = insert(USERS)
_ADD_DEVICE = insert(USER_DEVICES)
_SET_ENABLED = update(USERS).where(_BY_NAME).values(enabled=bindparam("is_enabled"))
_DISABLE_FACE = update(USERS).where(_BY_NAME).values(face_enabled=False)
_ENABLE = update(USERS).where(_BY_NAME).values(enabled=True, face_enabled=True)
_STORE_TEMPLATE = (
    update(USERS).where(_BY_NAME).values(face_template_enc=bindparam("template"), face_model=bindparam("model"))
)
_BURN = (
    update(USERS)
    .where(_BY_NAME, USERS.c.totp_last_step < bindparam("step"), USERS.c.enabled, USERS.c.face_enabled)
    .values(totp_last_step=bindparam("step"))
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
def _decoy_hash() -> bytes:
    """A hash that no password is known for; made once, because it takes as long as a check."""
    return bcrypt.hashpw(secrets.token_urlsafe(32).encode(), bcrypt.gensalt(BCRYPT_COST))


class Accounts:
    """All accounts. `model` and `embedding_size` shape the decoy's face. Methods raise StoreError."""

    def __init__(
        self,
        database: Database,
        cipher: FieldCipher,
        model: str,
        *,
        embedding_size: int = 512,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._model = model
        self._decoy_totp = self._seal("totp_secret_enc", _NO_NAME, pyotp.random_base32().encode())
        self._decoy_face = self._seal("face_template_enc", _NO_NAME, _random_embedding(embedding_size, random_bytes))

    @staticmethod
    def prepare_decoy() -> None:
        """Make the decoy's hash now, 0.2 s: a server does so before its first login, others need none."""
        _decoy_hash()

    def enrolment(self, username: str) -> Enrolment:
        """Return what the factors compare with, or a decoy of the same shape and cost."""
        with self._database.read() as session:
            connection = session.connection()
            found = connection.execute(_SECRETS, {"name": username}).one_or_none()
            devices = connection.execute(_DEVICES, {"name": username}).scalars().all()
        # Asked for whatever the name is, so that a first call which has to make it tells nothing.
        decoy = (_decoy_hash(), self._decoy_totp, 0, self._model, self._decoy_face, False, False)
        owner = _NO_NAME if found is None else username
        password_hash, totp_secret, last_step, model, template, enabled, face_enabled = found or decoy
        return Enrolment(
            username=username,
            password_hash=password_hash,
            totp_secret=self._open("totp_secret_enc", owner, totp_secret).decode(),
            totp_last_step=last_step,
            template=Template(model, self._open("face_template_enc", owner, template)),
            mac_addresses=frozenset(devices),
            enabled=enabled,
            face_enabled=face_enabled,
            is_decoy=owner == _NO_NAME,
        )

    def add(self, account: NewAccount, now: datetime) -> Account:
        """Store a new account, enabled, and return it.

        Raises ValueError for a name or MAC of the wrong form, StoreError for a name in use.
        """
        name = canonical_username(account.username)
        macs = frozenset(map(canonical_mac, account.mac_addresses))
        values = {
            "username": name,
            "password_hash": account.password_hash,
            "totp_secret_enc": self._seal("totp_secret_enc", name, account.totp_secret.encode()),
            "totp_last_step": account.totp_last_step,
            "face_model": account.template.model,
            "enabled": True,
            "face_enabled": True,
            "created_at": now,
            "face_template_enc": self._seal("face_template_enc", name, account.template.embedding),
            "face_image_enc": self._seal("face_image_enc", name, account.face_png),
        }
        with self._database.transaction() as session:
            connection = session.connection()
            if connection.execute(_SECRETS, {"name": name}).first() is not None:
                raise StoreError(f"there is an account {name!r} already: choose another name")
            connection.execute(_ADD, values)
            for mac in sorted(macs):
                connection.execute(_ADD_DEVICE, {"username": name, "mac_address": mac})
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
            return _changed(session, _SET_ENABLED, {"name": username, "is_enabled": enabled})

    def burn_totp_step(self, session: Session, username: str, step: int) -> bool:
        """Use up a time step, and every earlier one, in the transaction that grants.

        False when the step was used already, or when the account or its face was disabled since its
        enrolment was read: then nothing may be granted.
        """
        return _changed(session, _BURN, {"name": username, "step": step})

    def store_template(self, username: str, template: Template) -> None:
        """Replace the face template, as after a change of model. Raises StoreError for an unknown name."""
        sealed = self._seal("face_template_enc", username, template.embedding)
        values = {"name": username, "template": sealed, "model": template.model}
        with self._database.transaction() as session:
            if not _changed(session, _STORE_TEMPLATE, values):
                raise StoreError(f"there is no account {username!r}")

    def face_picture(self, username: str) -> bytes:
        """Return the enrolled picture as PNG. Raises StoreError for an unknown name."""
        with self._database.read() as session:
            token = session.connection().execute(_PICTURE, {"name": username}).scalar_one_or_none()
        if token is None:
            raise StoreError(f"there is no account {username!r}")
        return self._open("face_image_enc", username, token)

    @staticmethod
    def disable_face(session: Session, username: str) -> bool:
        """Switch the face factor off in the caller's transaction: every login is then denied."""
        return _changed(session, _DISABLE_FACE, {"name": username})

    @staticmethod
    def disable(session: Session, username: str) -> bool:
        """Disable an account in the caller's transaction."""
        return _changed(session, _SET_ENABLED, {"name": username, "is_enabled": False})

    @staticmethod
    def enable(session: Session, username: str) -> bool:
        """Enable an account and its face in the caller's transaction."""
        return _changed(session, _ENABLE, {"name": username})

    def _seal(self, column: str, username: str, plaintext: bytes) -> bytes:
        return self._cipher.seal("users", column, username, plaintext)

    def _open(self, column: str, username: str, token: bytes) -> bytes:
        return self._cipher.open("users", column, username, token)


def _changed(session: Session, statement: Update, values: Mapping[str, object]) -> bool:
    return session.connection().execute(statement, values).rowcount == 1


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


def _random_embedding(size: int, random_bytes: Callable[[int], bytes]) -> bytes:
    """A unit vector that is nobody's face, as little-endian float32."""
    numbers = [number / 2**15 or 1.0 for number in struct.unpack(f"<{size}h", random_bytes(2 * size))]
    length = math.sqrt(sum(number * number for number in numbers))
    return struct.pack(f"<{size}f", *(number / length for number in numbers))
