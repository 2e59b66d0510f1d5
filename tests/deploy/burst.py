"""Logins of many people at once, in a process of its own on the kiosk's host, whatever happens to the server.

Run there by the release's own Python, in a folder with `burst.json`. Each login is a kiosk's: signed by the device
key, to the pinned server, and has what a site asks for that asks for no movements. Who was not let in tries again with
a fresh code, until the time is over. Every outcome is a line of JSON on standard output.
"""

import base64
import hashlib
import hmac
import json
import struct
import sys
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from auth_client.client import AuthClient, real_surroundings
from auth_client.device_key import load_or_make_key
from auth_client.errors import Refused
from auth_client.settings import ServerSettings
from auth_contract.actions import Action
from auth_contract.messages import LoginRequest

SETTINGS = Path("/etc/4auth/kiosk.toml")
MAC = Path("/sys/class/net/host0/address")
STEP_S = 30
PICTURES = 3
AGAIN_S = 1.0


class Phone:
    """An authenticator app that shows no code twice. A server takes those of the half minute before and after too."""

    def __init__(self, secret: str, next_step: int) -> None:
        self._secret = base64.b32decode(secret)
        self.next_step = next_step

    def code(self) -> str:
        """The next code; waits where it is of a half minute too far away."""
        step = max(self.next_step, int(time.time()) // STEP_S)
        time.sleep(max(0.0, (step - 1) * STEP_S - time.time()))
        self.next_step = step + 1
        digest = hmac.new(self._secret, struct.pack(">Q", step), hashlib.sha1).digest()
        (cut,) = struct.unpack_from(">I", digest, digest[-1] & 15)
        return f"{(cut & 0x7FFFFFFF) % 1_000_000:06}"


class Burst:
    """The people of one burst, and the kiosk through which they come."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._password = str(told["password"])
        seen = sorted(Path(told["seen"], "rest").glob("*.jpg"))
        self._frames = tuple(path.read_bytes() for path in seen[:PICTURES])
        self._ends = time.monotonic() + float(told["within_s"])
        kiosk = tomllib.loads(SETTINGS.read_text())
        self._kiosk_id = str(kiosk["kiosk_id"])
        self._server = ServerSettings(url=kiosk["server"]["url"], pins=tuple(kiosk["server"]["pins"]))
        self._key = load_or_make_key(Path(kiosk["key_file"]))

    def log_in(self, name: str, phone: Phone) -> None:
        """Log somebody in, again and again until they are let in, and tell what came of each try."""
        outcome = {"reason": "not tried"}
        while "granted" not in outcome and time.monotonic() < self._ends:
            try:
                outcome = {"granted": self._granted(name, phone)}
            except Refused as refused:
                outcome = {"reason": refused.reply.reason.value, "message": refused.reply.message}
            except Exception as error:  # whatever it is, it is an outcome
                outcome = {"reason": type(error).__name__, "message": str(error)}
            print(json.dumps({"name": name, "at": time.time(), **outcome}), flush=True)
            time.sleep(0 if "granted" in outcome else AGAIN_S)

    def _granted(self, name: str, phone: Phone) -> str:
        """The id of the assertion, as soon as a reply that grants is read."""
        with closing(AuthClient(self._server, self._kiosk_id, self._key, real_surroundings())) as client:
            attempt = client.open_attempt(Action.LOGIN, name)
            request = LoginRequest(
                attempt_id=attempt.attempt_id,
                username=name,
                password=self._password,
                totp=phone.code(),
                frames=self._frames,
                mac=MAC.read_text().strip(),
                client_ts_utc=datetime.now(UTC),
            )
            reply = client.submit(Action.LOGIN, request, attempt.nonce)
        claims = reply.assertion.split(".")[1]
        return str(json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))["jti"])


def main(folder: Path) -> None:
    """Log everybody in, so many at once as the folder's file says. Which codes were shown is kept for the next time."""
    told, shown = json.loads((folder / "burst.json").read_text()), folder / "shown.json"
    steps = json.loads(shown.read_text()) if shown.exists() else {}
    burst, phones = Burst(told), {name: Phone(secret, steps.get(name, 0)) for name, secret in told["people"]}
    with ThreadPoolExecutor(told["at_once"]) as crowd:
        for name, phone in phones.items():
            crowd.submit(burst.log_in, name, phone)
    shown.write_text(json.dumps({**steps, **{name: phone.next_step for name, phone in phones.items()}}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
