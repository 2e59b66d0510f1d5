"""Logins of a crowd, one begun each second, in a process of its own on the kiosk's host.

Run there by the release's own Python, in a folder with `crowd.json`: names and TOTP secrets. Each login is a kiosk's:
signed by the device key, to the pinned server, and its assertion is proved by the server's keys. Key and pins are read
anew each time. Every outcome is a line of JSON on standard output, until standard input ends.
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
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auth_client.client import AuthClient, real_surroundings
from auth_client.device_key import load_or_make_key
from auth_client.settings import ServerSettings
from auth_contract.actions import Action
from auth_contract.messages import AttemptReply, LoginRequest
from kiosk_agent.assertion import AssertionVerifier

SETTINGS = Path("/etc/4auth/kiosk.toml")
MAC = Path("/sys/class/net/host0/address")
STEP_S = 30
AT_ONCE = 6
"""As many as one worker of the server takes, so that nobody is told to come back for want of a place."""

TYPING_S = 0.5
"""Between an attempt's opening and its submission, so that restarts fall between the two as well."""


class Person:
    """Somebody of the crowd, with a phone that shows no code twice."""

    def __init__(self, name: str, secret: str) -> None:
        self.name = name
        self._secret = base64.b32decode(secret)
        self._last = 0

    def code(self) -> str | None:
        """A code that was not used, or None until the next half minute."""
        step = int(time.time()) // STEP_S
        if step <= self._last:
            return None
        self._last = step
        digest = hmac.new(self._secret, struct.pack(">Q", step), hashlib.sha1).digest()
        (cut,) = struct.unpack_from(">I", digest, digest[-1] & 15)
        return f"{(cut & 0x7FFFFFFF) % 1_000_000:06}"


class Crowd:
    """People who all look like the one before the kiosk's camera."""

    def __init__(self, people: list[Person], password: str, seen: Path) -> None:
        self._people, self._password = people, password
        self._frames = tuple(path.read_bytes() for path in sorted((seen / "rest").glob("*.jpg"))[:3])
        self._verifier: AssertionVerifier | None = None

    def next(self, number: int) -> tuple[Person, str]:
        """Whose turn it is, with a code."""
        return next((p, c) for p in self._people[number:] + self._people[:number] if (c := p.code()))

    def log_in(self, person: Person, code: str) -> None:
        """Log somebody in, and tell what came of it."""
        began = time.time()
        try:
            outcome = {"granted": self._granted(person, code)}
        except Exception as error:  # whatever it is, it is an outcome
            outcome = {"failed": f"{type(error).__name__}: {error}"}
        line = {"name": person.name, "began": began, "took_s": round(time.time() - began, 2), **outcome}
        print(json.dumps(line), flush=True)

    def _granted(self, person: Person, code: str) -> str:
        told = tomllib.loads(SETTINGS.read_text())
        server = _patient(told["server"])
        key = load_or_make_key(Path(told["key_file"]))
        with closing(AuthClient(server, told["kiosk_id"], key, real_surroundings())) as client:
            attempt = client.open_attempt(Action.LOGIN, person.name)
            request = self._request(attempt, person, code)
            time.sleep(TYPING_S)
            reply = client.submit(Action.LOGIN, request, attempt.nonce)
            # One that lives long, as a kiosk's does: it has the keys of before.
            self._verifier = self._verifier or AssertionVerifier(
                lambda: self._keys(told["kiosk_id"], key), site=told["site"], kiosk_id=told["kiosk_id"]
            )
            now = datetime.now(UTC)
            return self._verifier.verify(reply.assertion, username=person.name, nonce=attempt.nonce, now=now).jti

    def _keys(self, kiosk_id: str, key: Any) -> Any:
        told = tomllib.loads(SETTINGS.read_text())["server"]  # the pins of now
        with closing(AuthClient(_patient(told), kiosk_id, key, real_surroundings())) as client:
            return client.jwks()

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


def _patient(told: dict[str, Any]) -> ServerSettings:
    """Waits longer than a kiosk, so that what is late and what is refused can be told apart."""
    return ServerSettings(url=told["url"], pins=tuple(told["pins"]), read_timeout_s=60)


def main(folder: Path) -> None:
    """Log in once a second until standard input ends, and wait for the last."""
    told = json.loads((folder / "crowd.json").read_text())
    crowd = Crowd([Person(*one) for one in told["people"]], told["password"], Path(told["seen"]))
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    places = threading.BoundedSemaphore(AT_ONCE)

    def log_in(person: Person, code: str) -> None:
        with places:
            crowd.log_in(person, code)

    threads: list[threading.Thread] = []
    while not ended.wait(1.0):
        places.acquire()  # on a machine that is busy with something else they come more slowly
        places.release()
        turn = crowd.next(len(threads) % len(told["people"]))
        threads.append(threading.Thread(target=log_in, args=turn))
        threads[-1].start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
