"""Simulated kiosks: the real client with a kiosk's own key, in a thread each, in a few processes.

Pictures are real and taken before. A person takes no time to move or to type, and is one of those who have a
code left: a code is taken once, so that each person is let in once in half a minute.
"""

import multiprocessing
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any, Final

import pyotp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_client.client import AuthClient, real_surroundings
from auth_client.errors import Refused, ReplyLost, ServerUnavailable
from auth_contract.actions import Action
from auth_contract.messages import LoginRequest
from bench.load.figures import GRANTED, Arrival, Login
from bench.load.fleet import Fleet, KioskPlan, PersonPlan
from bench.people import PASSWORD

LOST: Final = "reply lost"
UNREACHABLE: Final = "no connection"
COME_BACK: Final = "unavailable"
"""The reason with which a server that has all places taken tells people to come back."""

_STEP_S: Final = 30
_WITHOUT_A_WORD_S: Final = 2.0
"""After which somebody tries again whom no server told when to come back."""


class KioskFailed(Exception):
    """A simulated kiosk could not do what it was told; its words are the message."""


@dataclass(frozen=True, slots=True)
class Closed:
    """The first `kiosks` log in again and again until the end, each at one of the first `servers`."""

    kiosks: int
    servers: int
    ends: float


@dataclass(frozen=True, slots=True)
class Open:
    """People come as they are listed, counted from the beginning; who finds a kiosk taken waits for it."""

    kiosks: int
    servers: int
    begins: float
    arrivals: tuple[Arrival, ...]


Job = Closed | Open


@dataclass(frozen=True, slots=True)
class Work:
    """What a process did for a job."""

    logins: tuple[Login, ...]
    processor_s: float


class Kiosks:
    """All kiosks, at work in processes of their own from `with` on."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._pipes: list[Connection] = []
        self._processes: list[Any] = []

    def __enter__(self) -> "Kiosks":
        context = multiprocessing.get_context("spawn")
        for number in range(self._fleet.processes):
            ours, theirs = context.Pipe()
            process = context.Process(target=_obey, args=(theirs, self._fleet, number), daemon=True)
            process.start()
            theirs.close()
            self._pipes.append(ours)
            self._processes.append(process)
        self.finish()  # each says once that it is ready
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join(10)
            process.kill()

    def begin(self, job: Job) -> None:
        """Let all kiosks of a job work."""
        for pipe in self._pipes:
            pipe.send(job)

    def finish(self) -> Work:
        """Wait until each login that was begun has ended, and return what came of them. Raises KioskFailed."""
        found = [_received(pipe) for pipe in self._pipes]
        return Work(tuple(login for one in found for login in one.logins), sum(one.processor_s for one in found))


def _received(pipe: Connection) -> Work:
    try:
        found = pipe.recv()
    except EOFError as error:
        raise KioskFailed("a process of kiosks has ended") from error
    if not isinstance(found, Work):
        raise KioskFailed(str(found))
    return found


def _obey(pipe: Connection, fleet: Fleet, process: int) -> None:
    """A process of kiosks: does one job after the other until nobody is there to ask for more."""
    hall = _Hall(fleet, process)
    pipe.send(Work((), time.process_time()))
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        before = time.process_time()
        try:
            logins = hall.closed(job) if isinstance(job, Closed) else hall.open(job)
        except Exception as error:
            pipe.send(f"{type(error).__name__}: {error}")
            continue
        pipe.send(Work(logins, time.process_time() - before))


@dataclass
class _Person:
    """Somebody with a phone, who shows no code twice that may have been taken."""

    plan: PersonPlan
    frames: tuple[bytes, ...] = field(repr=False)
    next_step: int = 0

    def step(self, now: float) -> int | None:
        """The time step of the next code that a server takes for another half minute, or None."""
        step = max(self.next_step, int(now) // _STEP_S)
        return None if step > int(now) // _STEP_S + 1 else step


class _Hall:
    """The kiosks of one process, and the people who come to them."""

    def __init__(self, fleet: Fleet, process: int) -> None:
        self._fleet = fleet
        self._process = process
        pictures = {path: path.read_bytes() for person in fleet.people for path in person.frames}
        self._people = {
            person.name: _Person(person, tuple(pictures[path] for path in person.frames)) for person in fleet.people
        }

    def closed(self, job: Closed) -> tuple[Login, ...]:
        """See `Closed`. Who is told to come back does so when told, and not at once, until they are let in."""

        def work(kiosk: _Kiosk) -> list[Login]:
            found, due = list[Login](), time.monotonic()
            while time.monotonic() < job.ends:
                found.append(kiosk.log_in(due))
                if found[-1].outcome == GRANTED:
                    due = found[-1].ended
                time.sleep(max(0.0, min(kiosk.come_back_s, job.ends - time.monotonic())))
            return found

        return self._each(job, work)

    def open(self, job: Open) -> tuple[Login, ...]:
        """See `Open`. Who is refused goes away."""
        due: dict[int, list[float]] = {}
        for arrival in job.arrivals:
            due.setdefault(arrival.kiosk, []).append(job.begins + arrival.after)

        def work(kiosk: _Kiosk) -> list[Login]:
            found = []
            for moment in due.get(kiosk.number, ()):
                time.sleep(max(0.0, moment - time.monotonic()))
                found.append(kiosk.log_in(moment))
            return found

        return self._each(job, work)

    def _each(self, job: Job, work: Callable[["_Kiosk"], list[Login]]) -> tuple[Login, ...]:
        numbers = self._fleet.kiosks_in(self._process, job.kiosks)
        if not numbers:
            return ()

        def run(number: int) -> list[Login]:
            people = [self._people[person.name] for person in self._fleet.people_at(number, job.kiosks)]
            server = self._fleet.servers[number % job.servers]
            kiosk = self._fleet.kiosks[number]
            key = Ed25519PrivateKey.from_private_bytes(kiosk.key)
            with closing(AuthClient(server, kiosk.kiosk_id, key, real_surroundings())) as client:
                return work(_Kiosk(number, kiosk, client, deque(people)))

        with ThreadPoolExecutor(len(numbers)) as threads:
            return tuple(login for found in threads.map(run, numbers) for login in found)


@dataclass
class _Kiosk:
    """One kiosk at one server. `come_back_s` is how long the last answer told to wait, in seconds."""

    number: int
    plan: KioskPlan
    client: AuthClient
    people: deque[_Person]
    come_back_s: float = 0.0

    def log_in(self, due: float) -> Login:
        """Let somebody log in who has a code, for a person who came at `due`."""
        person, step = self._next()
        self.come_back_s, began = 0.0, time.monotonic()
        try:
            outcome = self._ask(person, pyotp.TOTP(person.plan.secret).at(step * _STEP_S))
        except Refused as refused:
            outcome = refused.reply.reason.value
            self.come_back_s = float(refused.reply.retry_after_s or 0)
        except ServerUnavailable as error:
            outcome = LOST if isinstance(error, ReplyLost) else UNREACHABLE
            self.come_back_s = _WITHOUT_A_WORD_S
        if outcome in {GRANTED, LOST}:
            person.next_step = step + 1
        return Login(self.number, due, began, time.monotonic(), outcome)

    def _ask(self, person: _Person, code: str) -> str:
        attempt = self.client.open_attempt(Action.LOGIN, person.plan.name)
        submission = LoginRequest(
            attempt_id=attempt.attempt_id,
            username=person.plan.name,
            password=PASSWORD,
            totp=code,
            frames=person.frames,
            mac=self.plan.mac,
            client_ts_utc=datetime.now(UTC),
        )
        return self.client.submit(Action.LOGIN, submission, attempt.nonce).outcome

    def _next(self) -> tuple[_Person, int]:
        """The next person with a code, who then goes to the end of the queue."""
        now = time.time()
        for _ in range(len(self.people)):
            person = self.people[0]
            self.people.rotate(-1)
            if (step := person.step(now)) is not None:
                return person, step
        raise KioskFailed(
            f"all {len(self.people)} people of {self.plan.kiosk_id} have used their codes of this half minute: "
            "enrol more of them"
        )
