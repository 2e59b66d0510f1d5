"""What else of people's faces is sealed beside their accounts: whether all of it opens, a page at a time."""

from collections.abc import Iterator
from typing import Final

from sqlalchemy import func, select, tuple_
from sqlalchemy.orm import Session

from auth_server.account_faces import open_further
from auth_server.data_keys import open_data_key
from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher
from auth_server.store.database import Database
from auth_server.store.models import FACE_TEMPLATES, SNAPSHOTS, USER_KEYS

_PAGE: Final = 100
_TEMPLATE = FACE_TEMPLATES.c
_KEY = tuple_(_TEMPLATE.username, _TEMPLATE.model, _TEMPLATE.kind)
_TEMPLATES = (
    select(_TEMPLATE.username, _TEMPLATE.model, _TEMPLATE.kind, _TEMPLATE.template_enc, USER_KEYS.c.data_key_enc)
    .select_from(FACE_TEMPLATES.join(USER_KEYS, USER_KEYS.c.username == _TEMPLATE.username))
    .order_by(_TEMPLATE.username, _TEMPLATE.model, _TEMPLATE.kind)
    .limit(_PAGE)
)
_SNAPSHOTS = select(SNAPSHOTS.c.attempt_id, SNAPSHOTS.c.picture_enc).order_by(SNAPSHOTS.c.attempt_id).limit(_PAGE)

SNAPSHOT_PLACE: Final = ("snapshots", "picture_enc")
"""The table and column of the pictures of refused attempts; each is sealed for its attempt."""


def count_faces(session: Session) -> int:
    """Return how many rows `faults_of_faces` looks at."""
    counts = (select(func.count()).select_from(table) for table in (FACE_TEMPLATES, SNAPSHOTS))
    return sum(session.execute(count).scalar_one() for count in counts)


def faults_of_faces(database: Database, site: FieldCipher) -> Iterator[str | None]:
    """Open every further template and every snapshot; give, for each, None or a sentence that says what is wrong."""
    after: tuple[str, ...] = ("", "", "")
    while True:
        with database.read() as session:
            page = session.execute(_TEMPLATES.where(_KEY > tuple_(*after))).all()
        if not page:
            break
        for name, model, kind, token, data_key in page:
            yield _template_fault(site, (name, model, kind), token, data_key)
        after = (page[-1].username, page[-1].model, page[-1].kind)
    yield from _snapshot_faults(database, site)


def _snapshot_faults(database: Database, site: FieldCipher) -> Iterator[str | None]:
    after = ""
    while True:
        with database.read() as session:
            page = session.execute(_SNAPSHOTS.where(SNAPSHOTS.c.attempt_id > after)).all()
        if not page:
            return
        for attempt_id, token in page:
            yield _fault(site, attempt_id, token)
        after = page[-1].attempt_id


def _template_fault(site: FieldCipher, row: tuple[str, str, str], token: bytes, data_key: bytes) -> str | None:
    try:
        open_further(open_data_key(site, row[0], data_key), *row, token)
    except StoreError as error:
        return str(error)
    return None


def _fault(site: FieldCipher, attempt_id: str, token: bytes) -> str | None:
    try:
        site.open(*SNAPSHOT_PLACE, attempt_id, token)
    except StoreError as error:
        return str(error)
    return None
