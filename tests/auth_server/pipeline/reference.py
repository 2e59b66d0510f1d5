"""A second and very small 4Auth, of plain values: it foretells what comes of each submission.

It is written from the tables and sentences of the README and of docs/threats.md, knows neither a database
nor a hash, and shares no code with the server but the names of actions. Where the two differ, one is wrong.
"""

import copy
import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyotp

from auth_contract.actions import Action

ALL = frozenset({"password", "totp", "face", "device", "clock"})
REQUIRED = {
    Action.LOGIN: ALL,
    Action.REGISTER: {"permission", "kiosk", "new_face"},
    Action.RECOVER_TOTP: {"password", "face", "device", "clock"},
    Action.RECOVER_PASSWORD: {"totp", "face", "device", "clock"},
    Action.RECOVER_FACE: {"password", "totp", "device", "clock", "new_face"},
    Action.UPDATE_MAC: {"password", "totp", "face", "kiosk", "clock"},
    Action.CONFIRM: {"new_totp", "kiosk", "clock"},
    Action.APPROVE: ALL | {"supervisor"},
    Action.CANCEL: {"password", "totp", "kiosk", "clock"},
}
"""What must have been shown before anything is done."""

CHANGING = (Action.REGISTER, Action.RECOVER_TOTP, Action.RECOVER_PASSWORD, Action.RECOVER_FACE, Action.UPDATE_MAC)
FROM_ANYWHERE = (Action.UPDATE_MAC, Action.CANCEL)
HINTS = ("no_face", "blurred")
WEAK = ("password1", "short")
OWN, OWN_ROW, ANY, ANY_ROW = "*", "**", "*a", "**a"
WIDE = (OWN, OWN_ROW, ANY, ANY_ROW)
REGISTRARS = "*register"
WEEK = timedelta(days=7)
_KEPT = {OWN_ROW: timedelta.max, ANY_ROW: timedelta(days=365)}
"""How long after the last failure a count is forgotten, where that is not a week."""


@dataclass
class Person:
    """What is in force for somebody."""

    password: str
    secret: str
    face: str
    macs: frozenset[str]
    last_step: int
    changed_at: datetime
    enabled: bool = True
    face_on: bool = True


@dataclass
class Waiting:
    """A change that was granted and is not in force. Its id and secret are unknown where the reply was lost."""

    action: Action
    kiosk: str
    needs_code: bool
    needs_approval: bool
    cooling: timedelta
    expires: datetime
    new: dict[str, Any]
    leave: tuple[str, str] | None = None
    tries: int = 5
    step: int | None = None
    in_force_at: datetime | None = None
    change_id: str | None = None
    secret: str | None = None

    @property
    def needs(self) -> list[str]:
        """What it waits for, as the reply names it."""
        asked = {"code": self.needs_code, "approval": self.needs_approval, "time": self.cooling > timedelta(0)}
        return [need for need, is_asked in asked.items() if is_asked]


@dataclass
class Attempt:
    """An attempt at a kiosk; it may be used once."""

    attempt_id: str
    nonce: str
    kiosk: str
    action: Action
    opened: datetime
    expires: datetime
    used: bool = False


@dataclass(frozen=True)
class Sent:
    """One submission: what somebody claims."""

    action: Action
    kiosk: str
    mac: str
    nonce: str
    attempt_id: str
    name: str
    stamp: datetime
    fields: dict[str, str] = field(default_factory=dict)

    def __getattr__(self, name: str) -> str:
        return self.fields.get(name, "")


@dataclass(frozen=True)
class Outcome:
    """What is answered: `granted`, or the reason of the refusal; `needs` is what a change still waits for."""

    reason: str
    field: str | None = None
    needs: tuple[str, ...] = ()


@dataclass
class Policy:
    """What the site asks for besides the table."""

    second_person: bool = False
    cooling: timedelta = timedelta(0)
    window: timedelta = timedelta(seconds=900)


class Refuse(Exception):
    """Something was right and cannot be had: nothing of it is kept but the failure that was counted ahead."""

    def __init__(self, reason: str, where: str | None = None) -> None:
        self.outcome = Outcome(reason, where)


@dataclass
class Reference:
    """The state of a site, and what every act does to it. `stages` are the states it may be found in after a crash."""

    policy: Policy
    kiosk_macs: dict[str, str]
    people: dict[str, Person] = field(default_factory=dict)
    waiting: dict[str, Waiting] = field(default_factory=dict)
    tickets: dict[str, tuple[str, datetime]] = field(default_factory=dict)
    roles: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    failures: dict[tuple[str, str], tuple[int, datetime]] = field(default_factory=dict)
    attempts: dict[str, Attempt] = field(default_factory=dict)
    granted: int = 0
    stages: list["Reference"] = field(default_factory=list)
    is_recording: bool = False

    def stage(self) -> None:
        """Note that a transaction ends here, so that a crash may leave the store like this."""
        if self.is_recording:
            stages, self.stages = self.stages, []
            stages.append(copy.deepcopy(self))
            self.stages = stages

    # A submission, from its first byte to its reply

    def submit(self, sent: Sent, now: datetime) -> Outcome:
        """Foretell what comes of a submission."""
        attempt = self.attempts.get(sent.nonce)
        if (
            attempt is None
            or (attempt.kiosk, attempt.action) != (sent.kiosk, sent.action)
            or attempt.used
            or attempt.expires <= now
        ):
            return Outcome("start_again")
        attempt.used = True
        self.stage()
        if attempt.attempt_id != sent.attempt_id:
            return Outcome("start_again")
        if sent.new_password in WEAK:
            return Outcome("malformed", "new_password")
        before = copy.deepcopy(self.failures)
        places = self._places(sent)
        if self._is_locked(sent, places, now):
            self.stage()
            return Outcome("locked")
        if sent.action is Action.CONFIRM and not self._take_try(sent, now):
            return Outcome("start_again")
        self.stage()
        pictures = sent.face or sent.new_face
        if pictures in HINTS or pictures == "queue full":
            self._put_back(sent, places, before)
            self.stage()
            return Outcome("unavailable" if pictures == "queue full" else "capture_again")
        if pictures == "cut short":
            return Outcome("malformed", "frames.0")
        if not self.is_proven(sent, now):
            return Outcome("denied")
        try:
            return self._do(sent, attempt, places, before, now)
        except Refuse as refused:
            return refused.outcome

    def is_proven(self, sent: Sent, now: datetime) -> bool:
        """Whether all that the action asks for was shown, by somebody who may show it."""
        person = self.people.get(sent.name)
        if sent.action not in (Action.REGISTER, Action.CONFIRM) and (
            person is None or not person.enabled or not person.face_on
        ):
            return False
        return set(REQUIRED[sent.action]) <= self._shown(sent, person, now)

    def _shown(self, sent: Sent, person: Person | None, now: datetime) -> set[str]:
        waiting, kiosk_mac = self.waiting.get(sent.name), self.kiosk_macs[sent.kiosk]
        found = {
            "clock": abs(sent.stamp - now) <= timedelta(seconds=120),
            "kiosk": sent.mac == kiosk_mac,
            "new_face": not sent.new_face.startswith("print of "),
            "permission": self._leave(sent, now) is not None,
            "supervisor": self.roles.get(sent.name) in ("supervisor", "admin"),
            "new_totp": waiting is not None
            and waiting.secret is not None
            and _step(waiting.secret, sent.new_totp, now) is not None,
        }
        if person is not None:
            step = _step(person.secret, sent.totp, now)
            found |= {
                "password": sent.password == person.password,
                "totp": step is not None and step > person.last_step,
                "face": sent.face == person.face,
                "device": sent.mac == kiosk_mac and sent.mac in person.macs,
            }
        return {name for name, is_shown in found.items() if is_shown}

    def _leave(self, sent: Sent, now: datetime) -> tuple[str, str] | None:
        text, expires = self.tickets.get(sent.name, ("", now))
        if text and sent.permission == text and now < expires:
            return "ticket", text
        admin = self.secrets.get(sent.permission, "")
        return ("admin", admin) if self.roles.get(admin) == "admin" else None

    # Failures

    def _places(self, sent: Sent) -> tuple[str, ...]:
        if sent.action is Action.CONFIRM:
            return ()
        person = self.people.get(sent.name)
        is_own = (
            sent.action is not Action.REGISTER and person is not None and self.kiosk_macs[sent.kiosk] in person.macs
        )
        return (
            sent.kiosk,
            *((OWN, OWN_ROW) if is_own else ()),
            *((ANY, ANY_ROW) if sent.action in FROM_ANYWHERE and not is_own else ()),
        )

    def _is_locked(self, sent: Sent, places: tuple[str, ...], now: datetime) -> bool:
        """Whether the name has to wait; if not, a failure is counted ahead."""
        if not places:
            return False
        name = _counted_as(sent)
        self._mend_clock(name, (sent.kiosk, *WIDE), now)
        counts = {place: self.failures.get((name, place), (0, now)) for place in places}
        person = self.people.get(name)
        if person is not None and counts.get(OWN_ROW, (0, now))[0] >= 50:
            person.face_on = False
            person.enabled = person.enabled and counts[OWN_ROW][0] < 100
        if counts.get(ANY_ROW, (0, now))[0] >= 100:
            return True
        waits = [(_wait(count), last) for place, (count, last) in counts.items() if place not in (OWN_ROW, ANY_ROW)]
        if any(wait and now < last + wait for wait, last in waits):
            return True
        for place, (count, last) in counts.items():
            self.failures[name, place] = (count + 1, max(last, now))
        return False

    def _mend_clock(self, name: str, places: tuple[str, ...], now: datetime) -> None:
        """A failure more than a minute ahead was before the clock was set back; an old one is forgotten."""
        seen = [(name, place) for place in places if (name, place) in self.failures]
        if any(self.failures[key][1] > now + timedelta(seconds=60) for key in seen):
            for key, (count, last) in self.failures.items():
                if key[0] == name and last > now + timedelta(seconds=60):
                    self.failures[key] = (count, now)
        for key in seen:
            if now - self.failures[key][1] > _KEPT.get(key[1], WEEK):
                del self.failures[key]

    def _put_back(
        self, sent: Sent, places: tuple[str, ...], before: dict[tuple[str, str], tuple[int, datetime]]
    ) -> None:
        """It was no failure: the counters are as they were, and those that a success clears stay cleared."""
        name = _counted_as(sent)
        for key in [(name, place) for place in places]:
            if key in self.failures:
                count, last = self.failures.pop(key)
                if count > 1:
                    self.failures[key] = (count - 1, min(before.get(key, (0, last))[1], last))

    def _take_try(self, sent: Sent, now: datetime) -> bool:
        waiting = self.waiting.get(sent.name)
        if (
            waiting is None
            or waiting.change_id != sent.change_id
            or waiting.kiosk != sent.kiosk
            or not waiting.needs_code
            or waiting.tries == 0
            or waiting.expires <= now
        ):
            return False
        waiting.tries -= 1
        return True

    # What a granted submission does

    def _do(self, sent: Sent, attempt: Attempt, places: tuple[str, ...], before: Any, now: datetime) -> Outcome:
        kept = copy.deepcopy((self.people, self.waiting, self.tickets))
        try:
            person = self.people.get(sent.name)
            if person is not None and sent.action not in (Action.REGISTER, Action.CONFIRM):
                was_set_back = person.changed_at > now + timedelta(seconds=60)
                if attempt.opened < person.changed_at and not was_set_back:
                    raise Refuse("denied")
                if sent.totp:
                    person.last_step = _step(person.secret, sent.totp, now) or 0
            needs = self._effect(sent, now)
        except Refuse:
            self.people, self.waiting, self.tickets = kept
            raise
        if ALL <= set(REQUIRED[sent.action]):
            for place in (sent.kiosk, OWN, OWN_ROW):
                self.failures.pop((sent.name, place), None)
        if sent.action is not Action.CONFIRM:
            self._put_back(sent, places, before)
        self.granted += 1
        self.stage()
        return Outcome("granted", needs=tuple(needs))

    def _effect(self, sent: Sent, now: datetime) -> list[str]:
        if sent.action in CHANGING:
            return self._ask(sent, now)
        if sent.action is Action.CONFIRM:
            waiting = self.waiting[sent.name]
            waiting.needs_code, waiting.step = False, _step(str(waiting.secret), sent.new_totp, now)
            waiting.expires = now + self.policy.window
            return self._settle(sent.name, now)
        if sent.action is Action.APPROVE:
            waited = self.waiting.get(sent.person)
            if (
                waited is None
                or not waited.needs_approval
                or waited.needs_code
                or waited.expires <= now
                or waited.kiosk == sent.kiosk
                or sent.person == sent.name
            ):
                raise Refuse("malformed", "person")
            waited.needs_approval = False
            self._settle(sent.person, now)
        if sent.action is Action.CANCEL and self.waiting.pop(sent.name, None) is None:
            raise Refuse("malformed", "username")
        return []

    def _ask(self, sent: Sent, now: datetime) -> list[str]:
        new: dict[str, Any] = {}
        if sent.action is Action.REGISTER and sent.name in self.people:
            raise Refuse("malformed", "username")
        if sent.new_password:
            new["password"] = sent.new_password
        if sent.new_face:
            new["face"] = sent.new_face
        if sent.action in (Action.REGISTER, Action.UPDATE_MAC):
            new["macs"] = frozenset({self.kiosk_macs[sent.kiosk]})
        is_coded, is_new = sent.action in (Action.REGISTER, Action.RECOVER_TOTP), sent.action is Action.REGISTER
        self.waiting[sent.name] = Waiting(
            action=sent.action,
            kiosk=sent.kiosk,
            needs_code=is_coded,
            needs_approval=self.policy.second_person and not is_new,
            cooling=timedelta(0) if is_new else self.policy.cooling,
            expires=now + (timedelta(seconds=600) if is_coded else self.policy.window),
            new=new,
            leave=self._leave(sent, now) if is_new else None,
        )
        return self._settle(sent.name, now)

    def _settle(self, name: str, now: datetime) -> list[str]:
        waiting = self.waiting[name]
        if not waiting.needs_code and not waiting.needs_approval and waiting.in_force_at is None:
            waiting.in_force_at = now + waiting.cooling
        if waiting.in_force_at is not None and waiting.in_force_at <= now:
            self._put_in_force(name, now)
            return []
        return waiting.needs

    def _put_in_force(self, name: str, now: datetime) -> None:
        waiting, person = self.waiting[name], self.people.get(name)
        if waiting.action is Action.REGISTER:
            self._register(name, waiting, now)
        elif person is None or not person.enabled or not person.face_on:
            raise Refuse("start_again")
        else:
            for factor, value in waiting.new.items():
                setattr(person, factor, value)
            if waiting.action is Action.RECOVER_TOTP:
                person.secret = str(waiting.secret)
                person.last_step = max(person.last_step, waiting.step or 0)
            person.changed_at = now
        del self.waiting[name]

    def _register(self, name: str, waiting: Waiting, now: datetime) -> None:
        if name in self.people:
            raise Refuse("malformed", "username")
        kind, value = waiting.leave or ("", "")
        text, expires = self.tickets.get(name, ("", now))
        if kind == "ticket":
            if value != text or expires <= now:
                raise Refuse("start_again")
            del self.tickets[name]
        elif self.roles.get(value) != "admin":
            raise Refuse("start_again")
        self.people[name] = Person(
            **waiting.new, secret=str(waiting.secret), last_step=waiting.step or 0, changed_at=now
        )

    # What needs nobody at a kiosk

    def housekeeping(self, now: datetime) -> int:
        """Forget what has expired and put in force what has waited long enough; returns how many rows that writes."""
        self.stage()
        for key, (_, last) in list(self.failures.items()):
            kept = WEEK if key[0] not in self.people and key[1] == OWN_ROW else _KEPT.get(key[1], WEEK)
            if now - last > kept:
                del self.failures[key]
        self.stage()
        for name, waiting in list(self.waiting.items()):
            if waiting.in_force_at is None and waiting.expires <= now:
                del self.waiting[name]
        self.stage()
        due = [name for name, waiting in self.waiting.items() if waiting.in_force_at and waiting.in_force_at <= now]
        if self.is_recording:
            self.stages += [self._after(some, now) for size in range(1, len(due)) for some in _combined(due, size)]
        for name in due:
            self._put_due(name, now)
        self.stage()
        return len(due)

    def _after(self, names: tuple[str, ...], now: datetime) -> "Reference":
        stages, self.stages = self.stages, []
        state = copy.deepcopy(self)
        self.stages = stages
        for name in names:
            state._put_due(name, now)
        return state

    def _put_due(self, name: str, now: datetime) -> None:
        try:
            self._put_in_force(name, now)
            self.granted += 1
        except Refuse:
            del self.waiting[name]

    def delete(self, name: str) -> None:
        """Forget all of somebody."""
        for held in (self.people, self.waiting, self.tickets):
            held.pop(name, None)  # type: ignore[attr-defined]
        self.forgive(name)

    def forgive(self, name: str) -> None:
        """Forget all failures of a name."""
        for key in [key for key in self.failures if key[0] == name]:
            del self.failures[key]


def _counted_as(sent: Sent) -> str:
    return REGISTRARS if sent.action is Action.REGISTER else sent.name


def _wait(failures: int) -> timedelta:
    """From the fifth failure on 30 s, and twice as long with each one more, up to an hour."""
    return timedelta(0) if failures < 5 else timedelta(seconds=min(3600, 30 * 2 ** min(failures - 5, 20)))


def _step(secret: str, code: str, now: datetime) -> int | None:
    """The newest step, of this one and its neighbours, whose code it is."""
    here = int(now.timestamp()) // 30
    steps = [step for step in (here - 1, here, here + 1) if pyotp.TOTP(secret).at(step * 30) == code]
    return max(steps, default=None)


def _combined(names: list[str], size: int) -> Iterator[tuple[str, ...]]:
    combined: Callable[[list[str], int], Iterator[tuple[str, ...]]] = itertools.combinations
    return combined(names, size)
