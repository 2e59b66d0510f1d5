"""All actions, people, kiosks, clocks, failures and crashes in any order, against a small reference.

After each step the store holds exactly what the reference foretells, every secret opens, the log's chain
verifies, and it has one row for the submission. After a crash the store is found in one of the states
between two transactions, and never in between.
"""

import base64
import itertools
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import bcrypt
import hypothesis
import pyotp
import pytest
from hypothesis import HealthCheck
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import Column, Select, Text, cast, func, select

from auth_contract import paths
from auth_contract.actions import Action
from auth_contract.messages import SUBMISSIONS
from auth_server.accounts import NewAccount
from auth_server.admins import Role
from auth_server.app import create_app
from auth_server.audit import verify_chain
from auth_server.bootstrap import Opened, wire
from auth_server.canonical import utc_text
from auth_server.changes import Change
from auth_server.domain import Template
from auth_server.errors import StoreError
from auth_server.keyring import Keyring
from auth_server.policy import RECOVERIES
from auth_server.secret_codes import code_hash
from auth_server.services import Services
from auth_server.store.database import Database, open_database
from auth_server.store.location import Location
from auth_server.store.models import ATTEMPTS, LOCKOUTS, TICKETS, Base
from auth_server.store.types import UtcDateTime
from tests.auth_server.conftest import Copied
from tests.auth_server.pipeline.conftest import (
    FakeKiosk,
    ManualTime,
    NamedFaces,
    Site,
    embedding,
    picture,
    quick_hash,
    settings,
)
from tests.auth_server.pipeline.power import Fault, Power, Where
from tests.auth_server.pipeline.reference import (
    ANY_ROW,
    OWN_ROW,
    REQUIRED,
    WEAK,
    Attempt,
    Outcome,
    Person,
    Policy,
    Reference,
    Sent,
    Waiting,
)

BEGAN = datetime(2026, 11, 22, 9, 30, 5, tzinfo=UTC)
KIOSKS = {f"k{number}": f"02:00:5e:10:00:0{number}" for number in (1, 2, 3)}
HOMES = {"ada": ("k1",), "bob": ("k1", "k2"), "sue": ("k1", "k2", "k3")}
NAMES = ("ada", "bob", "cy")
PASSWORDS = ("Correct horse 7", "Quiet marmot 42", "Silver otter 93")
STRANGE_MAC = "02:00:5e:10:00:99"
FACES = tuple(f"{age}{name}" for name in ("ada", "bob", "cy", "sue", "eve") for age in ("", "older "))
POLICIES = {
    "plain": Policy(),
    "second person": Policy(second_person=True),
    "cooling off": Policy(cooling=timedelta(hours=1)),
    "both": Policy(second_person=True, cooling=timedelta(hours=1)),
}


NIGHTLY = hypothesis.settings.get_current_profile_name() == "nightly"
MODEL_SETTINGS = hypothesis.settings(
    max_examples=2500 if NIGHTLY else 40,
    stateful_step_count=60 if NIGHTLY else 25,
    suppress_health_check=list(HealthCheck),
)
"""Some hundreds of steps with every test run, and half an hour of them with `make nightly`."""


@cache
def frame(who: str) -> str:
    return base64.b64encode(picture(who)).decode()


@cache
def opens(password_hash: bytes) -> str | None:
    """Which of all passwords a hash is of."""
    return next((text for text in PASSWORDS if bcrypt.checkpw(text.encode(), password_hash)), None)


@cache
def whose(template: bytes) -> str | None:
    return next((who for who in FACES if embedding(who) == template), None)


@dataclass(frozen=True)
class Ground:
    """What every run begins with: a site's files with three kiosks and three people, closed."""

    database: Location
    keyring: Keyring
    kiosks: Mapping[str, FakeKiosk]
    people: Mapping[str, Person]
    admin_secret: str
    copied: Copied


@pytest.fixture(scope="module")
def ground(
    empty_location: Location, copied: Copied, keyring: Keyring, tmp_path_factory: pytest.TempPathFactory
) -> Ground:
    folder = tmp_path_factory.mktemp("ground")
    location, time = copied(empty_location, folder), ManualTime(BEGAN)
    services = opened(location, folder, keyring, time, {})
    kiosks = {name: FakeKiosk(name, mac, time.now) for name, mac in KIOSKS.items()}
    for fake in kiosks.values():
        services.kiosks.add(fake.kiosk_id, fake.key.public_key().public_bytes_raw(), fake.mac)
    people = {}
    for name, homes in HOMES.items():
        macs = frozenset(KIOSKS[home] for home in homes)
        person = Person(PASSWORDS[0], pyotp.random_base32(), name, macs, 0, BEGAN)
        services.accounts.add(new_account(name, person), BEGAN)
        people[name] = person
    admins = services.authenticator.effects.admins
    secret = admins.add("grace", Role.ADMIN, BEGAN)
    admins.add("root", Role.ADMIN, BEGAN)
    admins.add("sue", Role.SUPERVISOR, BEGAN)
    admins.add("ada", Role.SUPERVISOR, BEGAN)
    close(services)
    return Ground(location, keyring, kiosks, people, secret, copied)


def new_account(name: str, person: Person) -> NewAccount:
    return NewAccount(
        username=name,
        password_hash=quick_hash(person.password),
        totp_secret=person.secret,
        totp_last_step=0,
        template=Template(NamedFaces.model, embedding(name)),
        face_png=b"png of " + name.encode(),
        mac_addresses=person.macs,
    )


def opened(location: Location, folder: Path, keyring: Keyring, time: ManualTime, sections: dict[str, Any]) -> Services:
    parts: Any = (keyring, open_database(location, keyring), NamedFaces(), time)
    return wire(settings(folder, **sections), Opened(*parts, hash_password=quick_hash))


def close(services: Services) -> None:
    services.executor.shutdown()
    services.database.close()


def sections_of(policy: Policy) -> dict[str, Any]:
    asked = {"second_person": policy.second_person, "cooling_off_s": int(policy.cooling.total_seconds())}
    return {"actions": {action.value: asked for action in RECOVERIES}}


@dataclass
class Worker:
    """One worker process's share: its services, a caller, and its power."""

    services: Services
    site: Site
    power: Power


@dataclass
class Flaws:
    """What is wrong with a submission; by default nothing."""

    wrong: frozenset[str] = frozenset()
    picture: str = ""


WRONG = ("password", "old password", "totp", "old totp", "face", "mac", "clock", "new face")
PICTURES = ("no_face", "blurred", "queue full", "cut short")
FLAWS = st.one_of(
    *[st.just(Flaws())] * 5,
    st.builds(Flaws, st.frozensets(st.sampled_from(WRONG), min_size=1, max_size=2)),
    st.builds(Flaws, picture=st.sampled_from(PICTURES)),
)
KIOSK = st.sampled_from(["home", "home", "home", *KIOSKS])
NAME = st.sampled_from(NAMES)
FAULT = st.builds(
    Fault,
    st.sampled_from(Where),
    st.integers(1, 14),
    st.sampled_from([True, True, False]),
)
WAITS_S = [
    1,
    1,
    29,
    30,
    31,
    61,
    121,
    599,
    601,
    899,
    901,
    3600,
    86_400,
    8 * 86_400,
    366 * 86_400,
    -1,
    -20,
    -59,
    -61,
    -3600,
    -172_800,
]


class Model(RuleBasedStateMachine):
    """The real server, two workers on one store, beside the reference."""

    def __init__(self, ground: Ground, folder: Path, met: Counter[str]) -> None:
        super().__init__()
        self.ground, self.folder, self.met = ground, folder, met
        self.workers: list[Worker] = []
        self.turn = 0
        self.kept: list[Attempt] = []
        self.sent: list[Sent] = []
        self.old: dict[str, Person] = {}
        self.granted_attempts: set[str] = set()
        self.rows = 0

    # A site begins

    @initialize(
        policy=st.sampled_from(sorted(POLICIES)),
        failed=st.sampled_from([None, None, None, (OWN_ROW, 48), (OWN_ROW, 98), (ANY_ROW, 98)]),
    )
    def begin(self, policy: str, failed: tuple[str, int] | None) -> None:
        """Take a copy of the prepared files; bob may have failed often, long ago."""
        self.time = ManualTime(BEGAN + timedelta(hours=1))
        self.reference = Reference(POLICIES[policy], dict(KIOSKS))
        self.reference.people = {name: Person(**vars(person)) for name, person in self.ground.people.items()}
        self.reference.roles = {"grace": "admin", "root": "admin", "sue": "supervisor", "ada": "supervisor"}
        self.reference.secrets = {self.ground.admin_secret: "grace"}
        self.kiosks = {
            name: FakeKiosk(name, fake.mac, self.time.now, fake.key) for name, fake in self.ground.kiosks.items()
        }
        self.folder.mkdir()
        self.location = self.ground.copied(self.ground.database, self.folder)
        self._start()
        self.workers[0].services.housekeeping.run()  # as at the start of a server, so that the log is signed
        if failed is not None:
            place, count = failed
            long_ago = self.time.now() - timedelta(days=8)
            values = {"username": "bob", "kiosk_id": place, "failures": count}
            with self.workers[0].services.database.transaction() as session:
                moments = {"first_failure_at": long_ago, "last_failure_at": long_ago}
                session.execute(LOCKOUTS.insert().values(**values, **moments))
            self.reference.failures["bob", place] = (count, long_ago)
        self._check()

    def _start(self) -> None:
        sections = sections_of(self.reference.policy)
        for _ in range(2):
            services = opened(self.location, self.folder, self.ground.keyring, self.time, sections)
            client = create_app(services).test_client()
            site = Site(services, client, self.time, self.kiosks["k1"], self.kiosks["k2"])
            self.workers.append(Worker(services, site, Power(services.database, self.folder / "image")))

    def _stop(self) -> None:
        for worker in self.workers:
            close(worker.services)
        self.workers.clear()

    def teardown(self) -> None:
        """Close the site; its files go with it."""
        if self.workers:
            with self.workers[0].services.database.read() as session:
                odd = [session.execute(_odd_times(column)).scalars().all() for column in TIMES]
            assert not any(odd), f"a time is stored in a form that does not sort: {odd}"
        self._stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    # What people do

    @rule(name=NAME, kiosk=KIOSK, flaws=FLAWS, kept=st.booleans())
    def log_in(self, name: str, kiosk: str, flaws: Flaws, kept: bool) -> None:
        """Somebody logs in."""
        self._submit(Action.LOGIN, name, kiosk, flaws, is_kept=kept)

    @rule(
        action=st.sampled_from(RECOVERIES),
        name=NAME,
        kiosk=KIOSK,
        flaws=FLAWS,
        new=st.sampled_from([*PASSWORDS, WEAK[0]]),
        kept=st.booleans(),
    )
    def recover(self, action: Action, name: str, kiosk: str, flaws: Flaws, new: str, kept: bool) -> None:
        """Somebody has a factor replaced."""
        self._submit(action, name, kiosk, flaws, is_kept=kept, new_password=new)

    @rule(
        name=st.sampled_from(["cy", "cy", "cy", "ada", "bob"]),
        kiosk=st.sampled_from(sorted(KIOSKS)),
        flaws=FLAWS,
        leave=st.sampled_from(["ticket", "ticket", "admin", "other ticket", "0" * 25]),
    )
    def register(self, name: str, kiosk: str, flaws: Flaws, leave: str) -> None:
        """Somebody registers, or tries to."""
        tickets = self.reference.tickets
        others = [text for other, (text, _) in tickets.items() if other != name]
        permission = {
            "ticket": tickets.get(name, ("0" * 16,))[0],
            "admin": self.ground.admin_secret,
            "other ticket": next(iter(others), "0" * 16),
        }.get(leave, leave)
        self._submit(Action.REGISTER, name, kiosk, flaws, permission=permission, new_password=PASSWORDS[1])

    @precondition(lambda self: self._who(lambda change: change.needs_code))
    @rule(which=st.integers(0, 2), flaws=FLAWS, elsewhere=st.sampled_from([None, None, None, None, *KIOSKS]))
    def confirm(self, which: int, flaws: Flaws, elsewhere: str | None) -> None:
        """Somebody shows a first code of the new secret that waits."""
        names = self._who(lambda change: change.needs_code)
        self._go_on(names[which % len(names)], flaws, elsewhere=elsewhere)

    @precondition(lambda self: self._who(lambda change: change.needs_approval))
    @rule(
        which=st.integers(0, 2),
        by=st.sampled_from(["sue", "sue", "sue", "ada", "bob"]),
        flaws=FLAWS,
        elsewhere=st.sampled_from([None, None, None, None, *KIOSKS]),
    )
    def approve(self, which: int, by: str, flaws: Flaws, elsewhere: str | None) -> None:
        """A supervisor approves what somebody asked for."""
        names = self._who(lambda change: change.needs_approval)
        self._approve(names[which % len(names)], by, flaws, elsewhere=elsewhere)

    @rule(
        action=st.sampled_from(RECOVERIES),
        name=NAME,
        kiosk=KIOSK,
        fault=st.one_of(st.none(), FAULT),
        is_late=st.booleans(),
    )
    def go_through(self, action: Action, name: str, kiosk: str, fault: Fault | None, is_late: bool) -> None:
        """Somebody who does all right has a factor replaced, as far as it goes; the last step may fail.

        Somebody else may have begun to log in under that name a moment before, and ends after it.
        """
        home = self._home(name)
        if is_late:
            self.kept.append(self._open(Action.LOGIN, home))
            self.time.moment += timedelta(seconds=1)
        self._submit(action, name, kiosk, Flaws(), new_password=PASSWORDS[len(self.sent) % 3])
        for _ in range(2):
            waiting = self.reference.waiting.get(name)
            if waiting is not None and (waiting.needs_code or waiting.needs_approval):
                is_last = not (waiting.needs_code and waiting.needs_approval)
                self._go_on(name, Flaws(), fault=fault if is_last else None)
        if is_late:
            self._submit(Action.LOGIN, name, home, Flaws(), is_kept=True)

    @precondition(lambda self: self.reference.waiting)
    @rule(
        which=st.integers(0, 2),
        seconds=st.sampled_from([-1, 0, 1]),
        then=st.sampled_from(["nothing", "house", "go on", "go on"]),
    )
    def let_a_wait_end(self, which: int, seconds: int, then: str) -> None:
        """Time goes on to about the moment at which a change is due or too late."""
        name, change = list(self.reference.waiting.items())[which % len(self.reference.waiting)]
        ends = (change.in_force_at or change.expires) + timedelta(seconds=seconds)
        self.time.moment = max(self.time.moment, ends)
        if then == "house":
            self.keep_house(None)
        elif then == "go on" and change.change_id and (change.needs_code or change.needs_approval):
            self._go_on(name, Flaws())

    @rule(name=NAME, kiosk=KIOSK, flaws=FLAWS)
    def cancel(self, name: str, kiosk: str, flaws: Flaws) -> None:
        """Somebody cancels a change of theirs."""
        self._submit(Action.CANCEL, name, kiosk, flaws)

    @rule(
        action=st.sampled_from([Action.LOGIN, Action.RECOVER_PASSWORD, Action.UPDATE_MAC, Action.CANCEL]),
        name=st.sampled_from([*NAMES, "nobody"]),
        kiosk=KIOSK,
        times=st.sampled_from([2, 4, 5, 6]),
    )
    def guess(self, action: Action, name: str, kiosk: str, times: int) -> None:
        """Somebody tries one code after another."""
        for _ in range(times):
            self._submit(action, name, kiosk, Flaws(frozenset({"totp"})), new_password=PASSWORDS[1])

    @precondition(lambda self: self.sent)
    @rule(back=st.integers(0, 7))
    def replay(self, back: int) -> None:
        """Somebody sends again what was sent before, as it was."""
        self._send(self.sent[-1 - back % len(self.sent)])

    @precondition(lambda self: len(self.kept) < 6)
    @rule(action=st.sampled_from(Action), kiosk=st.sampled_from(sorted(KIOSKS)))
    def open(self, action: Action, kiosk: str) -> None:
        """A kiosk opens an attempt and keeps it for later."""
        self.kept.append(self._open(action, kiosk))

    # What administrators and time do

    @rule(
        act=st.sampled_from(["disable", "enable", "enable", "unlock", "bind", "unbind", "delete", "reset"]),
        name=NAME,
        kiosk=st.sampled_from(sorted(KIOSKS)),
        fault=st.one_of(st.none(), st.none(), FAULT),
    )
    def administrate(self, act: str, name: str, kiosk: str, fault: Fault | None) -> None:
        """An administrator does something with an account."""
        if name not in self.reference.people:
            return
        self.old.pop(name, None) if act == "delete" else None
        self._perform(
            lambda worker: self._act(worker.services, act, name, KIOSKS[kiosk]),
            lambda: self._foretell(act, name, KIOSKS[kiosk]),
            fault,
        )
        self._check()

    def _act(self, services: Services, act: str, name: str, mac: str) -> None:
        accounts, now = services.accounts, self.time.now()
        new_hash = quick_hash(PASSWORDS[2]) if act == "reset" else b""

        def reset() -> None:
            with services.database.transaction() as session:
                services.authenticator.changes.drop(session, name)
                accounts.replace_password(session, name, new_hash, now)

        acts: dict[str, Callable[[], object]] = {
            "disable": lambda: accounts.set_enabled(name, False),
            "enable": lambda: accounts.set_enabled(name, True),
            "unlock": lambda: services.authenticator.lockouts.unlock(name),
            "bind": lambda: accounts.bind(name, mac, now),
            "unbind": lambda: accounts.unbind(name, mac, now),
            "delete": lambda: accounts.delete(name),
            "reset": reset,
        }
        acts[act]()

    def _foretell(self, act: str, name: str, mac: str) -> None:
        reference, person = self.reference, self.reference.people[name]
        macs = person.macs | {mac} if act == "bind" else person.macs - {mac} if act == "unbind" else person.macs
        if macs != person.macs or act == "reset":
            person.changed_at = self.time.now()
        person.macs = macs
        if act in {"disable", "enable"}:
            person.enabled = act == "enable"
        if act == "unlock":
            person.enabled = person.face_on = True
            reference.forgive(name)
        if act == "reset":
            person.password = PASSWORDS[2]
            reference.waiting.pop(name, None)
        if act == "delete":
            reference.delete(name)
        reference.stage()

    @rule(name=st.sampled_from(["cy", "cy", "bob"]), minutes=st.sampled_from([1, 30, 3000]))
    def invite(self, name: str, minutes: int) -> None:
        """An administrator makes a ticket."""
        if name in self.reference.people:
            return
        tickets, now = self._worker().services.authenticator.effects.tickets, self.time.now()
        text = tickets.invite(name, (), "root", now, timedelta(minutes=minutes))
        self.reference.tickets[name] = (text, now + timedelta(minutes=minutes))

    @rule(name=st.sampled_from(["cy", "bob"]))
    def uninvite(self, name: str) -> None:
        """An administrator withdraws a ticket."""
        self._worker().services.authenticator.effects.tickets.revoke(name)
        self.reference.tickets.pop(name, None)

    @rule(name=st.sampled_from(["grace", "sue", "ada"]), role=st.sampled_from(Role))
    def change_role(self, name: str, role: Role) -> None:
        """An administrator's role becomes another."""
        self._worker().services.authenticator.effects.admins.set_role(name, role)
        self.reference.roles[name] = role.value

    @rule(seconds=st.sampled_from(WAITS_S))
    def let_time_pass(self, seconds: int) -> None:
        """The clock goes on, or is set back."""
        self.time.moment += timedelta(seconds=seconds)

    @rule(fault=st.one_of(st.none(), st.builds(Fault, st.sampled_from(Where), st.integers(1, 8))))
    def keep_house(self, fault: Fault | None) -> None:
        """A worker does what it does between requests."""
        now = self.time.now()
        done = self._perform(
            lambda worker: worker.services.housekeeping.run(), lambda: self.reference.housekeeping(now), fault
        )
        if done is not None:
            self.rows += done[1]
            self.met["put in force by housekeeping"] += done[1]
            waiting = self.reference.waiting.values()
            assert all((change.in_force_at or change.expires) > now for change in waiting), "it outlived its time"
        self._check()

    @rule()
    def restart(self) -> None:
        """The server is stopped and started."""
        self._stop()
        self._start()
        self._check()

    @rule(
        fault=FAULT,
        action=st.sampled_from([None, None, Action.LOGIN, *RECOVERIES, Action.CANCEL]),
        name=NAME,
        flaws=FLAWS,
    )
    def fail_in_the_middle(self, fault: Fault, action: Action | None, name: str, flaws: Flaws) -> None:
        """The power goes, or the disk fails once, in the middle of a submission."""
        waiting = self.reference.waiting.get(name)
        if waiting is not None and action is None and (waiting.needs_code or waiting.needs_approval):
            self._go_on(name, flaws, fault=fault)
        else:
            self._submit(action or Action.LOGIN, name, "home", flaws, fault=fault, new_password=PASSWORDS[1])

    # How it is done

    def _worker(self) -> Worker:
        self.turn += 1
        return self.workers[self.turn % 2]

    def _who(self, waits: Callable[[Waiting], bool]) -> list[str]:
        """The names whose change waits so, and can be gone on with."""
        return [name for name, change in self.reference.waiting.items() if change.change_id and waits(change)]

    def _go_on(self, name: str, flaws: Flaws, *, elsewhere: str | None = None, fault: Fault | None = None) -> None:
        """The next step that a change waits for: its first code, or an approval."""
        waiting = self.reference.waiting[name]
        if not waiting.needs_code:
            return self._approve(name, "sue", flaws, elsewhere=elsewhere, fault=fault)
        change = {"change_id": str(waiting.change_id)}
        return self._submit(Action.CONFIRM, name, elsewhere or waiting.kiosk, flaws, fault=fault, **change)

    def _approve(
        self, person: str, by: str, flaws: Flaws, *, elsewhere: str | None = None, fault: Fault | None = None
    ) -> None:
        other = next(kiosk for kiosk in ("k1", "k2") if kiosk != self.reference.waiting[person].kiosk)
        self._submit(Action.APPROVE, by, elsewhere or other, flaws, fault=fault, person=person)

    def _home(self, name: str) -> str:
        person = self.reference.people.get(name)
        return next((kiosk for kiosk, mac in KIOSKS.items() if person and mac in person.macs), "k1")

    def _open(self, action: Action, kiosk: str) -> Attempt:
        now = self.time.now()
        made = self._worker().site.open(self.kiosks[kiosk], action)
        attempt = Attempt(made["attempt_id"], made["nonce"], kiosk, action, now, now + timedelta(seconds=60))
        self.reference.attempts[attempt.nonce] = attempt
        return attempt

    def _submit(
        self,
        action: Action,
        name: str,
        kiosk: str,
        flaws: Flaws,
        *,
        is_kept: bool = False,
        fault: Fault | None = None,
        **more: str,
    ) -> None:
        at = self._home(name) if kiosk == "home" else kiosk
        fresh = self._fresh_code(name) if "totp" in REQUIRED[action] else ""
        kept = [attempt for attempt in self.kept if (attempt.action, attempt.kiosk) == (action, at)]
        attempt = kept[0] if is_kept and kept else self._open(action, at)
        self.kept = [other for other in self.kept if other.nonce != attempt.nonce]
        known = self.reference.people.get(name, Person(PASSWORDS[0], "A" * 32, name, frozenset(), 0, BEGAN))
        claims = self._claims(action, name, known, fresh, flaws)
        self.old.setdefault(name, Person(**vars(known)))
        claims |= {member: value for member, value in more.items() if member in SUBMISSIONS[action].model_fields}
        stamp = self.time.now() + timedelta(seconds=121 if "clock" in flaws.wrong else 3)
        mac = STRANGE_MAC if "mac" in flaws.wrong else KIOSKS[at]
        self._send(Sent(action, at, mac, attempt.nonce, attempt.attempt_id, name, stamp, claims), fault)

    def _fresh_code(self, name: str) -> str:
        """A code that was not used; time goes on until there is one."""
        person = self.reference.people.get(name)
        if person is None:
            return "271828"
        here = int(self.time.now().timestamp()) // 30
        step = max(here, person.last_step + 1)
        if here + 1 < step <= here + 4:
            self.time.moment += timedelta(seconds=30 * (step - here - 1))
        return pyotp.TOTP(person.secret).at(step * 30)

    def _claims(self, action: Action, name: str, known: Person, fresh: str, flaws: Flaws) -> dict[str, str]:
        wrong, old = flaws.wrong, self.old.get(name, known)
        here = int(self.time.now().timestamp()) // 30
        waiting = self.reference.waiting.get(name)
        first = str(waiting.secret) if waiting is not None and waiting.secret else "A" * 32
        new_face = f"older {name}" if action is Action.RECOVER_FACE else name
        claims = {
            "password": "Wrong horse 8" if "password" in wrong else known.password,
            "totp": _no_code(known.secret, here) if "totp" in wrong else fresh,
            "face": flaws.picture or ("eve" if "face" in wrong else known.face),
            "new_face": flaws.picture or (f"print of {name}" if "new face" in wrong else new_face),
            "new_totp": _no_code(first, here) if "totp" in wrong else pyotp.TOTP(first).at(here * 30),
        }
        if "old password" in wrong:
            claims["password"] = old.password
        if "old totp" in wrong:
            claims["totp"] = claims["new_totp"] = pyotp.TOTP(old.secret).at(here * 30)
        return {factor: claim for factor, claim in claims.items() if factor in REQUIRED[action]}

    def _send(self, sent: Sent, fault: Fault | None = None) -> None:
        """Send it, and compare what comes of it with what the reference says."""
        body, now = json.dumps(_body(sent)).encode(), self.time.now()
        proven, granted = self.reference.is_proven(sent, now), self.reference.granted
        self.sent = [*self.sent[-7:], sent]
        replies: list[Any] = []

        def post(worker: Worker) -> Any:
            path, kiosk = paths.SUBMISSION[sent.action], self.kiosks[sent.kiosk]
            replies.append(worker.site.post(path, body, nonce=sent.nonce, kiosk=kiosk))
            return replies[-1]

        done = self._perform(post, lambda: self.reference.submit(sent, now), fault)
        if done is not None:
            self._compare(sent, *done, proven)
        elif replies[0].status_code == 200:
            assert self.reference.granted == granted + 1, "something was granted and is not in the store"
        self._check()

    def _compare(self, sent: Sent, reply: Any, expected: Outcome, proven: bool) -> None:
        reason = reply.json.get("reason", "granted")
        said = Outcome(reason, reply.json.get("field") if expected.field else None, _needs(reply))
        row = self._row()
        assert said == expected, f"{said} and not {expected}: {row.detail}"
        self.rows += 1
        assert (row.action, row.success, row.reason) == (sent.action.value, reason == "granted", reason)
        self.met[f"{sent.action.value}: {reason}"] += 1
        if reason == "granted":
            assert proven, "something was granted on fewer proofs than the action needs"
            assert sent.nonce not in self.granted_attempts, "an attempt was granted twice"
            self.granted_attempts.add(sent.nonce)
            self._learn(sent, reply)

    def _learn(self, sent: Sent, reply: Any) -> None:
        """Scan the QR code."""
        pending = reply.json.get("pending", {})
        waiting = self.reference.waiting.get(sent.name)
        if waiting is not None and pending:
            waiting.change_id = pending["change_id"]
        if waiting is not None and "provisioning_uri" in pending:
            waiting.secret = pyotp.parse_uri(pending["provisioning_uri"]).secret

    def _perform(
        self, act: Callable[[Worker], Any], foretell: Callable[[], Any], fault: Fault | None
    ) -> tuple[Any, Any] | None:
        """Do something while a fault is planned, and return what came of it and what was foretold.

        None where the fault came: then the store was found in one of the states between two transactions.
        """
        worker = self._worker()
        if fault is None:
            return act(worker), foretell()
        self.reference.stages, self.reference.is_recording = [], True
        self.reference.stage()
        worker.power.plan(fault)
        try:
            done = act(worker)
        except StoreError:
            done = None
        has_failed, is_cut = worker.power.has_failed, worker.power.is_cut
        worker.power.plan(None)
        foretold = foretell()
        self.reference.is_recording = False
        if not has_failed:
            return done, foretold
        if is_cut:
            self._stop()
            worker.power.restore()
            self._start()
        self._recognise([*self.reference.stages, self.reference])
        return None

    def _recognise(self, stages: list[Reference]) -> None:
        """Go on from the state that the store is in, which must be one of these."""
        found = self._seen()
        alike = [stage for stage in stages if self._foreseen(stage) == found]
        assert alike, f"the store is in no state between two transactions: {found}, {[*map(self._foreseen, stages)]}"
        self.met[f"after a fault: state {stages.index(alike[-1])} of {len(stages) - 1}"] += 1
        attempts = self.reference.attempts
        self.reference = alike[-1]
        self.reference.stages, self.reference.is_recording = [], False
        for attempt in self.kept:
            self.reference.attempts.setdefault(attempt.nonce, attempts[attempt.nonce])
        services = self.workers[0].services
        for change in services.authenticator.changes.list():
            waiting = self.reference.waiting[change.username]
            waiting.change_id, waiting.secret = change.change_id, change.new.totp_secret
        rows = services.audit.head()[0]
        assert self.rows <= rows
        self.rows = rows

    # What the store holds, and what it should

    def _check(self) -> None:
        found, foreseen = self._seen(), self._foreseen(self.reference)
        for part, value in foreseen.items():
            assert found[part] == value, part
        services = self.workers[0].services
        assert services.audit.head()[0] == self.rows, "one submission has one row"
        report = verify_chain(services.audit.chain(), services.housekeeping.checkpoints.signed())
        assert report.ok, report.findings

    def _seen(self) -> dict[str, Any]:
        """All that the store holds, its secrets opened."""
        services, now = self.workers[self.turn % 2].services, self.time.now()
        accounts, changes = services.accounts, services.authenticator.changes
        people = {}
        for account in accounts.list():
            name = account.username
            read = accounts.enrolment(name)
            face = whose(read.template.embedding)
            assert accounts.face_picture(name) == f"png of {face}".encode()
            standing = (account.enabled, account.face_enabled, read.totp_last_step, read.factors_changed_at)
            people[name] = (opens(read.password_hash), read.totp_secret, face, read.mac_addresses, *standing)
        with services.database.read() as session:
            failures = session.execute(select(LOCKOUTS.c.username, LOCKOUTS.c.kiosk_id, *_COUNTED)).all()
            attempts = session.execute(select(ATTEMPTS.c.nonce, ATTEMPTS.c.used_at)).all()
        tickets = services.authenticator.effects.tickets.list(now)
        return {
            "people": people,
            "waiting": {change.username: _waits(change) for change in changes.list()},
            "tickets": {ticket.username: ticket.ticket_hash for ticket in tickets},
            "failures": {(name, place): (count, last) for name, place, count, last in failures},
            "attempts": {nonce: used_at is not None for nonce, used_at in attempts},
            "granted": sum(row.success for row in services.audit.chain()),
        }

    def _foreseen(self, reference: Reference) -> dict[str, Any]:
        """The same as the reference has it."""
        now = self.time.now()
        with self.workers[0].services.database.read() as session:
            nonces = session.execute(select(ATTEMPTS.c.nonce)).scalars().all()
        people = {
            name: (
                *(person.password, person.secret, person.face, person.macs),
                *(person.enabled, person.face_on, person.last_step, person.changed_at),
            )
            for name, person in reference.people.items()
        }
        waiting = {
            name: (
                *(change.action, change.kiosk, change.needs_code, change.needs_approval, change.tries),
                *(change.cooling.total_seconds(), change.expires, change.in_force_at, change.step),
                *(change.new.get("password"), change.new.get("face"), change.new.get("macs")),
                _leave(change.leave),
            )
            for name, change in reference.waiting.items()
        }
        return {
            "people": people,
            "waiting": waiting,
            "tickets": {name: code_hash(text) for name, (text, ends) in reference.tickets.items() if ends > now},
            "failures": reference.failures,
            "attempts": {nonce: reference.attempts[nonce].used for nonce in nonces},
            "granted": reference.granted,
        }

    def _row(self) -> Any:
        audit = self.workers[0].services.audit
        return audit.show(audit.head()[0])


_COUNTED = (LOCKOUTS.c.failures, LOCKOUTS.c.last_failure_at)


TIMES = [
    column for table in Base.metadata.sorted_tables for column in table.columns if isinstance(column.type, UtcDateTime)
]


def _odd_times(column: Column[Any]) -> Select[Any]:
    return select(cast(column, Text)).where(func.length(column) != len(utc_text(BEGAN)))


def _waits(change: Change) -> tuple[Any, ...]:
    new = change.new
    return (
        *(change.action, change.kiosk_id, change.is_code_needed, change.is_approval_needed, change.tries_left),
        *(change.cooling_off_s, change.expires_at, change.in_force_at, new.totp_step),
        None if new.password_hash is None else opens(new.password_hash),
        None if new.template is None else whose(new.template.embedding),
        new.mac_addresses,
        change.permission,
    )


def _leave(leave: tuple[str, str] | None) -> str | None:
    if leave is None:
        return None
    kind, value = leave
    return f"{kind}:{code_hash(value) if kind == 'ticket' else value}"


def _needs(reply: Any) -> tuple[str, ...]:
    return tuple(reply.json.get("pending", {}).get("needs", ()))


def _no_code(secret: str, here: int) -> str:
    near = {pyotp.TOTP(secret).at(30 * (here + away)) for away in range(-2, 3)}
    return next(code for code in ("271828", "314159", "161803", "141421", "173205", "223606") if code not in near)


def _body(sent: Sent) -> dict[str, Any]:
    pictures = {"face": ("frames", 1), "new_face": ("new_frames", 3)}
    frames = {
        member: [frame(sent.fields[factor])] * count
        for factor, (member, count) in pictures.items()
        if factor in sent.fields
    }
    return {
        "attempt_id": sent.attempt_id,
        "username": sent.name,
        "mac": sent.mac,
        "client_ts_utc": sent.stamp.isoformat(),
        **{member: value for member, value in sent.fields.items() if member not in pictures},
        **frames,
    }


@pytest.fixture
def model(ground: Ground, tmp_path: Path) -> Iterator[Model]:
    """A site beside its reference that a test drives by hand; it begins it by its policy."""
    made = Model(ground, tmp_path / "site", Counter[str]())
    yield made
    made.teardown()


@pytest.mark.parametrize("where", Where)
def test_a_disk_that_fails_once_leaves_nothing_open(database: Database, tmp_path: Path, where: Where) -> None:
    power = Power(database, tmp_path / "image")
    power.plan(Fault(where, 1, is_cut=False))
    with pytest.raises(StoreError), database.transaction() as session:
        session.execute(TICKETS.delete())
    for _ in range(3):
        with database.transaction() as session:
            session.execute(TICKETS.delete())
        with database.read() as session:
            assert session.execute(select(TICKETS)).all() == []


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_who_does_all_right_gets_it_once_all_that_the_site_asks_for_was_done(model: Model, policy: str) -> None:
    model.begin(policy, None)
    for action in RECOVERIES:
        model.go_through(action, "ada", "home", None, False)
        if model.reference.waiting:
            model.let_a_wait_end(0, 0, "house")
        model.log_in("ada", "home", Flaws(), False)
    model.invite("cy", 30)
    model.register("cy", "k2", Flaws(), "ticket")
    model.confirm(0, Flaws(), None)
    model.log_in("cy", "home", Flaws(), False)
    met = model.met
    assert met["login: granted"] == 5
    assert met["approve: granted"] == (4 if POLICIES[policy].second_person else 0)
    assert met["put in force by housekeeping"] == (4 if POLICIES[policy].cooling else 0)


@pytest.mark.parametrize("action", Action)
def test_with_one_thing_wrong_it_is_as_the_reference_says(model: Model, action: Action) -> None:
    model.begin("both", None)
    flaws = [*(Flaws(frozenset({wrong})) for wrong in WRONG), *(Flaws(picture=picture) for picture in PICTURES)]
    model.invite("cy", 3000)
    for flaw in flaws:
        model.let_time_pass(3601)  # so that nothing is locked
        if action is Action.REGISTER:
            model.register("cy", "k1", flaw, "ticket")
        elif action in (Action.CONFIRM, Action.APPROVE):
            asked = Action.RECOVER_TOTP if action is Action.CONFIRM else Action.RECOVER_PASSWORD
            model.recover(asked, "ada", "home", Flaws(), PASSWORDS[1], False)
            model._go_on("ada", flaw)
        else:
            model._submit(action, "ada", "home", flaw, new_password=PASSWORDS[1])
    assert model.met[f"{action.value}: denied"]


@pytest.mark.parametrize("action", RECOVERIES)
def test_who_began_before_a_change_does_not_end_after_it(model: Model, action: Action) -> None:
    model.begin("plain", None)
    model.go_through(action, "bob", "home", None, True)
    assert model.met["login: denied"] == 1
    assert "factor changed" in model._row().detail


@pytest.mark.parametrize("seconds", [-1, 0, 1])
def test_what_waits_is_had_at_its_place_and_in_its_time(model: Model, seconds: int) -> None:
    model.begin("both", None)
    for elsewhere in ("k1", "k2", "k3"):
        model.recover(Action.RECOVER_TOTP, "ada", "k1", Flaws(), PASSWORDS[0], False)
        model.confirm(0, Flaws(), elsewhere)
    for by, elsewhere in (("sue", "k1"), ("ada", "k1"), ("ada", "k2"), ("bob", "k2"), ("sue", "k3")):
        model.let_time_pass(61)
        model.recover(Action.RECOVER_PASSWORD, "ada", "k1", Flaws(), PASSWORDS[1], False)
        model.approve(0, by, Flaws(), elsewhere)
    for action in (Action.RECOVER_TOTP, Action.RECOVER_PASSWORD):
        model.recover(action, "ada", "k1", Flaws(), PASSWORDS[1], False)
        model.let_a_wait_end(0, seconds, "go on")
    model.let_a_wait_end(0, seconds, "house")
    model.recover(Action.RECOVER_TOTP, "bob", "k1", Flaws(), PASSWORDS[1], False)
    for _ in range(6):
        model.confirm(0, Flaws(frozenset({"totp"})), None)
    model.recover(Action.RECOVER_FACE, "bob", "k1", Flaws(), PASSWORDS[1], False)
    model.administrate("delete", "bob", "k1", None)
    model.keep_house(None)


def test_what_somebody_asked_for_who_is_disabled_is_not_had(model: Model) -> None:
    model.begin("plain", None)
    model.recover(Action.RECOVER_TOTP, "ada", "home", Flaws(), PASSWORDS[1], False)
    model.administrate("disable", "ada", "k1", None)
    model.confirm(0, Flaws(), None)
    assert model.met["confirm: start_again"] == 1


def test_leave_to_register_that_was_withdrawn_is_none(model: Model) -> None:
    model.begin("plain", None)
    for name in ("ticket", "admin"):
        model.invite("cy", 30)
        model.register("cy", "k1", Flaws(), name)
        model.uninvite("cy")
        model.change_role("grace", Role.AUDITOR)
        model.confirm(0, Flaws(), None)
        model.change_role("grace", Role.ADMIN)
    assert model.met["confirm: start_again"] == 2
    assert "cy" not in model.reference.people


def test_no_order_of_acts_failures_and_crashes_breaks_a_promise(ground: Ground, tmp_path: Path) -> None:
    runs, met = itertools.count(), Counter[str]()
    run_state_machine_as_test(lambda: Model(ground, tmp_path / str(next(runs)), met), settings=MODEL_SETTINGS)
    print("\n".join(f"{count:6} {what}" for what, count in sorted(met.items())))  # shown by pytest -s
