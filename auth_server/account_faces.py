"""An account's further templates, beside the enrolled one: of another model, or moved by good logins.

The enrolled template and its picture are never touched here, so that a server with another model goes on
working beside this one. Each further template stands in a row of its own, sealed by the account's data
key for that row, and goes when another face is enrolled.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from auth_server.account_factors import KEYED, AccountFactors, changed, open_of, seal_for
from auth_server.data_keys import TEMPLATE_PLACE, open_data_key, template_row
from auth_server.domain import Enrolment, Template
from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher
from auth_server.store.models import FACE_TEMPLATES, USER_KEYS, USERS

MIGRATED: Final = "migrated"
"""Made of the enrolled picture, for another model than it was enrolled with."""

FOLLOWED: Final = "followed"
"""Moved a little by good logins."""

_ROW = FACE_TEMPLATES.c
_OF_NAME = _ROW.username == bindparam("name")
FURTHER = select(_ROW.kind, _ROW.made_at, _ROW.template_enc).where(_OF_NAME, _ROW.model == bindparam("model"))
_HELD = select(_ROW.model, _ROW.kind, _ROW.made_at).where(_OF_NAME).order_by(_ROW.model, _ROW.kind)
_ADD = insert(FACE_TEMPLATES)
_DROP_ONE = delete(FACE_TEMPLATES).where(
    _OF_NAME, _ROW.model == bindparam("of_model"), _ROW.kind == bindparam("of_kind")
)
_DROP_OTHERS = delete(FACE_TEMPLATES).where(_OF_NAME, _ROW.model != bindparam("of_model"))
_ENROLLED = (
    select(USERS.c.face_model, USER_KEYS.c.data_key_enc).select_from(KEYED).where(USERS.c.username == bindparam("name"))
)
_PICTURES = (
    select(USERS.c.username, USER_KEYS.c.factors_changed_at, USER_KEYS.c.data_key_enc, USERS.c.face_image_enc)
    .select_from(KEYED)
    .where(USERS.c.username.in_(bindparam("names", expanding=True)))
)
_LACKING = (
    select(USERS.c.username)
    .where(
        USERS.c.username > bindparam("after"),
        USERS.c.face_model != bindparam("model"),
        USERS.c.username.not_in(
            select(_ROW.username).where(_ROW.model == bindparam("model"), _ROW.kind == bindparam("kind"))
        ),
    )
    .order_by(USERS.c.username)
)
_STALE = (
    select(USERS.c.username)
    .where(USERS.c.username > bindparam("after"))
    .where(
        (USERS.c.face_model != bindparam("model"))
        | USERS.c.username.in_(select(_ROW.username).where(_ROW.model != bindparam("model")))
    )
    .order_by(USERS.c.username)
)
_ENROL = (
    update(USERS)
    .where(USERS.c.username == bindparam("name"))
    .values(face_template_enc=bindparam("template"), face_model=bindparam("model"))
)


@dataclass(frozen=True, slots=True)
class Held:
    """One template of an account: `kind` is `enrolled`, `migrated` or `followed`; of the first no time is kept."""

    model: str
    kind: str
    made_at: datetime | None


@dataclass(frozen=True, slots=True)
class EnrolledPicture:
    """The picture of an account as it was read; `png` is None where it does not open."""

    username: str
    factors_changed_at: datetime
    png: bytes | None


class AccountFaces(AccountFactors):
    """The further templates of all accounts. Methods raise StoreError."""

    def store_migrated(self, read: Enrolment, template: Template, now: datetime) -> bool:
        """Keep a template that was made of an enrolment's picture; False when another factor is in force since."""
        if read.factors_changed_at is None:
            return False
        with self._database.transaction() as session:
            return self.put_further(session, read.username, read.factors_changed_at, MIGRATED, template, now)

    def put_further(
        self, session: Session, username: str, as_read: datetime, kind: str, template: Template, now: datetime
    ) -> bool:
        """Put a further template in the place of the one of its model and kind, in the caller's transaction.

        False, and nothing is stored, when a factor was changed after `as_read`: it may be of another face.
        """
        if not self.stands_as(session, username, as_read):
            return False
        own = self._own_cipher(session, username)
        token = own.seal(*TEMPLATE_PLACE, template_row(username, template.model, kind), template.embedding)
        connection = session.connection()
        connection.execute(_DROP_ONE, {"name": username, "of_model": template.model, "of_kind": kind})
        values = {"username": username, "model": template.model, "kind": kind, "made_at": now, "template_enc": token}
        connection.execute(_ADD, values)
        return True

    def templates(self, username: str) -> tuple[Held, ...]:
        """Return which templates an account has, the enrolled one first; none for a name that no account has."""
        with self._database.read() as session:
            connection = session.connection()
            enrolled = connection.execute(_ENROLLED, {"name": username}).one_or_none()
            if enrolled is None:
                return ()
            further = connection.execute(_HELD, {"name": username}).all()
        return (Held(enrolled.face_model, "enrolled", None), *(Held(*row) for row in further))

    def without_template(self, model: str, after: str = "", limit: int | None = None) -> list[str]:
        """Return the names behind `after` that have no template of a model yet, in order."""
        with self._database.read() as session:
            values = {"after": after, "model": model, "kind": MIGRATED}
            return [*session.connection().execute(_LACKING.limit(limit), values).scalars()]

    def pictures(self, usernames: Iterable[str]) -> list[EnrolledPicture]:
        """Return the enrolled pictures of these names, by name; a name that has gone is left out."""
        with self._database.read() as session:
            rows = session.connection().execute(_PICTURES, {"names": [*usernames]}).all()
        return sorted((_picture(self._cipher, *row) for row in rows), key=lambda found: found.username)

    def with_other_models(self, model: str, after: str = "", limit: int | None = None) -> list[str]:
        """Return the names behind `after` that have a template of another model, in order."""
        with self._database.read() as session:
            statement = _STALE.limit(limit)
            return [*session.connection().execute(statement, {"after": after, "model": model}).scalars()]

    def keep_only(self, session: Session, username: str, model: str) -> bool:
        """Make a migrated template the enrolled one, and drop those of all other models, in the caller's transaction.

        False, and nothing is dropped, when the account has no template of this model.
        """
        connection = session.connection()
        enrolled = connection.execute(_ENROLLED, {"name": username}).one_or_none()
        if enrolled is None:
            return False
        if enrolled.face_model != model:
            rows = {row.kind: row for row in connection.execute(FURTHER, {"name": username, "model": model})}
            if MIGRATED not in rows:
                return False
            own = open_data_key(self._cipher, username, enrolled.data_key_enc)
            embedding = open_further(own, username, model, MIGRATED, rows[MIGRATED].template_enc)
            sealed = seal_for(own, "face_template_enc", username, embedding)
            changed(session, _ENROL, {"name": username, "template": sealed, "model": model})
        connection.execute(_DROP_ONE, {"name": username, "of_model": model, "of_kind": MIGRATED})
        connection.execute(_DROP_OTHERS, {"name": username, "of_model": model})
        return True


def open_further(own: FieldCipher, username: str, model: str, kind: str, token: bytes) -> bytes:
    """Open what stands in a row of `face_templates`. Raises StoreError."""
    return own.open(*TEMPLATE_PLACE, template_row(username, model, kind), token)


def _picture(cipher: FieldCipher, name: str, changed_at: datetime, data_key: bytes, token: bytes) -> EnrolledPicture:
    try:
        own = open_data_key(cipher, name, data_key)
        return EnrolledPicture(name, changed_at, open_of(own, "face_image_enc", name, token))
    except StoreError:  # a damaged one must not keep the others from being read
        return EnrolledPicture(name, changed_at, None)
