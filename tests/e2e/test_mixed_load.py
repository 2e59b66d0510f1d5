"""People at kiosks and administrators at once, on two worker processes and one store.

Nobody waits for a store that is locked, and what was acknowledged is there at the end: every password,
secret, binding and standing is the last that somebody was told, and every act has its row.
"""

import json
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bcrypt
import pyotp
import pytest

from auth_client.errors import Refused
from auth_contract.actions import Action
from auth_contract.messages import SUBMISSIONS
from demo.site import Site
from tests.e2e.conftest import MACS, PASSWORD, House, Person, house_of

LOAD_S = float(os.environ.get("FOURAUTH_LOAD_S", "30"))
CLIENTS = 4
NEW_PASSWORDS = ("Silver otter 93", "Amber falcon 58")
CHECKED_PASSWORDS = 24
"""How many of the last passwords are compared; each takes a quarter of a second."""


@dataclass
class Ledger:
    """What was acknowledged, by threads that each have people of their own."""

    secrets: dict[str, str] = field(default_factory=dict)
    passwords: dict[str, str] = field(default_factory=dict)
    enabled: dict[str, bool] = field(default_factory=dict)
    macs: dict[str, set[str]] = field(default_factory=dict)
    registered: set[str] = field(default_factory=set)
    added: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    acts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def busy_house(tmp_path_factory: pytest.TempPathFactory, models_folder: Path, ada_folder: Path) -> Iterator[House]:
    """A site of its own: its keys are rotated."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        for house in house_of(
            Site(tmp_path_factory.mktemp("busy"), models_folder.absolute(), name="busy", presence="passive"), ada_folder
        ):
            house.site.start_server()
            yield house


@dataclass
class Load:
    """All that goes on at once until the time is over."""

    house: House
    ledger: Ledger = field(default_factory=Ledger)
    tickets: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)
    ends: float = 0.0

    def run(self) -> None:
        """Begin everything, and return when all have ended."""
        self.ends = time.monotonic() + LOAD_S
        bystanders = [self.house.person() for _ in range(4)]
        jobs: list[Callable[[], None]] = [
            *[lambda number=number: self._clients(number) for number in range(CLIENTS)],
            lambda: self._bystand(bystanders),
            lambda: self._administrate(bystanders),
            self._keep_keys,
        ]
        threads = [threading.Thread(target=self._told, args=(job,)) for job in jobs]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _told(self, job: Callable[[], None]) -> None:
        try:
            job()
        except BaseException as fault:  # told by the test, in the main thread
            self.ledger.faults.append(f"{type(fault).__name__}: {fault}")
            self.ends = 0.0

    @property
    def _is_on(self) -> bool:
        return time.monotonic() < self.ends

    # People at kiosks

    def _clients(self, number: int) -> None:
        chance, kiosk_id = random.Random(number), f"kiosk-{number % 2 + 1}"  # noqa: S311 - a load, not a secret
        while self._is_on:
            ticket = self._a_ticket() if chance.random() < 0.5 else None
            if ticket is not None:
                self._register(kiosk_id, *ticket)
                continue
            with self.lock:
                person = self.house.person() if len(self.house.people) > 8 else None
            if person is None:
                person = self.house.enrol(Person(f"late {number} {time.monotonic_ns()}"), _HASH)
            self._live(kiosk_id, person, chance)

    def _a_ticket(self) -> tuple[str, str] | None:
        with self.lock:
            return self.tickets.pop() if self.tickets else None

    def _live(self, kiosk_id: str, person: Person, chance: random.Random) -> None:
        """What one person does: a wrong log in, a right one, then new factors, each used at once."""
        ledger = self.ledger
        ledger.passwords[person.name], ledger.secrets[person.name] = person.password, person.secret
        if chance.random() < 0.3:
            assert self._send(Action.LOGIN, kiosk_id, person, totp=person.wrong_code()) == "denied"
        if chance.random() < 0.5:
            assert self._send(Action.LOGIN, kiosk_id, person) == "granted"
            return
        if chance.random() < 0.5:
            new = chance.choice(NEW_PASSWORDS)
            assert self._send(Action.RECOVER_PASSWORD, kiosk_id, person, new_password=new) == "granted"
            person.password = ledger.passwords[person.name] = new
        asked = self._send(Action.RECOVER_TOTP, kiosk_id, person, is_whole=True)
        self._confirm(kiosk_id, person, asked)
        ledger.secrets[person.name] = person.secret
        if person.has_code():
            assert self._send(Action.LOGIN, kiosk_id, person) == "granted"

    def _register(self, kiosk_id: str, name: str, ticket: str) -> None:
        person = Person(name)
        asked = self._send(
            Action.REGISTER, kiosk_id, person, is_whole=True, permission=ticket, new_password=person.password
        )
        self._confirm(kiosk_id, person, asked)
        self.ledger.registered.add(name)
        self.ledger.passwords[name], self.ledger.secrets[name] = person.password, person.secret
        assert self._send(Action.LOGIN, kiosk_id, person) == "granted"

    def _confirm(self, kiosk_id: str, person: Person, asked: Any) -> None:
        """Scan the QR code and show a first code of it."""
        person.secret = pyotp.parse_uri(asked.pending.provisioning_uri).secret
        code = person.code()
        change_id = asked.pending.change_id
        assert self._send(Action.CONFIRM, kiosk_id, person, change_id=change_id, new_totp=code) == "granted"

    def _send(self, action: Action, kiosk_id: str, person: Person, *, is_whole: bool = False, **changes: Any) -> Any:
        """One submission through the real client; a full queue is waited out, a store is not."""
        if "totp" in SUBMISSIONS[action].model_fields:
            changes = {"totp": changes.get("totp") or person.code(), **changes}
        for _ in range(20):
            with closing(self.house.client(kiosk_id, connect_timeout_s=30)) as client:
                attempt = client.open_attempt(action)
                try:
                    reply = client.submit(
                        action, self._request(action, attempt, kiosk_id, person, changes), attempt.nonce
                    )
                except Refused as refused:
                    reason = refused.reply.reason.value
                    assert refused.reply.incident is None, f"{action} of {person.name}: {refused.reply}"
                    self._count(action, reason)
                    if reason != "unavailable":
                        return reason
                    time.sleep(float(refused.reply.retry_after_s or 1))
                    continue
                self._count(action, "granted")
                return reply if is_whole else "granted"
        raise AssertionError(f"{action} of {person.name} found no place in twenty tries")

    def _count(self, action: Action, reason: str) -> None:
        with self.lock:
            self.ledger.answers[f"{action.value}: {reason}"] += 1

    def _request(self, action: Action, attempt: Any, kiosk_id: str, person: Person, changes: dict[str, Any]) -> Any:
        wanted = SUBMISSIONS[action].model_fields
        picture = self.house.picture.read_bytes()
        fields = {
            "attempt_id": attempt.attempt_id,
            "username": person.name,
            "password": person.password,
            "frames": (picture,),
            "new_frames": self.house.pictures(),
            "mac": MACS[kiosk_id],
            "client_ts_utc": datetime.now(UTC),
            **changes,
        }
        return SUBMISSIONS[action](**{name: value for name, value in fields.items() if name in wanted})

    # Administrators

    def _provision(self, *arguments: str, secret: str | None = None) -> dict[str, Any]:
        done = self.house.site.provision(*arguments, secret=secret)
        with self.lock:
            self.ledger.acts[" ".join(arguments[:2])] += 1
        return done

    def _bystand(self, people: list[Person]) -> None:
        """People log in whose accounts are switched on and off meanwhile: they write the same rows."""
        while self._is_on:
            for person in people:
                time.sleep(0.2)
                if self._is_on:
                    self._send(Action.LOGIN, "kiosk-1", person, totp=person.wrong_code())

    def _administrate(self, people: list[Person]) -> None:
        ledger, number = self.ledger, 0
        for person in people:
            ledger.enabled[person.name], ledger.macs[person.name] = True, set(MACS.values())
        while self._is_on:
            person = people[number // 2 % len(people)]
            if number % 2 == 0:
                self._provision("user", "disable", person.name, "--yes")
                self._provision("user", "unbind", person.name, "kiosk-2", "--yes")
                ledger.enabled[person.name], ledger.macs[person.name] = False, {MACS["kiosk-1"]}
            else:
                self._provision("user", "enable", person.name)
                self._provision("user", "bind", person.name, "kiosk-2")
                ledger.enabled[person.name], ledger.macs[person.name] = True, set(MACS.values())
            name = f"guest {number}"
            ticket = self._provision("user", "invite", name, "--kiosk", "kiosk-1", "--kiosk", "kiosk-2")["ticket"]
            with self.lock:
                self.tickets.append((name, ticket))
            reads = (("user", "list"), ("kiosk", "list"), ("audit", "list"), ("user", "unlock", person.name))
            self._provision(*reads[number % len(reads)])
            number += 1

    def _keep_keys(self) -> None:
        """An administrator of the keys: rotate, check, back up, verify, add somebody, over and over."""
        folder, number = self.house.site.folder, 0
        backups = folder / "backups"
        backups.mkdir()
        while self._is_on:
            self._provision("keys", "rotate", "field", "--yes")
            self._provision("audit", "verify")
            name = f"added {number}"
            self.house.site.add_user(name, PASSWORD, list(self.house.poses), ["kiosk-1"])
            self.ledger.added.add(name)
            self._provision("keys", "check")
            self._provision("backup", "make", "--to", str(backups), "--keep", "2")
            number += 1


_HASH = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(12))


@pytest.mark.slow
def test_nobody_waits_for_the_store_and_nothing_acknowledged_is_lost(busy_house: House) -> None:
    assert len(busy_house.worker_pids()) == 2
    load = Load(busy_house)
    load.run()
    ledger = load.ledger
    print(json.dumps({"answers": ledger.answers, "acts": ledger.acts}, indent=1, sort_keys=True))
    assert ledger.faults == []
    assert ledger.answers["login: granted"] and ledger.answers["confirm: granted"]

    log = busy_house.site.server_log.read_text()
    for word in ("database is locked", "StoreError", "incident", "Traceback"):
        assert word not in log, next(line for line in log.splitlines() if word in line)

    with busy_house.store() as (database, keyring):
        _compare(busy_house, ledger, database, keyring)

    rows = busy_house.rows()
    written = Counter(f"{row.action}: {row.reason}" for row in rows if row.action in set(SUBMISSIONS))
    assert written == ledger.answers, "each submission has one row"
    succeeded = Counter(row.action for row in rows if row.success)
    for act in ("disable", "enable", "bind", "unbind", "invite", "unlock"):
        assert succeeded[f"admin.user.{act}"] == ledger.acts[f"user {act}"], act
    assert succeeded["admin.user.add"] == len(ledger.added)

    assert busy_house.verify().ok
    assert busy_house.site.provision("audit", "verify")
    assert busy_house.site.provision("keys", "check")


def _compare(house: House, ledger: Ledger, database: Any, keyring: Any) -> None:
    """Every acknowledged effect is in the store."""
    from auth_server.accounts import Accounts

    accounts = Accounts(database, keyring.field, house.face.template.model)
    standing = {account.username: account for account in accounts.list()}
    assert ledger.registered | ledger.added <= set(standing)
    guests = {name for name in standing if name.startswith(("guest ", "added "))}
    assert guests == ledger.registered | ledger.added, "somebody has an account whom nobody was told of"
    for name, is_on in ledger.enabled.items():
        assert standing[name].enabled is is_on, name
        assert standing[name].mac_addresses == ledger.macs[name], name
    for name, secret in ledger.secrets.items():
        assert accounts.enrolment(name).totp_secret == secret, name
    changed = [name for name, password in ledger.passwords.items() if password != PASSWORD]
    for name in (changed + [name for name in ledger.passwords if name not in changed])[:CHECKED_PASSWORDS]:
        password_hash = accounts.enrolment(name).password_hash
        assert bcrypt.checkpw(ledger.passwords[name].encode(), password_hash), name
