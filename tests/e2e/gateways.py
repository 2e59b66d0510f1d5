"""A gateway before a house: people who may come through it, its process, and plain clients of it."""

import os
import signal
import subprocess
import tomllib
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from auth_server.accounts import Accounts, NewAccount
from auth_server.domain import Template
from auth_server.gateway_names import GatewayNames
from auth_server.password_policy import hash_password
from demo.site import Site, command, toml
from tests.e2e.conftest import MACS, PASSWORD, House, Person
from tests.e2e.plain_client import Closed, PlainClient

GATE_ID = "gateway"
DEVICE, OTHER_DEVICE = "02:00:5e:20:00:01", "02:00:5e:20:00:02"
"""Of machines that are no kiosk's."""

READY_WITHIN_S = 30.0
LIMITS: dict[str, Any] = {"requests_per_address_s": 1000.0, "requests_burst": 10_000, "requests_per_address": 100}
"""As tests want them, which are one address."""

CROWDS = {"": 200, "of another face": 8, "at kiosks too": 6, "not listed": 3}
"""How many people of each kind there are."""


@dataclass
class Gate:
    """A gateway's folder, its process, and what a test does with them."""

    house: House
    admin_secret: str = field(repr=False)
    process: "subprocess.Popen[bytes] | None" = None
    people: dict[str, list[Person]] = field(default_factory=lambda: defaultdict(list))

    @property
    def site(self) -> Site:
        """The site that it is a gateway of."""
        return self.house.site

    # Its process

    def write_settings(self, **sections: Any) -> Path:
        """Its settings, as `site init` wrote them, but for limits; `sections` add members to its sections."""
        members = tomllib.loads(self.site.gateway_settings.read_text())
        path = self.site.folder / "gateway.toml"
        for name, changes in {"limits": {}, **sections}.items():
            members[name] = {**members.get(name, LIMITS), **changes}
        path.write_text(toml(members))
        return path

    def start(self, **sections: Any) -> None:
        """Start it and wait until it takes connections."""
        settings = self.write_settings(**sections)
        with self.site.gateway_log.open("ab") as log:
            self.process = subprocess.Popen(
                [command("4auth-gateway"), "--settings", str(settings)], stdout=log, stderr=log, start_new_session=True
            )
        House.until(self._is_ready, READY_WITHIN_S, "the gateway takes connections")
        House.until(lambda: self.metric("fourauth_gateway_connections") == 0, READY_WITHIN_S, "it has none left")

    def _is_ready(self) -> bool:
        assert self.process is not None and self.process.poll() is None, self.site.gateway_log.read_text()[-600:]
        try:
            self.client().close()
        except (OSError, Closed):
            return False
        return True

    def stop(self) -> int:
        """End it as an operator would, and return its exit code."""
        process, self.process = self.process, None
        if process is None:
            return 0
        process.send_signal(signal.SIGTERM)
        return process.wait(60)

    def kill(self) -> None:
        """End it as a power cut would."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(60)
        self.process = None

    def files(self) -> int:
        """How many descriptors its process has open."""
        assert self.process is not None
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def memory_kib(self) -> int:
        """How much memory its process has in use."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0])

    def metric(self, name: str) -> float:
        """What its page for Prometheus says of one series; 0 where it says nothing."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.site.gateway_health_port}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name} ")), 0.0)

    def is_asking(self) -> bool:
        """Whether it has a connection to the server open."""
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        return any(line.split()[2].endswith(f":{self.site.port:04X}") and line.split()[3] == "01" for line in lines)

    def client(self, **options: Any) -> PlainClient:
        """A new connection."""
        return PlainClient(self.site.gateway_port, self.site.gateway_certificate, **options)

    @contextmanager
    def running(self, **sections: Any) -> Iterator[None]:
        """Itself with other settings; afterwards it does not run."""
        self.kill()
        self.start(**sections)
        try:
            yield
        finally:
            self.kill()

    # Its site

    @contextmanager
    def site_settings(self, **changes: Any) -> Iterator[None]:
        """The server started anew with other members of its section [gateway], and as before afterwards."""
        text = self.site.settings.read_text()
        head = text.rpartition("\n[gateway]")[0]
        self.site.stop_server()
        self.site.settings.write_text(head + toml({"gateway": OPEN | changes}))
        self.site.start_server()
        try:
            yield
        finally:
            self.site.stop_server()
            self.site.settings.write_text(text)
            self.site.start_server()

    def person(self, kind: str = "") -> Person:
        """Somebody whom no other test uses, of one of the kinds of `CROWDS`."""
        return self.people[kind].pop()

    def newcomer(self) -> Person:
        """A name that may come through and has no account."""
        return self.people["new"].pop()

    def populate(self) -> None:
        """Put all kinds of people into the store, and the names on the gateway's list."""
        house, password_hash, now = self.house, hash_password(PASSWORD), datetime.now(UTC)
        other = np.random.default_rng(1).normal(size=512)
        embedding = (other / np.linalg.norm(other)).astype("<f4").tobytes()
        with house.store() as (database, keyring):
            accounts, names = Accounts(database, keyring.field, house.face.template.model), GatewayNames(database)
            for kind, count in CROWDS.items():
                template = (
                    house.face.template if kind != "of another face" else Template(house.face.template.model, embedding)
                )
                macs = frozenset({DEVICE, *(MACS.values() if kind == "at kiosks too" else ())})
                for number in range(count):
                    person = Person(f"{kind or 'client'} {number}")
                    self.people[kind].append(person)
                    accounts.add(
                        NewAccount(
                            username=person.name,
                            password_hash=password_hash,
                            totp_secret=person.secret,
                            totp_last_step=0,
                            template=template,
                            face_png=house.face.picture_png,
                            mac_addresses=macs,
                        ),
                        now,
                    )
                    if kind != "not listed":
                        names.allow(person.name)
            for number in range(20):
                self.people["new"].append(Person(f"newcomer {number}"))
                names.allow(f"newcomer {number}")


def made_gate(house: House) -> Gate:
    """Register a gateway at a house whose server does not run yet, and let it in."""
    site = house.site
    site.let_gateway_in(users="listed")
    added = site.provision("admin", "add", "grace", "--role", "admin")
    gate = Gate(house, str(added["admin"]["secret"]))
    gate.populate()
    return gate


OPEN = {"enabled": True, "users": "listed", "passive_alone": True, "recoveries": True}
"""The site's section, so that everything that is listed may come through."""
