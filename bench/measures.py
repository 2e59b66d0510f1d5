"""The measurements. Each returns plain numbers in seconds; nothing here judges them."""

import contextlib
import http.client
import ssl
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median, quantiles

from auth_client.errors import Refused
from auth_contract import paths
from auth_contract.actions import Action
from auth_contract.messages import LoginRequest
from auth_server.face.engine import FaceEngine
from auth_server.factors import face, password
from auth_server.password_policy import hash_password
from auth_server.settings import FaceSettings
from bench.people import PASSWORD, BenchKiosk, Crowd, Person
from demo.site import Site
from kiosk_agent.errors import KioskAgentError


@dataclass(frozen=True)
class Times:
    """Samples of one thing, in seconds."""

    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle sample."""
        return median(self.samples)

    @property
    def p10(self) -> float:
        """Nine of ten samples are above."""
        return quantiles(self.samples, n=10)[0]

    @property
    def p90(self) -> float:
        """Nine of ten samples are below."""
        return quantiles(self.samples, n=10)[-1]


def timed(work: Callable[[], object], count: int) -> Times:
    """Do the work `count` times after one warm-up."""
    work()
    samples = []
    for _ in range(count):
        started = time.perf_counter()
        work()
        samples.append(time.perf_counter() - started)
    return Times(tuple(samples))


def bcrypt_check(count: int) -> Times:
    """One password check as the server does it."""
    stored = hash_password(PASSWORD)
    return timed(lambda: password.verify(claim=PASSWORD, enrolment=stored), count)


def face_pass(settings: FaceSettings, frames: Sequence[bytes], count: int) -> Times:
    """One face check of a submission's frames, from JPEG to verdict."""
    engine = FaceEngine(settings)
    enrolled = engine.enrol(list(frames[:1])).template

    def check() -> object:
        return face.verify(
            claim=engine.observe(frames),
            enrolment=enrolled,
            threshold=engine.threshold,
            presence_threshold=engine.presence_threshold,
        )

    return timed(check, count)


def log_in(kiosk: BenchKiosk, login: tuple[str, str, str], frames: tuple[bytes, ...]) -> float:
    """Open an attempt and submit it; the seconds of the submission, granted or denied."""
    name, secret, code = login
    attempt = kiosk.client.open_attempt(Action.LOGIN)
    submission = LoginRequest(
        attempt_id=attempt.attempt_id,
        username=name,
        password=secret,
        totp=code,
        frames=frames,
        mac=kiosk.mac,
        client_ts_utc=datetime.now(UTC),
    )
    started = time.perf_counter()
    try:
        kiosk.client.submit(Action.LOGIN, submission, attempt.nonce)
    except Refused as refused:
        if refused.reply.reason != "denied":
            raise
    return time.perf_counter() - started


def good_logins(people: Sequence[Person]) -> list[tuple[Person, str]]:
    """One (person, code) for each person who has a code left now."""
    return [(person, code) for person in people if (code := person.code()) is not None]


def latency(crowd: Crowd, count: int) -> Times:
    """Logins one after the other by one kiosk, as the kiosk sees them."""
    samples = []
    for person in crowd.people[:count]:
        samples.append(log_in(crowd.kiosks[0], (person.name, PASSWORD, person.code() or ""), crowd.frames))
    return Times(tuple(samples))


def throughput(crowd: Crowd) -> tuple[int, float]:
    """All kiosks at once, each taking the next login when its last is granted: (logins, seconds)."""
    waiting = deque(login for _ in range(2) for login in good_logins(crowd.people))
    count = len(waiting)

    def work(kiosk: BenchKiosk) -> None:
        with contextlib.suppress(IndexError):
            while True:
                person, code = waiting.popleft()
                log_in(kiosk, (person.name, PASSWORD, code), crowd.frames)

    started = time.perf_counter()
    with ThreadPoolExecutor(len(crowd.kiosks)) as pool:
        list(pool.map(work, crowd.kiosks))
    return count, time.perf_counter() - started


def known_and_unknown(crowd: Crowd, count: int) -> tuple[Times, Times]:
    """Denials of known and unknown names in turn, each name once so that nothing locks."""
    known, unknown = [], []
    for number, person in enumerate(crowd.people[:count]):
        known.append(log_in(crowd.kiosks[1], (person.name, "Wrong horse 7", "000000"), crowd.frames))
        unknown.append(log_in(crowd.kiosks[1], (f"nobody {number}", "Wrong horse 7", "000000"), crowd.frames))
    return Times(tuple(known)), Times(tuple(unknown))


def unsigned(site: Site, count: int) -> Times:
    """Refusals of an unsigned request over one kept connection."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = http.client.HTTPSConnection("127.0.0.1", site.port, context=context, timeout=30)

    def refuse() -> None:
        connection.request("POST", paths.LOGIN, b"{}", {"Content-Type": "application/json"})
        reply = connection.getresponse()
        reply.read()
        if reply.status != 401:
            raise KioskAgentError(f"an unsigned request was answered {reply.status}")

    times = timed(refuse, count)
    connection.close()
    return times


def resident_mb(pid: int) -> float:
    """The resident memory of a process, in MB of a million bytes."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise ProcessLookupError(pid)


def children(pid: int) -> list[int]:
    """The child processes of a process."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
