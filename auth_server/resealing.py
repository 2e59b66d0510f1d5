"""What the site's field keys seal, and sealing it anew by the key in use while others read and write.

There are four such places: the data key of each account, each pending change, each picture of a refused
attempt, the canary. An account gets a new data key and all its secrets are sealed anew by it: a data key
that merely moved to another field key would still be known to whoever had the old field key and an old
copy of the database.

Nothing is remembered but the values themselves: one is done when the key in use alone opens it, and
whatever is sealed meanwhile is sealed by the key in use. So a run that was killed is simply run again.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, func, select, true, update
from sqlalchemy.orm import Session

from auth_server.data_keys import (
    DATA_KEY_PLACE,
    SEALED_COLUMNS,
    TEMPLATE_PLACE,
    new_data_key,
    open_data_key,
    template_row,
)
from auth_server.errors import StoreError
from auth_server.key_forms import State
from auth_server.keyring import FieldCipher, Keyring
from auth_server.sealed_faces import SNAPSHOT_PLACE
from auth_server.store.canary import CANARY_PLACE, renew_canary
from auth_server.store.database import Database
from auth_server.store.models import CHANGES, FACE_TEMPLATES, SITE, SNAPSHOTS, USER_KEYS, USERS

BATCH: Final = 100
"""Accounts in one transaction: some 0.1 s in which nobody else can write."""


_EVERY: Final = true()


class SealedValue(NamedTuple):
    """One value of the store that a field key seals, and where it stands."""

    table: str
    column: str
    row: str
    token: bytes


@dataclass(frozen=True, slots=True)
class _Place:
    """One column of sealed values. `key` pages through them, `row` is the row that they are sealed for."""

    key: Any
    row: Any
    token: Any
    rows: Any = _EVERY

    def count(self, session: Session) -> int:
        return session.execute(select(func.count()).select_from(self.token.table).where(self.rows)).scalar_one()

    def page(self, session: Session, after: str) -> list[tuple[str, SealedValue]]:
        some = select(self.key, self.row, self.token).where(self.key > after, self.rows)
        rows = session.execute(some.order_by(self.key).limit(BATCH))
        return [(key, SealedValue(self.token.table.name, self.token.name, row, token)) for key, row, token in rows]


_DATA_KEYS: Final = _Place(USER_KEYS.c.username, USER_KEYS.c.username, USER_KEYS.c.data_key_enc)
_CHANGES: Final = _Place(CHANGES.c.username, CHANGES.c.change_id, CHANGES.c.payload_enc)
_SNAPSHOTS: Final = _Place(SNAPSHOTS.c.attempt_id, SNAPSHOTS.c.attempt_id, SNAPSHOTS.c.picture_enc)
_CANARY: Final = _Place(SITE.c.key, SITE.c.key, SITE.c.value, SITE.c.key == CANARY_PLACE[2])
_PLACES: Final = (_DATA_KEYS, _CHANGES, _SNAPSHOTS, _CANARY)

_OF_ACCOUNT = select(
    USER_KEYS.c.data_key_enc, USERS.c.totp_secret_enc, USERS.c.face_template_enc, USERS.c.face_image_enc
).where(USER_KEYS.c.username == bindparam("name"), USERS.c.username == USER_KEYS.c.username)
_PUT_SECRETS = update(USERS).where(USERS.c.username == bindparam("name"))
_FURTHER = select(FACE_TEMPLATES.c.model, FACE_TEMPLATES.c.kind, FACE_TEMPLATES.c.template_enc).where(
    FACE_TEMPLATES.c.username == bindparam("name")
)
_PUT_FURTHER = (
    update(FACE_TEMPLATES)
    .where(
        FACE_TEMPLATES.c.username == bindparam("name"),
        FACE_TEMPLATES.c.model == bindparam("of_model"),
        FACE_TEMPLATES.c.kind == bindparam("of_kind"),
    )
    .values(template_enc=bindparam("token"))
)
_PUT_DATA_KEY = update(USER_KEYS).where(USER_KEYS.c.username == bindparam("name")).values(data_key_enc=bindparam("key"))
_PAYLOAD = select(CHANGES.c.change_id, CHANGES.c.payload_enc).where(CHANGES.c.username == bindparam("name"))
_SNAPSHOT = select(SNAPSHOTS.c.picture_enc).where(SNAPSHOTS.c.attempt_id == bindparam("attempt"))
_PUT_SNAPSHOT = (
    update(SNAPSHOTS).where(SNAPSHOTS.c.attempt_id == bindparam("attempt")).values(picture_enc=bindparam("token"))
)
_PUT_PAYLOAD = update(CHANGES).where(CHANGES.c.username == bindparam("name")).values(payload_enc=bindparam("token"))


class SealedValues:
    """All values that the site's field keys seal. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database, keyring: Keyring) -> None:
        self._database = database
        self._keyring = keyring

    def count(self) -> int:
        """Return how many there are."""
        with self._database.read() as session:
            return sum(place.count(session) for place in _PLACES)

    def by_key(self, session: Session | None = None, on_page: Callable[[int], None] = lambda _: None) -> Counter[str]:
        """Return how many values each field key opens, by its id, and how many none opens, by "".

        In the caller's transaction where there is one, which then sees one state of the store; else a
        page at a time, which holds nobody up.
        """
        openers = _openers(self._keyring)
        found: Counter[str] = Counter()
        for page in self._pages(session):
            found.update(_opener(value, openers) for _, value in page)
            on_page(len(page))
        return found

    def reseal(
        self, on_done: Callable[[int], None] = lambda _: None, after_batch: Callable[[], None] = lambda: None
    ) -> list[str]:
        """Seal by the key in use what it does not open; return the values that could not be, as sentences.

        `on_done` is told how many more are looked at. `after_batch` is called, between transactions,
        after each that changed something: there others get their turn.
        """
        with self._database.transaction():
            pass  # whoever had sealed by an older key, and not committed, has now
        bad: list[str] = []
        for place, seal in (
            (_DATA_KEYS, self._reseal_account),
            (_CHANGES, self._reseal_change),
            (_SNAPSHOTS, self._reseal_snapshot),
        ):
            for page in self._pages_of(place):
                names = [name for name, value in page if not self._is_done(value)]
                if names:
                    with self._database.transaction() as session:
                        bad += [told for name in names if (told := _tried(seal, session, name))]
                    after_batch()
                on_done(len(page))
        with self._database.transaction() as session:
            renew_canary(session, self._keyring)
        on_done(1)
        return bad

    def _is_done(self, value: SealedValue) -> bool:
        return _opens(FieldCipher([self._keyring.field.keys[0].material]), value)

    def _reseal_account(self, session: Session, name: str) -> None:
        row = session.execute(_OF_ACCOUNT, {"name": name}).one_or_none()
        if row is None or self._is_done(SealedValue(*DATA_KEY_PLACE, name, row.data_key_enc)):
            return  # deleted, or made anew, since its page was read
        site = self._keyring.field
        before = open_data_key(site, name, row.data_key_enc)
        own, data_key = new_data_key(site, name)
        sealed = {
            column: _moved(before, own, ("users", column, name), getattr(row, column)) for column in SEALED_COLUMNS
        }
        further = [
            (model, kind, _moved(before, own, (*TEMPLATE_PLACE, template_row(name, model, kind)), token))
            for model, kind, token in session.execute(_FURTHER, {"name": name}).all()
        ]
        session.execute(_PUT_SECRETS.values(**sealed), {"name": name})
        for model, kind, token in further:
            session.execute(_PUT_FURTHER, {"name": name, "of_model": model, "of_kind": kind, "token": token})
        session.execute(_PUT_DATA_KEY, {"name": name, "key": data_key})

    def _reseal_change(self, session: Session, name: str) -> None:
        row = session.execute(_PAYLOAD, {"name": name}).one_or_none()
        if row is None:
            return
        place = (CHANGES.name, CHANGES.c.payload_enc.name, row.change_id)
        token = _moved(self._keyring.field, self._keyring.field, place, row.payload_enc)
        session.execute(_PUT_PAYLOAD, {"name": name, "token": token})

    def _reseal_snapshot(self, session: Session, attempt_id: str) -> None:
        token = session.execute(_SNAPSHOT, {"attempt": attempt_id}).scalar_one_or_none()
        if token is None:
            return
        anew = _moved(self._keyring.field, self._keyring.field, (*SNAPSHOT_PLACE, attempt_id), token)
        session.execute(_PUT_SNAPSHOT, {"attempt": attempt_id, "token": anew})

    def _pages(self, session: Session | None) -> Iterator[list[tuple[str, SealedValue]]]:
        for place in _PLACES:
            yield from self._pages_of(place, session)

    def _pages_of(self, place: _Place, session: Session | None = None) -> Iterator[list[tuple[str, SealedValue]]]:
        after = ""
        while page := self._page(place, after, session):
            yield page
            after = page[-1][0]

    def _page(self, place: _Place, after: str, session: Session | None) -> list[tuple[str, SealedValue]]:
        if session is not None:
            return place.page(session, after)
        with self._database.read() as reading:
            return place.page(reading, after)


def _moved(before: FieldCipher, after: FieldCipher, place: tuple[str, str, str], token: bytes) -> bytes:
    """A value that one cipher sealed, sealed for the same place by another."""
    return after.seal(*place, before.open(*place, token))


def _tried(seal: Callable[[Session, str], None], session: Session, name: str) -> str | None:
    try:
        seal(session, name)
    except StoreError as error:  # a damaged value must not keep the others from being sealed anew
        return str(error)
    return None


def _openers(keyring: Keyring) -> Sequence[tuple[str, FieldCipher]]:
    # The next key seals nothing yet, so it is asked last.
    keys = sorted(keyring.field.keys, key=lambda key: key.state is State.NEXT)
    return [(key.id, FieldCipher([key.material])) for key in keys]


def _opener(value: SealedValue, openers: Sequence[tuple[str, FieldCipher]]) -> str:
    return next((key_id for key_id, cipher in openers if _opens(cipher, value)), "")


def _opens(cipher: FieldCipher, value: SealedValue) -> bool:
    try:
        cipher.open(*value)
    except StoreError:
        return False
    return True
