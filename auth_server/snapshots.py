"""Pictures of refused attempts, where a site keeps them: one each, sealed by its field keys, for some days.

Whoever was refused learns nothing by it: what goes wrong here is an incident, and the reply stays.
"""

import builtins
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import structlog
from PIL import Image
from sqlalchemy import bindparam, delete, insert, or_, select
from sqlalchemy.orm import Session

from auth_contract.messages import FrameMark
from auth_server.incidents import report_incident
from auth_server.keyring import FieldCipher
from auth_server.sealed_faces import SNAPSHOT_PLACE
from auth_server.store.database import Database
from auth_server.store.models import SNAPSHOTS

if TYPE_CHECKING:  # administrators read snapshots, and need not wait for the face libraries
    from auth_server.judging import Submission

log = structlog.get_logger(__name__)

PICTURE_MAX_BYTES: Final = 200_000
KIOSK_MAX: Final = 500
"""Pictures of one kiosk; the newest stay. Else a stolen one could fill the disk: that is 130 MB for each."""

_SIDES: Final = (1280, 960, 640, 480, 320)
"""Longest sides, in pixels, that a picture which is too large is made smaller to, until it is not."""

_ROW = SNAPSHOTS.c
_COLUMNS = (_ROW.id, _ROW.username, _ROW.kiosk_id, _ROW.action, _ROW.attempt_id, _ROW.taken_at, _ROW.expires_at)
_ADD = insert(SNAPSHOTS)
_LIST = select(*_COLUMNS).order_by(_ROW.id.desc())
_ONE = select(*_COLUMNS, _ROW.picture_enc).where(_ROW.id == bindparam("number"))
_TOO_MANY = select(_ROW.id).where(_ROW.kiosk_id == bindparam("at_kiosk")).order_by(_ROW.id.desc()).offset(KIOSK_MAX)
_DROP_OLDEST = delete(SNAPSHOTS).where(_ROW.id.in_(_TOO_MANY))
_DROP = delete(SNAPSHOTS).where(_ROW.id == bindparam("number"))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is known of a kept picture; `username` is the name that was typed, `number` what commands call it by."""

    number: int
    username: str | None
    kiosk_id: str
    action: str
    attempt_id: str
    taken_at: datetime
    expires_at: datetime


class Snapshots:
    """The pictures of refused attempts; none is kept where `days` is None. Methods raise StoreError, but for `keep`."""

    def __init__(self, database: Database, cipher: FieldCipher, days: int | None) -> None:
        self._database = database
        self._cipher = cipher
        self._days = days

    def keep(self, submission: "Submission", now: datetime) -> None:
        """Keep one picture of an attempt that was denied, if it had any. Never raises: the denial stands as it is."""
        claims = submission.claims
        frames = claims.frames or claims.new_frames
        if self._days is None or not frames:
            return
        try:
            self._store(submission, small(middle_of(frames, claims.marks)), self._days, now)
        except Exception as error:  # whatever it was, the person's answer is another matter
            report_incident(log, error, snapshot=submission.attempt.attempt_id)

    def _store(self, submission: "Submission", picture: bytes, days: int, now: datetime) -> None:
        attempt_id = submission.attempt.attempt_id
        values = {
            "username": submission.claims.username,
            "kiosk_id": submission.kiosk.kiosk_id,
            "action": submission.action.value,
            "attempt_id": attempt_id,
            "taken_at": now,
            "expires_at": now + timedelta(days=days),
            "picture_enc": self._cipher.seal(*SNAPSHOT_PLACE, attempt_id, picture),
        }
        with self._database.transaction() as session:
            session.connection().execute(_ADD, values)
            session.connection().execute(_DROP_OLDEST, {"at_kiosk": submission.kiosk.kiosk_id})

    def list(self, username: str | None = None) -> builtins.list[Snapshot]:
        """Return what is kept, the newest first, of one name where one is given."""
        statement = _LIST if username is None else _LIST.where(_ROW.username == username)
        with self._database.read() as session:
            return [Snapshot(*row) for row in session.connection().execute(statement)]

    def open(self, number: int) -> tuple[Snapshot, bytes] | None:
        """Return one and its picture, a JPEG; None where there is none. Raises StoreError where it does not open."""
        with self._database.read() as session:
            row = session.connection().execute(_ONE, {"number": number}).one_or_none()
        if row is None:
            return None
        found = Snapshot(*row[:-1])
        return found, self._cipher.open(*SNAPSHOT_PLACE, found.attempt_id, row.picture_enc)

    @staticmethod
    def delete(session: Session, number: int | None) -> int:
        """Delete one, or all for None, in the caller's transaction; returns how many there were."""
        statement: Any = delete(SNAPSHOTS) if number is None else _DROP
        values = {} if number is None else {"number": number}
        return session.connection().execute(statement, values).rowcount

    def prune(self, now: datetime) -> int:
        """Delete what has expired, or is older than the settings allow today; returns how many."""
        is_over = [_ROW.expires_at <= now]
        if self._days is not None:
            is_over.append(_ROW.taken_at <= now - timedelta(days=self._days))
        with self._database.transaction() as session:
            return session.connection().execute(delete(SNAPSHOTS).where(or_(*is_over))).rowcount


def middle_of(frames: Sequence[bytes], marks: Sequence[FrameMark]) -> bytes:
    """Return the middle picture of those from before the first movement, or of all where no part is told."""
    is_told = len(marks) == len(frames)
    frontal = [frame for frame, mark in zip(frames, marks, strict=True) if mark.part == 0] if is_told else []
    chosen = frontal or frames
    return chosen[len(chosen) // 2]


def small(picture: bytes, longest_sides: Sequence[int] = _SIDES) -> bytes:
    """Return a JPEG as it is, or smaller where it has more than 200,000 bytes.

    Raises ValueError or OSError for one that cannot be made smaller.
    """
    if len(picture) <= PICTURE_MAX_BYTES:
        return picture
    with Image.open(io.BytesIO(picture), formats=("JPEG",)) as image:
        for side in longest_sides:
            image.thumbnail((side, side))
            out = io.BytesIO()
            image.convert("RGB").save(out, "JPEG", quality=85)
            if out.tell() <= PICTURE_MAX_BYTES:
                return out.getvalue()
    raise ValueError("a picture stays too large")
