"""Administrators: who may run which commands, approve at a kiosk, or let somebody register there.

Each has a name and a secret of their own, so that what was done has one author. The last one with the
role `admin` stays, decided by the statement itself: two commands at once cannot remove the last two.
"""

import builtins
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import Delete, Update, bindparam, delete, exists, insert, or_, select, update
from sqlalchemy.orm import Session

from auth_contract.fields import canonical_username
from auth_server.errors import StoreError
from auth_server.secret_codes import RandomBytes, code_hash, new_admin_secret
from auth_server.store.database import Database
from auth_server.store.models import ADMINS


class Role(StrEnum):
    """What an administrator may do."""

    ADMIN = "admin"
    """Everything, and letting people register at a kiosk."""

    SUPERVISOR = "supervisor"
    """Approving a recovery at a kiosk with the own account; stopping a change, a person or a kiosk."""

    AUDITOR = "auditor"
    """Reading."""


@dataclass(frozen=True, slots=True)
class Admin:
    """One administrator. The secret is stored as a hash and never read."""

    name: str
    role: Role
    created_at: datetime


_OTHER = ADMINS.alias("other")
_BY_NAME = ADMINS.c.name == bindparam("wanted")
_IS_NOT_THE_LAST = or_(
    ADMINS.c.role != Role.ADMIN.value,
    exists().where(_OTHER.c.role == Role.ADMIN.value, _OTHER.c.name != ADMINS.c.name),
)
_COLUMNS = select(ADMINS.c.name, ADMINS.c.role, ADMINS.c.created_at)
_LIST = _COLUMNS.order_by(ADMINS.c.name)
_FIND = _COLUMNS.where(_BY_NAME)
_FIND_BY_SECRET = _COLUMNS.where(ADMINS.c.secret_hash == bindparam("hash"))
_ROLE = select(ADMINS.c.role).where(_BY_NAME)
_ADD = insert(ADMINS)
_REMOVE = delete(ADMINS).where(_BY_NAME, _IS_NOT_THE_LAST)
_NEW_ROLE = bindparam("new_role", type_=ADMINS.c.role.type)
_SET_ROLE = update(ADMINS).where(_BY_NAME, or_(_NEW_ROLE == Role.ADMIN.value, _IS_NOT_THE_LAST)).values(role=_NEW_ROLE)
_RENEW = update(ADMINS).where(_BY_NAME).values(secret_hash=bindparam("hash"))


class Admins:
    """All administrators. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database, random_bytes: RandomBytes = secrets.token_bytes) -> None:
        self._database = database
        self._random_bytes = random_bytes

    def add(self, name: str, role: Role, now: datetime) -> str:
        """Store a new administrator and return the secret, which cannot be read again.

        Raises ValueError for a name of the wrong form, StoreError for a name in use.
        """
        name, secret = canonical_username(name), new_admin_secret(self._random_bytes)
        values = {"name": name, "role": role.value, "secret_hash": code_hash(secret), "created_at": now}
        with self._database.transaction() as session:
            if self.role_of(session, name) is not None:
                raise StoreError(f"there is an administrator {name!r} already: choose another name")
            session.connection().execute(_ADD, values)
        return secret

    def list(self) -> builtins.list[Admin]:
        """Return all administrators by name."""
        with self._database.read() as session:
            return [Admin(name, Role(role), at) for name, role, at in session.connection().execute(_LIST)]

    def find(self, name: str) -> Admin | None:
        """Return one administrator, or None."""
        with self._database.read() as session:
            row = session.connection().execute(_FIND, {"wanted": name}).one_or_none()
        return None if row is None else Admin(row[0], Role(row[1]), row[2])

    def find_by_secret(self, secret: str) -> Admin | None:
        """Return whose secret this is, or None: also where it cannot be one."""
        try:
            wanted = code_hash(secret)
        except ValueError:
            return None
        with self._database.read() as session:
            row = session.connection().execute(_FIND_BY_SECRET, {"hash": wanted}).one_or_none()
        return None if row is None else Admin(row[0], Role(row[1]), row[2])

    def role_of(self, session: Session, name: str) -> Role | None:
        """Return the role that a name has in the caller's transaction, or None."""
        role = session.connection().execute(_ROLE, {"wanted": name}).scalar_one_or_none()
        return None if role is None else Role(role)

    def remove(self, name: str) -> None:
        """Forget an administrator. Raises StoreError for an unknown name and for the last admin."""
        self._change(_REMOVE, {"wanted": name}, "removed")

    def set_role(self, name: str, role: Role) -> None:
        """Give an administrator another role. Raises StoreError for an unknown name and for the last admin."""
        self._change(_SET_ROLE, {"wanted": name, "new_role": role.value}, f"made {role.value}")

    def renew_secret(self, name: str) -> str:
        """Return a new secret; the old one is worth nothing from now on. Raises StoreError for an unknown name."""
        secret = new_admin_secret(self._random_bytes)
        self._change(_RENEW, {"wanted": name, "hash": code_hash(secret)}, "given a new secret")
        return secret

    def _change(self, statement: Delete | Update, values: Mapping[str, object], what: str) -> None:
        with self._database.transaction() as session:
            if session.connection().execute(statement, values).rowcount == 1:
                return
            name = values["wanted"]
            if self.role_of(session, str(name)) is None:
                raise StoreError(f"there is no administrator {name!r}: `4auth-provision admin list` tells who there is")
            raise StoreError(
                f"{name!r} is the last administrator with the role admin and cannot be {what}: "
                "give that role to somebody else first"
            )
