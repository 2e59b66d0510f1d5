"""The outbox: what somebody must be told is stored in the transaction of what happened, and sent later.

So nothing is told that did not happen, and nothing that happened goes untold: a row stays until its
delivery succeeded, whatever is killed meanwhile. Who delivers leases a row for a time, by a
conditional UPDATE: of any number of workers one has it, and of a dead one the lease ends. A lease that
ends during a delivery leads to a second one, so each notification carries an id by which doubles show.
"""

import builtins
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.orm import Session

from auth_contract.actions import Action
from auth_server.audit_detail import name_text
from auth_server.canonical import utc_text
from auth_server.store.database import Database
from auth_server.store.models import NOTIFICATIONS

FIRST_WAIT_S: Final = 5
LONGEST_WAIT_S: Final = 3600
OVERDUE_AFTER_S: Final = 3 * 24 * 3600
"""A notification that is older than this is reported as a fault; it is kept and tried on."""

LEASE_MAX_S: Final = 600
ERROR_MAX_CHARS: Final = 200
_LAST_DOUBLING = (LONGEST_WAIT_S // FIRST_WAIT_S).bit_length()
_TEXT_MAX_CHARS: Final = 300

MEMBERS: Final = frozenset(
    {
        *("kiosk", "action", "message", "by", "approved_by", "needs", "expires_at", "in_force_at", "reason"),
        *("change_id", "like", "is_refused"),
    }
)
"""All that a body may hold. None of these is a secret, a code, a ticket or a provisioning URI."""


class Event(StrEnum):
    """What may have happened."""

    CHANGE_REQUESTED = "change_requested"
    CHANGE_IN_FORCE = "change_in_force"
    CHANGE_CANCELLED = "change_cancelled"
    DUPLICATE_FACE = "duplicate_face"
    TEST = "test"


_SENTENCES: Final[Mapping[str, str]] = {
    Event.CHANGE_REQUESTED: "{change} for {username} was asked for{at}{from_}. "
    "If it was not {username}, cancel it at any kiosk, or call an administrator.",
    Event.CHANGE_IN_FORCE: "{change} for {username} is in force, asked for{at}{by}. "
    "If it was not {username}, call an administrator now.",
    Event.CHANGE_CANCELLED: "{change} for {username}, asked for{at}, was cancelled{by}. Nothing was changed.",
    Event.DUPLICATE_FACE: "{change} for {username}, asked for{at}{by}, shows a face like that of {like}. "
    "{outcome} Look whether one person has two names.",
    Event.TEST: "This is a test: notifications of this site arrive.",
}
_OTHER_SENTENCE: Final = "{event} of {username}{at}{by}."
_CHANGES: Final[Mapping[object, str]] = {
    Action.REGISTER: "A new account",
    Action.RECOVER_TOTP: "A new authenticator secret",
    Action.RECOVER_PASSWORD: "A new password",
    Action.RECOVER_FACE: "A new face",
    Action.UPDATE_MAC: "Another kiosk",
}

_DUE = or_(
    NOTIFICATIONS.c.next_try_at <= bindparam("now"),
    # No wait and no lease is that long: the clock was set back.
    NOTIFICATIONS.c.next_try_at > bindparam("latest"),
)
_NEXT = select(NOTIFICATIONS).where(_DUE).order_by(NOTIFICATIONS.c.next_try_at, NOTIFICATIONS.c.id).limit(1)
_THIS = and_(NOTIFICATIONS.c.id == bindparam("row"), NOTIFICATIONS.c.body == bindparam("same"))
"""The database may give a number again, the id in a body is of one notification only."""

_LEASE = (
    update(NOTIFICATIONS)
    .where(_THIS, NOTIFICATIONS.c.next_try_at == bindparam("seen"))
    .values(next_try_at=bindparam("until"), tries=NOTIFICATIONS.c.tries + 1)
)
_DELIVERED = delete(NOTIFICATIONS).where(_THIS)
_FAILED = (
    update(NOTIFICATIONS)
    .where(_THIS, NOTIFICATIONS.c.next_try_at == bindparam("until"))
    .values(next_try_at=bindparam("again"), last_error=bindparam("why"))
)
_LIST = select(NOTIFICATIONS).order_by(NOTIFICATIONS.c.id)
_RETRY = update(NOTIFICATIONS).values(next_try_at=bindparam("now"), tries=0)
_IS_OVERDUE = and_(NOTIFICATIONS.c.created_at <= bindparam("before"), NOTIFICATIONS.c.tries > 0)


@dataclass(frozen=True, slots=True)
class Notification:
    """One stored notification. `body` is its JSON without the site's name; `tries` counts deliveries begun."""

    number: int
    event: str
    username: str | None
    body: str
    created_at: datetime
    next_try_at: datetime
    tries: int
    last_error: str | None

    @property
    def notification_id(self) -> str:
        """The id by which a receiver drops doubles."""
        return str(json.loads(self.body)["id"])

    def is_overdue(self, now: datetime) -> bool:
        """Whether it has been tried in vain for three days."""
        return self.tries > 0 and self.created_at <= now - timedelta(seconds=OVERDUE_AFTER_S)

    def document(self, site: str) -> bytes:
        """Return what is delivered: one JSON object in UTF-8."""
        members = json.loads(self.body)
        return json.dumps({"id": members.pop("id"), "site": site, **members}, ensure_ascii=False).encode()


@dataclass(frozen=True, slots=True)
class Queue:
    """How many notifications wait, and how many of them are overdue."""

    waiting: int = 0
    overdue: int = 0


def wait_s(tries: int) -> int:
    """Return the seconds to wait after so many deliveries in vain: 5, doubling up to 3600."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S << min(max(0, tries - 1), _LAST_DOUBLING))


def body_text(event: str, username: str | None, body: Mapping[str, object], now: datetime, new_id: str) -> str:
    """Return a notification's JSON: id, event, username, kiosk, time, a message in plain words, and the rest.

    Raises ValueError for a member that no notification may hold, TypeError for a value that is no plain one.
    """
    unknown = sorted(set(body) - MEMBERS)
    if unknown:
        raise ValueError(f"a notification holds no {', '.join(unknown)}: only {', '.join(sorted(MEMBERS))}")
    plain = {name: _plain(value) for name, value in body.items() if value is not None}
    kiosk, given = plain.pop("kiosk", None), plain.pop("message", None)
    members = {
        "id": new_id,
        "event": str(event),
        "username": name_text(username),
        "kiosk": kiosk,
        "time": utc_text(now),
        "message": given or _message(event, username, kiosk, plain),
    }
    return json.dumps(members | plain)


class Notifications:
    """A site's outbox. Where nobody is to be told (`is_kept` false) it takes nothing in. Methods raise StoreError."""

    def __init__(
        self,
        database: Database,
        *,
        is_kept: bool = True,
        new_id: Callable[[], str] = lambda: secrets.token_urlsafe(16),
    ) -> None:
        self._database = database
        self._is_kept = is_kept
        self._new_id = new_id

    def add(
        self, session: Session, event: str, username: str | None, body: Mapping[str, object], now: datetime
    ) -> None:
        """Store what is to be told, in the transaction of what it tells of.

        `body` has members of `MEMBERS` alone. Raises ValueError or TypeError as `body_text` does.
        """
        text = body_text(event, username, body, now, self._new_id())
        if not self._is_kept:
            return
        values = {
            "event": str(event),
            "username": name_text(username),
            "body": text,
            "created_at": now,
            "next_try_at": now,
            "tries": 0,
        }
        session.connection().execute(insert(NOTIFICATIONS), values)

    def due(self, now: datetime) -> bool:
        """Whether any notification waits to be delivered now."""
        with self._database.read() as session:
            return session.connection().execute(_NEXT, _due_values(now)).first() is not None

    def lease(self, now: datetime, lease_s: float) -> Notification | None:
        """Take the notification that has waited longest, for `lease_s` seconds (at most 600), or None.

        Nobody else is given it meanwhile. The try is counted now, so that one that kills its worker counts.
        """
        until = now + timedelta(seconds=min(lease_s, LEASE_MAX_S))
        with self._database.transaction() as session:
            connection = session.connection()
            row = connection.execute(_NEXT, _due_values(now)).one_or_none()
            if row is None:
                return None
            found = Notification(*row)
            values = {"row": found.number, "same": found.body, "seen": found.next_try_at, "until": until}
            connection.execute(_LEASE, values)
        return replace(found, next_try_at=until, tries=found.tries + 1)

    def delivered(self, leased: Notification) -> None:
        """Forget a notification: its receiver has it."""
        with self._database.transaction() as session:
            session.connection().execute(_DELIVERED, {"row": leased.number, "same": leased.body})

    def failed(self, leased: Notification, why: str, now: datetime) -> None:
        """Let a notification wait again, longer with each try, unless its lease ended and somebody else has it."""
        values = {
            "row": leased.number,
            "same": leased.body,
            "until": leased.next_try_at,
            "again": now + timedelta(seconds=wait_s(leased.tries)),
            "why": why[:ERROR_MAX_CHARS],
        }
        with self._database.transaction() as session:
            session.connection().execute(_FAILED, values)

    def list(self) -> builtins.list[Notification]:
        """Return all that waits, the oldest first."""
        with self._database.read() as session:
            return [Notification(*row) for row in session.connection().execute(_LIST)]

    def queue(self, now: datetime) -> Queue:
        """Return how many wait and how many are overdue."""
        before = now - timedelta(seconds=OVERDUE_AFTER_S)
        counted = select(func.count(), func.count().filter(_IS_OVERDUE)).select_from(NOTIFICATIONS)
        with self._database.read() as session:
            waiting, overdue = session.connection().execute(counted, {"before": before}).one()
        return Queue(waiting, overdue)

    def retry(self, numbers: Sequence[int] | None, now: datetime) -> int:
        """Make notifications due now, all of them for None, with their tries begun anew; returns how many."""
        statement = _RETRY if numbers is None else _RETRY.where(NOTIFICATIONS.c.id.in_(numbers))
        with self._database.transaction() as session:
            return session.connection().execute(statement, {"now": now}).rowcount


def _due_values(now: datetime) -> dict[str, datetime]:
    return {"now": now, "latest": now + timedelta(seconds=LONGEST_WAIT_S + LEASE_MAX_S)}


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, str):
        return str(value)[:_TEXT_MAX_CHARS]
    if isinstance(value, bool | int):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    raise TypeError(f"a notification holds texts, numbers, times and lists of them, no {type(value).__name__}")


def _message(event: str, username: str | None, kiosk: object, members: Mapping[str, object]) -> str:
    author = members.get("by") or members.get("approved_by")
    in_force_at = members.get("in_force_at")
    return _SENTENCES.get(event, _OTHER_SENTENCE).format(
        event=event,
        username=name_text(username) or "somebody",
        at=f" at kiosk {kiosk}" if kiosk else "",
        by=f" by {author}" if author else "",
        change=_CHANGES.get(members.get("action"), "A change"),
        like=members.get("like"),
        outcome="It was refused." if members.get("is_refused") else "It was let pass.",
        from_=f", and is in force from {in_force_at}" if in_force_at else "",
    )
