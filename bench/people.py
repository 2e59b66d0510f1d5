"""Enrolled people and simulated kiosks in numbers, put straight into the store of a throw-away site.

One person can be granted three logins in a row: the codes of the step before, of this one and of
the next. So many people are needed to keep a server busy, and they share one password hash,
because making 0.2 s hashes is not what is measured.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pyotp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_client.client import AuthClient, real_surroundings
from auth_client.settings import ServerSettings
from auth_server.accounts import Accounts, NewAccount
from auth_server.bootstrap import load_settings
from auth_server.face.engine import FaceEngine
from auth_server.keyring import Keyring
from auth_server.kiosks import Kiosks
from auth_server.password_policy import hash_password
from auth_server.store.database import open_database
from demo.site import Site

PASSWORD = "Bench-marked 1"  # noqa: S105 - of made-up people
_STEP_S = 30


@dataclass
class Person:
    """One enrolled person. Codes are handed out in order, each once."""

    name: str
    secret: str
    _next_step: int = 0

    def code(self) -> str | None:
        """A code that the server will accept once, or None until the clock has moved on."""
        now_step = int(datetime.now(UTC).timestamp()) // _STEP_S
        step = max(self._next_step, now_step - 1)
        if step > now_step + 1:
            return None
        self._next_step = step + 1
        return pyotp.TOTP(self.secret).at(step * _STEP_S)


@dataclass
class Crowd:
    """The people and kiosks of a bench. Every person is bound to every kiosk."""

    people: list[Person]
    kiosks: list["BenchKiosk"]
    frames: tuple[bytes, ...]


@dataclass(frozen=True)
class BenchKiosk:
    """A registered kiosk and its real client."""

    kiosk_id: str
    mac: str
    client: AuthClient


def enrol(
    site: Site, *, people: int, kiosks: int, scene: Path, frames: int, enrolled: Sequence[Path] = (), device: str = ""
) -> Crowd:
    """Put people and kiosks into the site's store; all of them look as the person of this scene does.

    They are enrolled from the last pictures of it or from those named, and bound to the MAC `device` too.
    """
    settings = load_settings(site.settings)
    keyring = Keyring.load(settings.store.keys)
    database = open_database(settings.store.database, keyring)
    engine = FaceEngine(settings.face)
    seen = [path.read_bytes() for path in sorted((scene / "rest").glob("*.jpg"))]
    face = engine.enrol([path.read_bytes() for path in enrolled] or seen[-3:])
    password_hash = hash_password(PASSWORD)
    accounts, registry = Accounts(database, keyring.field, engine.model), Kiosks(database)
    crowd = Crowd([], [], tuple(seen[:frames]))
    server = ServerSettings(url=f"https://127.0.0.1:{site.port}", pins=(site.pin,), read_timeout_s=60)
    for number in range(kiosks):
        key, kiosk_id, mac = Ed25519PrivateKey.generate(), f"bench-{number}", f"02:00:5e:20:00:{number:02x}"
        registry.add(kiosk_id, key.public_key().public_bytes_raw(), mac)
        crowd.kiosks.append(BenchKiosk(kiosk_id, mac, AuthClient(server, kiosk_id, key, real_surroundings())))
    macs = frozenset(kiosk.mac for kiosk in crowd.kiosks) | ({device} if device else set())
    for number in range(people):
        person = Person(f"person {number}", pyotp.random_base32())
        accounts.add(
            NewAccount(
                username=person.name,
                password_hash=password_hash,
                totp_secret=person.secret,
                totp_last_step=0,
                template=face.template,
                face_png=face.picture_png,
                mac_addresses=macs,
            ),
            datetime.now(UTC),
        )
        crowd.people.append(person)
    database.close()
    return crowd
