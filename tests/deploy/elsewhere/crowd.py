"""People who log in one after another, over the lab's network: `python -m tests.deploy.elsewhere.crowd PLAN`.

Prints a line of JSON for each login once its answer is there, so what it printed before a power cut was acknowledged
before it. It goes on whatever the server does, until it is ended.
"""

import json
import sys
import threading
import time
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_client.client import AuthClient, real_surroundings
from auth_client.errors import Refused, ServerUnavailable
from auth_client.settings import ServerSettings
from auth_contract.actions import Action
from auth_contract.messages import LoginRequest
from demo.phone import Phone

_WAIT_S = 1.0


@dataclass(frozen=True)
class Answer:
    """How one login ended: `granted` with its assertion's id, `refused` with the reason, `lost` after it was sent.

    `away` says that no attempt could be opened, so that nothing of it was sent. `at` is this machine's time, in
    seconds, `took_s` what a kiosk waited.
    """

    kind: Literal["granted", "refused", "lost", "away"]
    what: str
    name: str
    at: float
    took_s: float


@dataclass
class Crowd:
    """`plan` has the server's `url` and `pin`, `kiosks` with `id`, `mac` and `key`, `people` as URIs by name,
    the `password` of all and a `picture` of the face that all have."""

    plan: dict[str, Any]

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._picture = Path(self.plan["picture"]).read_bytes()

    def run(self) -> None:
        """Log everybody in, one kiosk a thread and each with people of its own."""
        kiosks, people = self.plan["kiosks"], sorted(self.plan["people"].items())
        threads = [
            threading.Thread(target=self._at, args=(kiosk, people[number :: len(kiosks)]))
            for number, kiosk in enumerate(kiosks)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _at(self, kiosk: dict[str, str], people: list[tuple[str, str]]) -> None:
        phones = {name: Phone(uri) for name, uri in people}
        key = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(kiosk["key"]))
        settings = ServerSettings(
            url=self.plan["url"], pins=(self.plan["pin"],), connect_timeout_s=30, read_timeout_s=60, retries=0
        )
        while True:
            for name, phone in phones.items():
                with closing(AuthClient(settings, kiosk["id"], key, real_surroundings())) as client:
                    answer = self._log_in(client, name, phone, kiosk["mac"])
                self._tell(answer)
                if answer.kind != "granted":
                    time.sleep(_WAIT_S)

    def _log_in(self, client: AuthClient, name: str, phone: Phone, mac: str) -> Answer:
        began, is_sent = time.monotonic(), False

        def ended(kind: Literal["granted", "refused", "lost", "away"], what: str) -> Answer:
            return Answer(kind, what, name, time.time(), round(time.monotonic() - began, 3))

        try:
            attempt = client.open_attempt(Action.LOGIN)
            # The code not before: where nobody answers none is used up.
            submission = self._submission(attempt.attempt_id, name, phone.code(), mac)
            began, is_sent = time.monotonic(), True
            reply = client.submit(Action.LOGIN, submission, attempt.nonce)
        except Refused as refused:
            return ended("refused", refused.reply.reason.value)
        except ServerUnavailable as error:
            return ended("lost" if is_sent else "away", str(error))
        return ended("granted", jwt.decode(reply.assertion, options={"verify_signature": False})["jti"])

    def _submission(self, attempt_id: str, name: str, code: str, mac: str) -> LoginRequest:
        return LoginRequest(
            attempt_id=attempt_id,
            username=name,
            password=self.plan["password"],
            totp=code,
            frames=(self._picture,),
            mac=mac,
            client_ts_utc=datetime.now(UTC),
        )

    def _tell(self, answer: Answer) -> None:
        with self._lock:
            print(json.dumps(asdict(answer)), flush=True)


if __name__ == "__main__":
    Crowd(json.loads(Path(sys.argv[1]).read_text())).run()
