"""Logins of many people, in a process of its own on the kiosk's host, whatever happens to the server.

Run there by the release's own Python, in a folder with `load.json`. Each login is a kiosk's: signed by the device key,
to the pinned server, and its assertion is proved by the server's keys. Settings and key are read anew each time. Every
outcome is a line of JSON on standard output.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys
import threading
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog

from auth_client.client import AuthClient, real_surroundings
from auth_client.device_key import load_or_make_key
from auth_client.errors import Refused
from auth_client.settings import ServerSettings
from auth_contract.actions import Action
from auth_contract.messages import AttemptReply, LoginRequest
from kiosk_agent.assertion import AssertionVerifier

SETTINGS = Path("/etc/4auth/kiosk.toml")
MAC = Path("/sys/class/net/host0/address")
STEP_S = 30
PICTURES = 3
AGAIN_S = 1.0
TYPING_S = 0.5
"""Between an attempt's opening and its submission, so that faults fall between the two as well."""


class Person:
    """Somebody of the crowd, with a phone that shows no code twice."""

    def __init__(self, name: str, secret: str, next_step: int) -> None:
        self.name, self.next_step = name, next_step
        self._secret = base64.b32decode(secret)

    def has_code(self) -> bool:
        """Whether the phone shows a code of now that was not used."""
        return self.next_step <= int(time.time()) // STEP_S

    def code(self) -> str:
        """The next code; waits where a server would not take it yet, which takes that of the next half minute too."""
        step = max(self.next_step, int(time.time()) // STEP_S)
        time.sleep(max(0.0, (step - 1) * STEP_S - time.time()))
        self.next_step = step + 1
        digest = hmac.new(self._secret, struct.pack(">Q", step), hashlib.sha1).digest()
        (cut,) = struct.unpack_from(">I", digest, digest[-1] & 15)
        return f"{(cut & 0x7FFFFFFF) % 1_000_000:06}"


class Kiosk:
    """The kiosk through which they come, and before whose camera all look alike."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._password, self._patience_s = str(told["password"]), float(told["patience_s"])
        seen = sorted(Path(told["seen"], "rest").glob("*.jpg"))
        self._frames = tuple(path.read_bytes() for path in seen[:PICTURES])
        self._verifier: AssertionVerifier | None = None

    def log_in(self, person: Person) -> bool:
        """Log somebody in, tell what came of it, and return whether they were let in."""
        code, began = person.code(), time.time()
        try:
            outcome = {"granted": self._granted(person, code)}
        except Refused as refused:
            outcome = {"reason": refused.reply.reason.value, "message": refused.reply.message}
        except Exception as error:  # whatever it is, it is an outcome
            outcome = {"reason": type(error).__name__, "message": str(error)}
        took_s = round(time.time() - began, 2)
        print(json.dumps({"name": person.name, "began": began, "took_s": took_s, **outcome}), flush=True)
        return "granted" in outcome

    def _granted(self, person: Person, code: str) -> str:
        """The id of the assertion, as soon as a reply that grants is read and proved."""
        told = tomllib.loads(SETTINGS.read_text())
        with closing(self._client()) as client:
            attempt = client.open_attempt(Action.LOGIN, person.name)
            request = self._request(attempt, person, code)
            time.sleep(TYPING_S)
            reply = client.submit(Action.LOGIN, request, attempt.nonce)
        # One that lives long, as a kiosk's does: it has the keys of before.
        self._verifier = self._verifier or AssertionVerifier(self._keys, site=told["site"], kiosk_id=told["kiosk_id"])
        now = datetime.now(UTC)
        return self._verifier.verify(reply.assertion, username=person.name, nonce=attempt.nonce, now=now).jti

    def _keys(self) -> Any:
        with closing(self._client()) as client:
            return client.jwks()

    def _client(self) -> AuthClient:
        told = tomllib.loads(SETTINGS.read_text())
        server = ServerSettings(
            url=told["server"]["url"], pins=tuple(told["server"]["pins"]), read_timeout_s=self._patience_s
        )
        return AuthClient(server, told["kiosk_id"], load_or_make_key(Path(told["key_file"])), real_surroundings())

    def _request(self, attempt: AttemptReply, person: Person, code: str) -> LoginRequest:
        return LoginRequest(
            attempt_id=attempt.attempt_id,
            username=person.name,
            password=self._password,
            totp=code,
            frames=self._frames,
            mac=MAC.read_text().strip(),
            client_ts_utc=datetime.now(UTC),
        )


def each_until_let_in(kiosk: Kiosk, people: list[Person], within_s: float, crowd: ThreadPoolExecutor) -> None:
    """Let everybody try again and again, until they were let in or the time is over."""
    ends = time.monotonic() + within_s

    def come(person: Person) -> None:
        while time.monotonic() < ends and not kiosk.log_in(person):
            time.sleep(AGAIN_S)

    for person in people:
        crowd.submit(come, person)


def one_a_second(kiosk: Kiosk, people: list[Person], places: int, crowd: ThreadPoolExecutor) -> None:
    """Begin one login each second until standard input ends; more slowly where as many as may are under way."""
    ended, free = threading.Event(), threading.BoundedSemaphore(places)
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()

    def come(person: Person) -> None:
        with free:
            kiosk.log_in(person)

    turn = 0
    while not ended.wait(1.0):
        free.acquire()
        free.release()
        person = next(one for one in people[turn:] + people[:turn] if one.has_code())
        turn = (people.index(person) + 1) % len(people)
        crowd.submit(come, person)


def main(folder: Path) -> None:
    """Log people in as the folder's file says. Which codes were shown is kept for the next time."""
    told, shown = json.loads((folder / "load.json").read_text()), folder / "shown.json"
    steps = json.loads(shown.read_text()) if shown.exists() else {}
    kiosk, people = Kiosk(told), [Person(name, secret, steps.get(name, 0)) for name, secret in told["people"]]
    with ThreadPoolExecutor(told["at_once"]) as crowd:
        if told["within_s"] is None:
            one_a_second(kiosk, people, told["at_once"], crowd)
        else:
            each_until_let_in(kiosk, people, told["within_s"], crowd)
    shown.write_text(json.dumps({**steps, **{person.name: person.next_step for person in people}}))


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())  # what is printed are outcomes alone
    main(Path(sys.argv[1]))
