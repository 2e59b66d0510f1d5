"""A whole site of real processes: 4auth-server with two workers, 4auth-kiosk, the store on the disk.

Everything is made by the real commands, but for the people: they are put into the store directly,
with one face and one password hash for all, because enrolling them is not what is tested here.
"""

import base64
import hashlib
import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyotp
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from http_message_signatures import HTTPMessageSigner, MappingKeyResolver, algorithms

from auth_client.client import AuthClient, real_surroundings
from auth_client.settings import ServerSettings
from auth_contract import signing
from auth_contract.actions import Action
from auth_contract.messages import AttemptReply, LoginReply, LoginRequest
from auth_server.accounts import Accounts, NewAccount
from auth_server.audit import AuditLog, AuditRow, ChainReport, RowFilter
from auth_server.bootstrap import load_settings, new_token
from auth_server.checkpoints import Checkpoints
from auth_server.face.engine import EnrolledFace, FaceEngine
from auth_server.keyring import Keyring
from auth_server.password_policy import hash_password
from auth_server.store.database import Database, open_database
from demo import puppet
from demo.kiosk import Entry
from demo.kiosk import Kiosk as KioskProcess
from demo.pictures import acts_of, write_person
from demo.site import Site
from tests import postgres

if TYPE_CHECKING:
    from tests.e2e.gateways import Gate

PASSWORD = "Quiet marmot 42"
MACS = {"kiosk-1": "02:00:5e:10:00:01", "kiosk-2": "02:00:5e:10:00:02"}
PEOPLE = 150
_STEP_S = 30


@dataclass
class Person:
    """An enrolled person, who knows which codes were handed out already."""

    name: str
    secret: str = field(default_factory=pyotp.random_base32, repr=False)
    password: str = field(default=PASSWORD, repr=False)
    _next_step: int = 0

    def code(self) -> str:
        """A code that the server would accept and that was not used; there are up to three at a time."""
        now_step = int(time.time()) // _STEP_S
        # Not the step before: it may have passed by when the submission arrives.
        step = max(self._next_step, now_step)
        assert step <= now_step + 1, f"{self.name} has used up all codes of this half minute"
        self._next_step = step + 1
        return pyotp.TOTP(self.secret).at(step * _STEP_S)

    def has_code(self) -> bool:
        """Whether there is one left in this half minute."""
        return self._next_step <= int(time.time()) // _STEP_S + 1

    def wrong_code(self) -> str:
        """A code of no step near now."""
        near = {pyotp.TOTP(self.secret).at(int(time.time()) + _STEP_S * away) for away in range(-3, 4)}
        return next(code for code in ("271828", "314159", "161803", "141421") if code not in near)


@dataclass
class House:
    """The site, its people and its kiosks' keys; what a test does with them."""

    site: Site
    scene: Path
    poses: tuple[Path, ...]
    keys: dict[str, Ed25519PrivateKey]
    people: list[Person]
    face: EnrolledFace

    @property
    def picture(self) -> Path:
        """A picture of the face that all of them have; none of those from which it was enrolled, which are refused."""
        return self.scene / "rest" / "000.jpg"

    def pictures(self) -> tuple[bytes, ...]:
        """Five of it in several poses: for an enrolment."""
        return tuple(path.read_bytes() for path in self.poses)

    def person(self) -> Person:
        """Somebody whom no other test uses."""
        return self.people.pop()

    def enrol(self, person: Person, password_hash: bytes) -> Person:
        """Put another person into the store, with a password hash of the test's own."""
        with self.store() as (database, keyring):
            _add(Accounts(database, keyring.field, self.face.template.model), person, password_hash, self.face)
        return person

    def worker_pids(self) -> list[int]:
        """The server's worker processes."""
        assert self.site.server is not None
        pid = self.site.server.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def probe(self, path: str) -> tuple[int, str]:
        """What the local port says."""
        connection = http.client.HTTPConnection("127.0.0.1", self.site.health_port, timeout=10)
        with closing(connection):
            connection.request("GET", path)
            reply = connection.getresponse()
            return reply.status, reply.read().decode()

    def client(self, kiosk_id: str = "kiosk-1", **settings: Any) -> AuthClient:
        """A kiosk's real client, new and for one thread."""
        usual = {"url": self.site.url, "pins": (self.site.pin,), "read_timeout_s": 30, "retries": 0}
        server = ServerSettings(**{**usual, **settings})
        return AuthClient(server, kiosk_id, self.keys[kiosk_id], real_surroundings())

    def submission(
        self,
        attempt: AttemptReply,
        person: Person,
        code: str | None = None,
        *,
        kiosk_id: str = "kiosk-1",
        **changes: Any,
    ) -> LoginRequest:
        """All that is right, with changes."""
        fields = {
            "attempt_id": attempt.attempt_id,
            "username": person.name,
            "password": person.password,
            "totp": code or person.code(),
            "frames": (self.picture.read_bytes(),),
            "mac": MACS[kiosk_id],
            "client_ts_utc": datetime.now(UTC),
        }
        return LoginRequest(**{**fields, **changes})

    def login(
        self, person: Person, code: str | None = None, *, kiosk_id: str = "kiosk-1", **changes: Any
    ) -> LoginReply:
        """One login through the real client; raises what the client raises."""
        with closing(self.client(kiosk_id)) as client:
            attempt = client.open_attempt(Action.LOGIN)
            submission = self.submission(attempt, person, code, kiosk_id=kiosk_id, **changes)
            return client.submit(Action.LOGIN, submission, attempt.nonce)

    @contextmanager
    def kiosk_process(self, kiosk_id: str = "kiosk-1", **settings: Any) -> Iterator[KioskProcess]:
        """A running 4auth-kiosk with Ada before its camera."""
        usual = {"mac_override": MACS[kiosk_id], "capture": {"interval_s": 0.1}}
        kiosk = KioskProcess(self.site, kiosk_id, **{**usual, **settings})
        kiosk.show(self.scene)
        kiosk.start()
        try:
            yield kiosk
        finally:
            kiosk.stop()

    @contextmanager
    def store(self) -> Iterator[tuple[Database, Keyring]]:
        """The store and its keys, beside the server."""
        settings = load_settings(self.site.settings).store
        keyring = Keyring.load(settings.keys)
        database = open_database(settings.database, keyring)
        try:
            yield database, keyring
        finally:
            database.close()

    @staticmethod
    def entry(person: Person, code: str | None = None, password: str | None = None) -> Entry:
        """What a person types at a kiosk."""
        return Entry(person.name, password or person.password, code or person.code())

    @staticmethod
    def detail(row: AuditRow) -> dict[str, Any]:
        """What a row says besides its columns; a grant's has the assertion's id."""
        return dict(json.loads(row.detail or "{}"))

    @staticmethod
    def until(is_so: Callable[[], bool], within_s: float, what: str) -> None:
        """Poll until something is so; fail naming it when it takes too long."""
        ends = time.monotonic() + within_s
        while not is_so():
            assert time.monotonic() < ends, f"{what}: not within {within_s} s"
            time.sleep(0.02)

    def rows(self, username: str | None = None) -> list[AuditRow]:
        """Audit rows, newest first."""
        with self.store() as (database, _):
            return list(AuditLog(database).rows(RowFilter(username=username, limit=100_000)))

    def grants(self, username: str | None = None) -> list[AuditRow]:
        """The rows of granted logins, newest first."""
        return [row for row in self.rows(username) if row.success and row.action == "login"]

    def verify(self) -> ChainReport:
        """Check the whole chain and every checkpoint."""
        settings = load_settings(self.site.settings).store
        with self.store() as (database, keyring):
            checkpoints = Checkpoints.of(settings, keyring.audit)
            return checkpoints.verify(AuditLog(database).chain())


@dataclass
class Wire:
    """Raw bytes to the server and back, and the headers that a kiosk would sign."""

    house: House

    def signed(self, path: str, body: bytes, nonce: str) -> dict[str, str]:
        """The headers of a POST, signed by kiosk-1."""
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        headers = {"Content-Type": signing.CONTENT_TYPE, "Content-Digest": f"sha-256=:{digest}:"}
        message = SimpleNamespace(method="POST", url=f"https://127.0.0.1{path}", headers=headers)
        resolver = MappingKeyResolver(public_keys={}, private_keys={"kiosk-1": self.house.keys["kiosk-1"]})
        HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=resolver).sign(
            message,
            key_id="kiosk-1",
            created=datetime.now(UTC),
            nonce=nonce,
            label=signing.LABEL,
            tag=signing.TAG,
            covered_component_ids=signing.COVERED_COMPONENTS,
            use_existing_digest=True,
        )
        return dict(message.headers)

    def connect(self) -> ssl.SSLSocket:
        """A connection that looks at no pin."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(socket.create_connection(("127.0.0.1", self.house.site.port), timeout=30))

    def send(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, Any]]:
        """Send a POST as given and read the reply to the end."""
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        with closing(self.connect()) as connection:
            connection.sendall(head.encode("latin-1") + b"\r\n" + body)
            return self.read(connection)

    def post(self, path: str, body: bytes, nonce: str | None = None) -> tuple[int, dict[str, Any]]:
        """Send a signed POST."""
        headers = self.signed(path, body, nonce or new_token())
        return self.send(path, {**headers, "Content-Length": str(len(body))}, body)

    @staticmethod
    def read(connection: ssl.SSLSocket) -> tuple[int, dict[str, Any]]:
        """The status and the JSON of a reply, read until the server closes."""
        text = b""
        while chunk := connection.recv(65536):
            text += chunk
        head, _, body = text.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body) if b"application/json" in head else {}


@pytest.fixture
def wire(house: House) -> Wire:
    """Requests by hand to the running server."""
    return Wire(house)


@pytest.fixture(scope="session")
def ada_folder(tmp_path_factory: pytest.TempPathFactory, models_folder: Path) -> Path:
    """NASA's portrait of an astronaut, in the public domain: `poses`; `scene` and `turning` for a camera."""
    folder = tmp_path_factory.mktemp("ada")
    enrolled, person = puppet.ada(models_folder, seed=5), puppet.ada(models_folder, seed=6, day=1)
    puppet.write(folder / "poses", enrolled.poses())
    turning = [picture for who in (enrolled, enrolled, *[person] * 4) for picture in who.poses()]
    puppet.write(folder / "turning" / "rest", turning)
    write_person(folder / "scene", person.rest(30), acts_of(person))
    return folder


@pytest.fixture(scope="session")
def made_house(
    tmp_path_factory: pytest.TempPathFactory, models_folder: Path, ada_folder: Path, request: pytest.FixtureRequest
) -> Iterator[House]:
    """A site with two kiosks and many people, its server not running yet.

    It asks for no movements, which would only take time; `test_presence.py` has a site that does.
    """
    site = Site(tmp_path_factory.mktemp("house"), models_folder.absolute(), name="house", presence="passive")
    if postgres.IS_WANTED:
        server: postgres.Server = request.getfixturevalue("postgresql_server")
        site.postgresql = server.url(server.new())
    # A killed server cannot tidy up: its temporary folders go where pytest's go.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        yield from house_of(site, ada_folder)


def house_of(site: Site, ada_folder: Path, people: int = PEOPLE) -> Iterator[House]:
    site.init()
    # Here one address stands for a whole fleet, and all people have one face.
    text = site.settings.read_text().replace("threads = 8\n", "threads = 8\nconnections_per_address = 100\n")
    site.settings.write_text(text.replace("\npresence = ", "\nrefuse_duplicates = false\npresence = "))
    keys: dict[str, Ed25519PrivateKey] = {}
    for kiosk_id, mac in MACS.items():
        site.register(kiosk_id, KioskProcess(site, kiosk_id, mac_override=mac).settings)
        key = load_pem_private_key((site.folder / kiosk_id / "key" / "device.pem").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey)
        keys[kiosk_id] = key
    engine = FaceEngine(load_settings(site.settings).face)
    poses = tuple(sorted((ada_folder / "poses").iterdir()))
    house = House(site, ada_folder / "scene", poses, keys, [], engine.enrol([path.read_bytes() for path in poses]))
    _fill(house, people)
    try:
        yield house
    finally:
        site.kill_server()
    # Workers end a moment after the process that began them.
    House.until(lambda: _processes_of(site) == [], 30, "every process of the site has ended")


def houses_of(
    site: Site, ada_folder: Path, folders: Sequence[Path], *, people: int = PEOPLE, face: str = ""
) -> Iterator[list[House]]:
    """The same house at a server of the site's and at one in each folder, with a worker each; `face` is one setting."""
    for first in house_of(site, ada_folder, people):
        text = site.settings.read_text().replace("workers = 2", "workers = 1")
        site.settings.write_text(text.replace("\npresence =", f"\n{face}\npresence ="))
        made = [first, *(replace(first, site=site.sibling(folder)) for folder in folders)]
        try:
            for house in made:
                house.site.start_server()
            yield made
        finally:
            for house in made:
                house.site.kill_server()


def _processes_of(site: Site) -> list[bytes]:
    """The command lines of running processes that name this site's folder."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended meanwhile
            lines.append(path.read_bytes())
    return [line for line in lines if str(site.folder).encode() in line]


@pytest.fixture
def house(made_house: House) -> House:
    """The site with its server running."""
    if made_house.site.server is None or made_house.site.server.poll() is not None:
        made_house.site.start_server()
    return made_house


@pytest.fixture(scope="session")
def house_with_gate(
    tmp_path_factory: pytest.TempPathFactory, models_folder: Path, ada_folder: Path
) -> "Iterator[Gate]":
    """A site that asks people for movements at its kiosks, and lets clients of its gateway in without them."""
    from tests.e2e.gateways import made_gate

    site = Site(tmp_path_factory.mktemp("gated"), models_folder.absolute(), name="gated", presence="both")
    for house in house_of(site, ada_folder, people=0):
        gate = made_gate(house)
        yield gate
        gate.kill()


@pytest.fixture(scope="module")
def gate(house_with_gate: "Gate") -> "Iterator[Gate]":
    """The gateway and its server, both running; neither runs for other modules."""
    house_with_gate.site.start_server()
    house_with_gate.start()
    yield house_with_gate
    house_with_gate.kill()
    house_with_gate.site.stop_server()


def _fill(house: House, people: int) -> None:
    password_hash = hash_password(PASSWORD)
    with house.store() as (database, keyring):
        accounts = Accounts(database, keyring.field, house.face.template.model)
        for number in range(people):
            person = Person(f"person {number}")
            _add(accounts, person, password_hash, house.face)
            house.people.append(person)


def _add(accounts: Accounts, person: Person, password_hash: bytes, face: EnrolledFace) -> None:
    account = NewAccount(
        username=person.name,
        password_hash=password_hash,
        totp_secret=person.secret,
        totp_last_step=0,
        template=face.template,
        face_png=face.picture_png,
        mac_addresses=frozenset(MACS.values()),
    )
    accounts.add(account, datetime.now(UTC))
