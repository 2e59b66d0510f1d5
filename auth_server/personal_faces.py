"""All that is stored of one person's face, opened: for the person, who may ask for it."""

from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import bindparam, select

from auth_server.account_faces import open_further
from auth_server.account_factors import KEYED, open_of
from auth_server.data_keys import open_data_key
from auth_server.keyring import FieldCipher
from auth_server.store.database import Database
from auth_server.store.models import FACE_TEMPLATES, USER_KEYS, USERS

_ENROLLED = (
    select(USERS.c.face_model, USERS.c.face_template_enc, USERS.c.face_image_enc, USER_KEYS.c.data_key_enc)
    .select_from(KEYED)
    .where(USERS.c.username == bindparam("name"))
)
_FURTHER = (
    select(FACE_TEMPLATES.c.model, FACE_TEMPLATES.c.kind, FACE_TEMPLATES.c.made_at, FACE_TEMPLATES.c.template_enc)
    .where(FACE_TEMPLATES.c.username == bindparam("name"))
    .order_by(FACE_TEMPLATES.c.model, FACE_TEMPLATES.c.kind)
)


@dataclass(frozen=True, slots=True)
class OpenTemplate:
    """One template: `kind` is `enrolled`, `migrated` or `followed`, `embedding` little-endian float32."""

    model: str
    kind: str
    made_at: datetime | None
    embedding: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PersonalFace:
    """A person's templates, the enrolled one first, and the enrolled picture as PNG."""

    templates: tuple[OpenTemplate, ...]
    picture_png: bytes = field(repr=False)


def personal_face(database: Database, site: FieldCipher, username: str) -> PersonalFace | None:
    """Return what is stored of a person's face; None for a name that no account has. Raises StoreError."""
    with database.read() as session:
        connection = session.connection()
        enrolled = connection.execute(_ENROLLED, {"name": username}).one_or_none()
        further = connection.execute(_FURTHER, {"name": username}).all()
    if enrolled is None:
        return None
    model, template, picture, data_key = enrolled
    own = open_data_key(site, username, data_key)
    templates = (
        OpenTemplate(model, "enrolled", None, open_of(own, "face_template_enc", username, template)),
        *(
            OpenTemplate(model, kind, made_at, open_further(own, username, model, kind, token))
            for model, kind, made_at, token in further
        ),
    )
    return PersonalFace(templates, open_of(own, "face_image_enc", username, picture))
