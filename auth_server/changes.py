"""Changes of a factor that were granted and wait: for a first code, an approval, or time.

One for each name; the newest takes the place of the one before. What waits is sealed by the site's
field keys. Every step from one state to the next is one transaction with its condition in it.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.orm import Session

from auth_contract.actions import Action, Need
from auth_contract.limits import CHANGE_TTL_S, CONFIRM_TRIES
from auth_server.domain import Template
from auth_server.keyring import FieldCipher
from auth_server.policy import ActionPolicy
from auth_server.store.database import Database
from auth_server.store.models import CHANGES

_COLUMNS = (
    CHANGES.c.username,
    CHANGES.c.change_id,
    CHANGES.c.action,
    CHANGES.c.kiosk_id,
    CHANGES.c.permission,
    CHANGES.c.requested_at,
    CHANGES.c.expires_at,
    CHANGES.c.is_code_needed,
    CHANGES.c.tries_left,
    CHANGES.c.is_approval_needed,
    CHANGES.c.approved_by,
    CHANGES.c.cooling_off_s,
    CHANGES.c.in_force_at,
    CHANGES.c.payload_enc,
)
_BY_NAME = CHANGES.c.username == bindparam("name")
_FIND = select(*_COLUMNS).where(_BY_NAME)
_GLANCE = select(CHANGES.c.action, CHANGES.c.kiosk_id, CHANGES.c.is_code_needed).where(_BY_NAME)
_LIST = select(*_COLUMNS).order_by(CHANGES.c.username)
_ADD = insert(CHANGES)
_DROP = delete(CHANGES).where(_BY_NAME)
_TAKE_TRY = (
    update(CHANGES)
    .where(
        _BY_NAME,
        CHANGES.c.change_id == bindparam("wanted"),
        CHANGES.c.kiosk_id == bindparam("at_kiosk"),
        CHANGES.c.is_code_needed,
        CHANGES.c.tries_left > 0,
        CHANGES.c.expires_at > bindparam("now"),
    )
    .values(tries_left=CHANGES.c.tries_left - 1)
    .returning(*_COLUMNS)
)
_DUE = select(CHANGES.c.username).where(CHANGES.c.in_force_at <= bindparam("now"))
_PRUNE = delete(CHANGES).where(CHANGES.c.in_force_at.is_(None), CHANGES.c.expires_at <= bindparam("now"))
_CODE_ACTIONS: Final = (Action.REGISTER, Action.RECOVER_TOTP)
"""What hands out a new TOTP secret, which counts only once a code of it was shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewFactors:
    """What will be in force. What a change does not touch is None."""

    password_hash: bytes | None = field(default=None, repr=False)
    totp_secret: str | None = field(default=None, repr=False)
    totp_step: int | None = None
    template: Template | None = field(default=None, repr=False)
    face_png: bytes | None = field(default=None, repr=False)
    mac_addresses: frozenset[str] | None = None
    claimed_mac: str | None = None
    """The one of them that a client of a gateway claims; it must be no kiosk's when it is put in force."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change under way. `permission` says whose leave a registration has: `admin:NAME` or `ticket:HASH`.

    `in_force_at` is set once nothing is missing but time.
    """

    username: str
    change_id: str
    action: Action
    kiosk_id: str
    permission: str | None = field(default=None, repr=False)
    requested_at: datetime
    expires_at: datetime
    is_code_needed: bool
    tries_left: int = CONFIRM_TRIES
    is_approval_needed: bool
    approved_by: str | None = None
    cooling_off_s: int = 0
    in_force_at: datetime | None = None
    new: NewFactors = field(repr=False)

    @property
    def needs(self) -> tuple[Need, ...]:
        """What is still missing, in the order in which it is asked for."""
        missing = {
            Need.CODE: self.is_code_needed,
            Need.APPROVAL: self.is_approval_needed,
            Need.TIME: self.cooling_off_s > 0,
        }
        return tuple(need for need, is_missing in missing.items() if is_missing)

    def is_due(self, now: datetime) -> bool:
        """Whether it may be put in force."""
        return self.in_force_at is not None and self.in_force_at <= now

    def settled(self, now: datetime) -> "Change":
        """The same with the time from which it will be in force, where nothing else is missing."""
        if self.is_code_needed or self.is_approval_needed or self.in_force_at is not None:
            return self
        return replace(self, in_force_at=now + timedelta(seconds=self.cooling_off_s))

    def confirmed(self, step: int, policy: ActionPolicy, now: datetime) -> "Change":
        """The same after a first code, of time step `step`; an approval has its window from now on."""
        expires_at = now + timedelta(seconds=policy.approval_window_s)
        new = replace(self.new, totp_step=step)
        return replace(self, is_code_needed=False, expires_at=expires_at, new=new).settled(now)

    def approved(self, supervisor: str, now: datetime) -> "Change":
        """The same after a supervisor approved it."""
        return replace(self, is_approval_needed=False, approved_by=supervisor).settled(now)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for: by whom, for what and where."""

    username: str
    action: Action
    kiosk_id: str
    new: NewFactors = field(repr=False)
    permission: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Glance:
    """What a person who gets in is told of a change that waits in the same name."""

    action: Action
    kiosk_id: str
    is_code_needed: bool


class Changes:
    """The pending changes of a site. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database, cipher: FieldCipher, new_token: Callable[[], str]) -> None:
        self._database = database
        self._cipher = cipher
        self._new_token = new_token

    def new(self, asked: Asked, policy: ActionPolicy, now: datetime) -> Change:
        """Return what was asked for as a change, with all that the site's policy makes it wait for."""
        is_code_needed = asked.action in _CODE_ACTIONS and policy.asks_first_code
        lasts_s = CHANGE_TTL_S if is_code_needed else policy.approval_window_s
        return Change(
            username=asked.username,
            change_id=self._new_token(),
            action=asked.action,
            kiosk_id=asked.kiosk_id,
            permission=asked.permission,
            requested_at=now,
            expires_at=now + timedelta(seconds=lasts_s),
            is_code_needed=is_code_needed,
            is_approval_needed=policy.second_person,
            cooling_off_s=policy.cooling_off_s,
            new=asked.new,
        ).settled(now)

    def put(self, session: Session, change: Change) -> None:
        """Store a change in the caller's transaction, in place of the name's present one."""
        values = {name: getattr(change, name) for name in _PLAIN} | {
            "action": change.action.value,
            "payload_enc": self._cipher.seal("changes", "payload_enc", change.change_id, _payload(change.new)),
        }
        connection = session.connection()
        connection.execute(_DROP, {"name": change.username})
        connection.execute(_ADD, values)

    def find(self, session: Session, username: str) -> Change | None:
        """Return a name's pending change as the caller's transaction sees it."""
        row = session.connection().execute(_FIND, {"name": username}).one_or_none()
        return None if row is None else self._change(row)

    def glance(self, session: Session, username: str) -> Glance | None:
        """Return what a name's pending change is about, without opening what will be in force."""
        row = session.connection().execute(_GLANCE, {"name": username}).one_or_none()
        return None if row is None else Glance(Action(row.action), row.kiosk_id, row.is_code_needed)

    def pending(self, username: str) -> Change | None:
        """Return a name's pending change."""
        with self._database.read() as session:
            return self.find(session, username)

    def list(self) -> list[Change]:
        """Return all pending changes by name."""
        with self._database.read() as session:
            return [self._change(row) for row in session.connection().execute(_LIST)]

    def take_try(self, *, username: str, change_id: str, kiosk_id: str, now: datetime) -> Change | None:
        """Count one try at a first code, ahead of its judgement, and return the change that it is for.

        None when there is none at this kiosk, it has expired, or all five tries are used.
        """
        values = {"name": username, "wanted": change_id, "at_kiosk": kiosk_id, "now": now}
        with self._database.transaction() as session:
            row = session.connection().execute(_TAKE_TRY, values).one_or_none()
            return None if row is None else self._change(row)

    def drop(self, session: Session, username: str) -> bool:
        """Forget a name's pending change in the caller's transaction; False when it had none."""
        return session.connection().execute(_DROP, {"name": username}).rowcount == 1

    def due(self, now: datetime) -> Sequence[str]:
        """Return the names whose change waited for time alone, and has waited long enough."""
        with self._database.read() as session:
            return session.connection().execute(_DUE, {"now": now}).scalars().all()

    def prune(self, now: datetime) -> int:
        """Forget what was not confirmed or approved in time; returns how many."""
        with self._database.transaction() as session:
            return session.connection().execute(_PRUNE, {"now": now}).rowcount

    def _change(self, row: Sequence[Any]) -> Change:
        members = dict(zip((column.name for column in _COLUMNS), row, strict=True))
        token = members.pop("payload_enc")
        new = _new_factors(self._cipher.open("changes", "payload_enc", members["change_id"], token))
        return Change(**members | {"action": Action(members["action"]), "new": new})


_PLAIN: Final = tuple(column.name for column in _COLUMNS if column.name not in {"action", "payload_enc"})


def _payload(new: NewFactors) -> bytes:
    members: dict[str, object] = {
        "password_hash": _text(new.password_hash),
        "totp_secret": new.totp_secret,
        "totp_step": new.totp_step,
        "face_model": new.template and new.template.model,
        "face_template": None if new.template is None else _text(new.template.embedding),
        "face_png": _text(new.face_png),
        "mac_addresses": None if new.mac_addresses is None else sorted(new.mac_addresses),
        "claimed_mac": new.claimed_mac,
    }
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


def _new_factors(payload: bytes) -> NewFactors:
    members = json.loads(payload)
    model, macs = members.get("face_model"), members.get("mac_addresses")
    return NewFactors(
        password_hash=_bytes(members.get("password_hash")),
        totp_secret=members.get("totp_secret"),
        totp_step=members.get("totp_step"),
        template=None if model is None else Template(model, base64.b64decode(members["face_template"])),
        face_png=_bytes(members.get("face_png")),
        mac_addresses=None if macs is None else frozenset(macs),
        claimed_mac=members.get("claimed_mac"),
    )


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(value: str | None) -> bytes | None:
    return None if value is None else base64.b64decode(value)
