"""Whether a new face is enrolled already, under another name.

All templates of its model are opened and compared a page at a time, while nobody is held up. What was
stored meanwhile is compared under the write lock: of two registrations of one face the second sees the
first. An account that has no template of its model is not compared (to embed its picture anew would take
30 ms each); it is counted, the row says so, and `4auth-provision face migrate` ends that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import String, and_, bindparam, select, type_coerce
from sqlalchemy.orm import Session

from auth_server.account_faces import MIGRATED, open_further
from auth_server.account_factors import KEYED, open_of
from auth_server.data_keys import open_data_key
from auth_server.domain import Template
from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher
from auth_server.store.database import Database
from auth_server.store.models import FACE_TEMPLATES, USER_KEYS, USERS

PAGE: Final = 250
"""Accounts that are read at once: some 20 ms of opening."""

STRANGERS_MAX: Final = 0.01
"""A face is surely enrolled already when fewer strangers than this would come as near, among so many accounts."""

# As text, because it is only compared, for every account while nobody else can write.
_STATE = type_coerce(USER_KEYS.c.factors_changed_at, String)
_MIGRATED_HERE = and_(
    FACE_TEMPLATES.c.username == USERS.c.username,
    FACE_TEMPLATES.c.model == bindparam("model"),
    FACE_TEMPLATES.c.kind == MIGRATED,
)
_STORED = select(
    USERS.c.username,
    USERS.c.face_model,
    USERS.c.face_template_enc,
    FACE_TEMPLATES.c.template_enc,
    USER_KEYS.c.data_key_enc,
    _STATE,
).select_from(KEYED.outerjoin(FACE_TEMPLATES, _MIGRATED_HERE))
_PAGE = _STORED.where(USERS.c.username > bindparam("after")).order_by(USERS.c.username).limit(PAGE)
_THESE = _STORED.where(USERS.c.username.in_(bindparam("names", expanding=True)))
_STATES = select(USER_KEYS.c.username, _STATE)


@dataclass(frozen=True, slots=True)
class Match:
    """The account that a face is most like, by cosine distance; `strangers` would come as near by chance."""

    username: str
    distance: float
    strangers: float

    @property
    def is_sure(self) -> bool:
        """Whether chance is no likely reason."""
        return self.strangers <= STRANGERS_MAX


@dataclass(slots=True)
class Looked:
    """What a look over the store found for one name and face: `nearest` within the threshold, and what it saw.

    `seen` has the state of each account that was looked at, `skipped` those that have no template to compare.
    """

    username: str
    template: Template = field(repr=False)
    nearest: tuple[float, str] | None = None
    seen: dict[str, str] = field(default_factory=dict, repr=False)
    skipped: set[str] = field(default_factory=set, repr=False)

    def is_of(self, username: str, template: Template) -> bool:
        """Whether it was for this name and face."""
        return (self.username, self.template) == (username, template)


@dataclass(frozen=True, slots=True)
class Found:
    """How a face compares with all others: `compared` templates, and `skipped` accounts without one."""

    match: Match | None
    compared: int
    skipped: int
    is_refused: bool

    def detail(self) -> dict[str, object]:
        """Return it as the audit keeps it; nothing where there is nothing to say."""
        if self.match is None and not self.skipped:
            return {}
        told: dict[str, object] = {"compared": self.compared, "skipped": self.skipped}
        if self.match is not None:
            told |= {
                "like": self.match.username,
                "distance": round(self.match.distance, 4),
                "strangers": float(f"{self.match.strangers:.2g}"),
                "refused": self.is_refused,
            }
        return {"other_faces": told}


class Duplicates:
    """Compares new faces with those of all other accounts. Methods raise StoreError when the store fails.

    `threshold` is the match's own distance, `false_match_rate` the share of strangers that come as near as
    a distance, None where none did or where it was never measured. `is_refused` is the site's policy.
    """

    def __init__(
        self,
        database: Database,
        cipher: FieldCipher,
        threshold: float,
        *,
        is_refused: bool = True,
        false_match_rate: Callable[[float], float | None] = lambda _distance: None,
    ) -> None:
        self._database = database
        self._cipher = cipher
        self._threshold = threshold
        self._is_refused = is_refused
        self._rate = false_match_rate

    def look(self, username: str, template: Template) -> Looked:
        """Compare a face with those of all accounts but its own, 0.15 s for each 1,000, in no transaction."""
        looked, after = Looked(username, template), ""
        while rows := self._page(template.model, after):
            self._compare(looked, rows)
            after = rows[-1][0]
        return looked

    def settle(self, session: Session, looked: Looked | None, username: str, template: Template) -> Found:
        """Return what holds in the caller's transaction: only what changed since the look is compared anew.

        A look that is missing, or was for another name or face, counts for nothing: then all are compared here.
        """
        states = {name: state for name, state in session.connection().execute(_STATES)}
        if looked is None or not looked.is_of(username, template) or _is_overtaken(looked, states):
            looked = Looked(username, template)
        seen = looked.seen
        changed = [name for name, state in states.items() if seen.get(name) != state]
        for page in _in_pages(changed):
            self._compare(looked, session.connection().execute(_THESE, {"model": template.model, "names": page}).all())
        return self._found(looked, states)

    def _page(self, model: str, after: str) -> Sequence[Any]:
        with self._database.read() as session:
            return session.connection().execute(_PAGE, {"model": model, "after": after}).all()

    def _compare(self, looked: Looked, rows: Sequence[Any]) -> None:
        """Add some accounts to a look."""
        names, faces = list[str](), list[bytes]()
        for name, *sealed, state in rows:
            looked.seen[name] = state
            looked.skipped.discard(name)
            if name == looked.username:
                continue
            face = self._opened(looked.template.model, name, *sealed)
            if face is None or len(face) != len(looked.template.embedding):
                looked.skipped.add(name)
                continue
            names.append(name)
            faces.append(face)
        near = (found for found in _distances(looked.template, names, faces) if found[0] <= self._threshold)
        looked.nearest = min([*near, *([looked.nearest] if looked.nearest else [])], default=None)

    def _opened(
        self, model: str, name: str, enrolled_model: str, enrolled: bytes, migrated: bytes | None, data_key: bytes
    ) -> bytes | None:
        """An account's template of a model; None where it has none, or a damaged one, which must not stop everybody."""
        if enrolled_model != model and migrated is None:
            return None
        try:
            own = open_data_key(self._cipher, name, data_key)
            if enrolled_model != model and migrated is not None:
                return open_further(own, name, model, MIGRATED, migrated)
            return open_of(own, "face_template_enc", name, enrolled)
        except StoreError:
            return None

    def _found(self, looked: Looked, states: Mapping[str, str]) -> Found:
        skipped = len(looked.skipped & states.keys())
        others = len(states) - (looked.username in states)
        if looked.nearest is None:
            return Found(None, others - skipped, skipped, is_refused=False)
        distance, name = looked.nearest
        match = Match(name, distance, (self._rate(distance) or 0.0) * others)
        return Found(match, others - skipped, skipped, is_refused=self._is_refused and match.is_sure)


def _is_overtaken(looked: Looked, states: Mapping[str, str]) -> bool:
    """Whether the nearest was deleted or changed since, so that only another look tells which is the nearest now."""
    return looked.nearest is not None and states.get(looked.nearest[1]) != looked.seen[looked.nearest[1]]


def _distances(template: Template, names: Sequence[str], faces: Sequence[bytes]) -> Iterator[tuple[float, str]]:
    """Each name with its cosine distance, which is no number where an embedding has no direction."""
    if not names:
        return
    mine = _numbers(template.embedding)
    rows = np.stack([_numbers(face) for face in faces])
    with np.errstate(invalid="ignore", divide="ignore"):
        distances = 1 - rows @ mine / (np.linalg.norm(rows, axis=1) * np.linalg.norm(mine))
    yield from ((float(distance), name) for distance, name in zip(distances, names, strict=True))


def _numbers(embedding: bytes) -> NDArray[np.float64]:
    return np.frombuffer(embedding, dtype="<f4").astype(np.float64)


def _in_pages(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), PAGE):
        yield names[start : start + PAGE]
