"""The servers under load: real ones of two workers each on one PostgreSQL database, with kiosks and people.

One limit is lifted, that of connections from one address, which stands for all kiosks here. The site asks for
passive presence, as movements would take a person's time.
"""

import re
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pyotp
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auth_client.settings import ServerSettings
from auth_server.accounts import Accounts, NewAccount
from auth_server.bootstrap import load_settings
from auth_server.face.engine import FaceEngine
from auth_server.keyring import Keyring
from auth_server.kiosks import Kiosks
from auth_server.password_policy import hash_password
from auth_server.store.database import Database, open_database
from bench.load.faces import Face, faces
from bench.load.fleet import Fleet, KioskPlan, PersonPlan, kiosks_of
from bench.load.shares import Shares
from bench.measures import children
from bench.people import PASSWORD
from bench.soak_figures import processor_s
from demo import postgresql
from demo.pictures import Pictures
from demo.site import Site, command

WORKERS: Final = 2
_STORE: Final = re.compile(r"^fourauth_store_seconds_sum\{.*\} (\S+)$", re.MULTILINE)
_STORE_FAULTS: Final = re.compile(r"^fourauth_store_faults_total (\S+)$", re.MULTILINE)
_GRANTED: Final = re.compile(r'^fourauth_outcomes_total\{action="login",reason="granted"\} (\S+)$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Taken:
    """The seconds of processor that each server and the database have taken since their start."""

    servers: tuple[float, ...]
    database: float

    def since(self, before: "Taken") -> "Taken":
        """What was taken from then to now."""
        servers = tuple(now - then for now, then in zip(self.servers, before.servers, strict=True))
        return Taken(servers, self.database - before.database)


@dataclass(frozen=True)
class Servers:
    """Running servers, their database and the fleet that knows them."""

    sites: tuple[Site, ...]
    database: postgresql.Server
    fleet: Fleet
    faces: int

    def taken(self) -> Taken:
        """Look at every process now."""
        pids = [site.server.pid for site in self.sites if site.server is not None]
        return Taken(tuple(map(_processor_s, pids)), _processor_s(self.database.pid))

    def store_s(self) -> float:
        """All the time that the servers were in transactions, the wait for a turn included, by their own metrics."""
        return sum(self._told(_STORE))

    def granted(self) -> int:
        """Logins that the servers have granted since their start, by their own metrics."""
        return round(sum(self._told(_GRANTED)))

    def store_faults(self) -> int:
        """Transactions that the store did not do, for one that waited 5 s for its turn too, by their own metrics."""
        return round(sum(self._told(_STORE_FAULTS)))

    def _told(self, metric: re.Pattern[str]) -> list[float]:
        return [float(value) for site in self.sites for value in metric.findall(_metrics(site))]


@dataclass(frozen=True)
class Wanted:
    """How large it all is. `steps` are the numbers of kiosks that will be at work, `people` a folder of more faces."""

    servers: int
    steps: tuple[int, ...]
    enrolled: int
    processes: int
    people: Path | None


@contextmanager
def serving(folder: Path, models: Path, pictures: Pictures, wanted: Wanted, shares: Shares) -> Iterator[Servers]:
    """Make the site and start its servers, each in its share. Raises CommandFailed, FacesMissing."""
    with ExitStack() as ends:
        database = ends.enter_context(postgresql.Server.running())
        first = Site(
            _made(folder / "1"), models, name="load", presence="passive", postgresql=database.url(database.new())
        )
        first.init()
        _settle(first)
        others = [first.sibling(_made(folder / str(number))) for number in range(2, wanted.servers + 1)]
        sites = (first, *others)
        fleet, number_of_faces = _enrolled(sites, pictures, wanted)
        for number, site in enumerate(sites):
            ends.callback(site.kill_server)
            site.start_server(*shares.within(number), command("4auth-server"))
        shares.limit()
        yield Servers(sites, database, fleet, number_of_faces)


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _settle(site: Site) -> None:
    """Write down the workers, so that a new default changes no figure, and let one address be a fleet."""
    text, count = re.subn(
        r"^workers = \d+$",
        f"workers = {WORKERS}\nconnections_per_address = 10000",
        site.settings.read_text(),
        flags=re.M,
    )
    if count != 1:
        raise ValueError(f"{site.settings} does not name its workers once")
    site.settings.write_text(text)


def _enrolled(sites: Sequence[Site], pictures: Pictures, wanted: Wanted) -> tuple[Fleet, int]:
    settings = load_settings(sites[0].settings)
    keyring = Keyring.load(settings.store.keys)
    database = open_database(settings.store.database, keyring)
    try:
        engine = FaceEngine(settings.face)
        seen = faces(engine, pictures, wanted.people)
        kiosks = _kiosks(database, max(wanted.steps))
        people = _people(Accounts(database, keyring.field, engine.model), kiosks, seen, wanted)
    finally:
        database.close()
    servers = tuple(ServerSettings(url=f"https://127.0.0.1:{site.port}", pins=(site.pin,)) for site in sites)
    return Fleet(kiosks, people, servers, wanted.processes), len(seen)


def _kiosks(database: Database, count: int) -> tuple[KioskPlan, ...]:
    registry, made = Kiosks(database), []
    for number in range(count):
        key = Ed25519PrivateKey.generate()
        plan = KioskPlan(f"load-{number}", f"02:00:5e:20:{number >> 8:02x}:{number & 255:02x}", key.private_bytes_raw())
        registry.add(plan.kiosk_id, key.public_key().public_bytes_raw(), plan.mac)
        made.append(plan)
    return tuple(made)


def _people(
    accounts: Accounts, kiosks: Sequence[KioskPlan], seen: Sequence[Face], wanted: Wanted
) -> tuple[PersonPlan, ...]:
    """Enrol people, with one password hash for all: making 0.2 s hashes is not what is measured."""
    password_hash, made = hash_password(PASSWORD), []
    for number, stands_at in enumerate(kiosks_of(wanted.enrolled, wanted.processes, wanted.steps)):
        face = seen[number % len(seen)]
        plan = PersonPlan(f"person {number}", pyotp.random_base32(), face.frames)
        account = NewAccount(
            username=plan.name,
            password_hash=password_hash,
            totp_secret=plan.secret,
            totp_last_step=0,
            template=face.enrolled.template,
            face_png=face.enrolled.picture_png,
            mac_addresses=frozenset(kiosks[kiosk].mac for kiosk in stands_at),
        )
        accounts.add(account, datetime.now(UTC))
        made.append(plan)
    return tuple(made)


def _processor_s(pid: int) -> float:
    return processor_s(pid) + sum(map(processor_s, children(pid)))


def _metrics(site: Site) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{site.health_port}/metrics", timeout=10) as reply:
        return str(reply.read().decode())
