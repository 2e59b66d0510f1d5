"""A gateway before a whole server, and hostile clients: whatever they send, others are served and nothing is left over.

Seconds here, two minutes by `make nightly`.
"""

import asyncio
import base64
import gc
import json
import queue
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs
from werkzeug.serving import make_server

from auth_client.client import AuthClient, Surroundings
from auth_client.settings import ServerSettings
from auth_contract.wire import WIRE_REQUESTS
from auth_server.accounts import NewAccount
from auth_server.audit import RowFilter
from auth_server.bootstrap import new_token
from auth_server.domain import Template
from auth_server.gateway import answers
from auth_server.gateway.forwarding import Forwarder
from auth_server.gateway.server import Gateway
from auth_server.gateway.settings import GatewaySettings
from provisioning.tls import make_identity
from tests.auth_server.gateway.hostile import Stream, bent_requests, streams
from tests.auth_server.pipeline.conftest import (
    NEW_PASSWORD,
    PASSWORD,
    SECRET,
    NamedFaces,
    Site,
    embedding,
    picture,
    quick_hash,
)

DEVICE = "02:00:5e:20:00:01"
NIGHTLY = hypothesis.settings.get_current_profile_name() == "nightly"
EXAMPLES = 100 if NIGHTLY else 40
"""In a row, before time passes at the server and whoever is attacked begins with a clean slate."""

SEARCH_S = 60.0 if NIGHTLY else 2.0
"""For each of the two searches."""

POOLED = 16
"""Threads and descriptors that pools may come to keep; a leak grows with what is sent, which is hundreds."""


@dataclass
class Running:
    """A gateway in a thread of its own, and the server that it asks."""

    site: Site
    gateway: Gateway
    loop: asyncio.AbstractEventLoop
    port: int
    context: ssl.SSLContext

    def connect(self) -> ssl.SSLSocket:
        """A new connection."""
        return self.context.wrap_socket(socket.create_connection(("127.0.0.1", self.port), timeout=30))

    def tasks(self) -> int:
        """How many tasks its loop has."""
        return asyncio.run_coroutine_threadsafe(_count_tasks(), self.loop).result(30)

    def right(self, cmd: str, name: str = "ada") -> dict[str, Any]:
        """A request with all that its code asks for."""
        face = base64.b64encode(picture(name)).decode()
        told = {"username": name, "mac": DEVICE, "client_ts_utc": self.site.time.now().isoformat()}
        known = {"password": PASSWORD, "totp": self.site.code(), "faceID": face}
        return {
            "cmd": cmd,
            **told,
            **{
                "100": known,
                "200": {**known, "totp": "new", "admin_secret": "0" * 25, "username": "newcomer"},
                "300": {"password": PASSWORD, "faceID": face},
                "310": {"totp": known["totp"], "faceID": face, "new_password": NEW_PASSWORD},
                "320": {"password": PASSWORD, "totp": known["totp"], "new_faceID": face},
                "330": {**known, "new_mac": "02:00:5e:20:00:02"},
            }[cmd],
        }

    def begin(self) -> None:
        """Let time pass and ada start with a clean slate, so that the next search is judged as the first was."""
        self.site.time.moment += timedelta(minutes=2)
        self.site.services.authenticator.lockouts.unlock("ada")
        self.site.services.accounts.bind("ada", DEVICE, self.site.time.now())


async def _count_tasks() -> int:
    return len(asyncio.all_tasks()) - 1


@contextmanager
def serving(site: Site, folder: Path) -> Iterator[tuple[int, str]]:
    """The server's application behind real TLS, and the pin of its key."""
    identity = make_identity("test", "127.0.0.1", datetime.now(UTC))
    (folder / "server.pem").write_bytes(identity.key_pem + identity.certificate_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "server.pem")
    server = make_server("127.0.0.1", 0, site.client.application, threaded=True, ssl_context=context)
    thread = threading.Thread(target=server.serve_forever, name="server")
    thread.start()
    try:
        yield server.server_port, identity.pin
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def add_person(site: Site, name: str) -> None:
    """Somebody with the device from which a gateway's clients come; ada is there already."""
    if name != "ada":
        site.services.accounts.add(
            NewAccount(
                username=name,
                password_hash=quick_hash(PASSWORD),
                totp_secret=SECRET,
                totp_last_step=0,
                template=Template(NamedFaces.model, embedding(name)),
                face_png=b"png",
                mac_addresses=frozenset(),
            ),
            site.time.now(),
        )
    site.services.accounts.bind(name, DEVICE, site.time.now())


@contextmanager
def gateway_of(site: Site, folder: Path, server_port: int, pin: str) -> Iterator[Running]:
    """A gateway in a thread, registered at the site, which takes as much as a search sends."""
    key = Ed25519PrivateKey.generate()
    for name in ("ada", "bob"):
        add_person(site, name)
    site.services.kiosks.add("gate-1", key.public_key().public_bytes_raw(), None)
    identity = make_identity("gate", "127.0.0.1", datetime.now(UTC))
    (folder / "gate.key").write_bytes(identity.key_pem)
    (folder / "gate.crt").write_bytes(identity.certificate_pem)
    server = {"url": f"https://127.0.0.1:{server_port}", "pins": [pin], "read_timeout_s": 30, "backoff_s": 0.01}
    chosen = GatewaySettings.model_validate(
        {
            "gateway_id": "gate-1",
            "key_file": str(folder / "device.pem"),
            "listen": {
                "host": "127.0.0.1",
                "port": 65432,
                "tls_certificate": str(folder / "gate.crt"),
                "tls_key": str(folder / "gate.key"),
            },
            "health": {"port": 9465},
            "server": server,
            "limits": {"requests_per_address_s": 1000, "requests_burst": 10_000, "request_timeout_s": 30},
        }
    )
    around = Surroundings(site.time.now, time.monotonic, time.sleep, new_token)
    forwarder = Forwarder(lambda: AuthClient(ServerSettings(**server), "gate-1", key, around), around)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setblocking(False)
    context = ssl.create_default_context(cafile=str(folder / "gate.crt"))
    context.check_hostname = False
    started: queue.SimpleQueue[tuple[Gateway, asyncio.AbstractEventLoop]] = queue.SimpleQueue()

    async def serve() -> None:
        gateway = Gateway(chosen, listener, forwarder)
        started.put((gateway, asyncio.get_running_loop()))
        await gateway.serve()

    port = listener.getsockname()[1]
    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="gateway")
    thread.start()
    gateway, loop = started.get(timeout=30)
    try:
        yield Running(site, gateway, loop, port, context)
    finally:
        loop.call_soon_threadsafe(gateway.stop)
        thread.join(60)
        assert not thread.is_alive(), "it drains and ends"


@pytest.fixture(params=[{"gateway": {"enabled": True, "users": "all", "passive_alone": True}}])
def sections(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A site that lets everybody come through."""
    return dict(request.param)


@pytest.fixture
def running(site: Site, tmp_path: Path) -> Iterator[Running]:
    """A gateway and a server, of which nothing may be left over and to which nothing unforeseen may have happened."""
    with (
        capture_logs() as lines,
        serving(site, tmp_path) as (port, pin),
        gateway_of(site, tmp_path, port, pin) as running,
    ):
        warm_up(running)
        before = Leftovers.of(running)
        yield running
        ends = time.monotonic() + 10
        while not Leftovers.of(running).is_within(before):
            assert time.monotonic() < ends, f"{Leftovers.of(running)} is left, {before} was there at first"

        rows = site.services.audit.rows(RowFilter(limit=100_000))
        assert [row.detail for row in rows if "incident" in (row.detail or "")] == []
        assert [line for line in lines if line["log_level"] not in {"debug", "info", "warning"}] == []


def warm_up(running: Running) -> None:
    """Let every thread that forwards come into being, with what it keeps open."""
    body = json.dumps({**running.right("100"), "mac": "none"}).encode()
    with ThreadPoolExecutor(6) as pool:
        replies = list(pool.map(lambda _: ask(running, body), range(24)))
    assert {reply["status"] for reply in replies} == {"error"}


def ask(running: Running, body: bytes) -> dict[str, Any]:
    """One message over a connection of its own, and its reply."""
    with running.connect() as connection:
        connection.sendall(struct.pack(">I", len(body)) + body)
        return reply_of(connection)


@dataclass(frozen=True)
class Leftovers:
    """What a process holds on to."""

    tasks: int
    threads: int
    files: int

    @classmethod
    def of(cls, running: Running) -> "Leftovers":
        """What is held now."""
        gc.collect()
        return cls(running.tasks(), threading.active_count(), len(list(Path("/proc/self/fd").iterdir())))

    def is_within(self, before: "Leftovers") -> bool:
        """Whether no more is held than before, but for what pools keep."""
        is_small = self.threads <= before.threads + POOLED and self.files <= before.files + POOLED
        return self.tasks <= before.tasks and is_small


def reply_of(connection: ssl.SSLSocket) -> dict[str, Any]:
    """The next reply, which must be one."""
    (length,) = struct.unpack(">I", exactly(connection, 4))
    reply = json.loads(exactly(connection, length))
    assert reply["status"] in {"ok", "error"}
    assert reply["message"] and reply["message"].isprintable() and len(reply["message"]) <= 600
    assert set(reply) == {"status", "message"} or reply["status"] == "ok"
    assert answers.UNAVAILABLE not in reply["message"], "nothing unforeseen happened, here or at the server"
    return dict(reply)


def exactly(connection: ssl.SSLSocket, count: int) -> bytes:
    """So many bytes; it fails where the connection ends before."""
    data = b""
    while len(data) < count:
        chunk = connection.recv(count - len(data))
        assert chunk, "the connection ended in the place of a reply"
        data += chunk
    return data


_SETTINGS = settings(
    max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate]
)
"""A failure is not made smaller: an example that ends a time-out takes its time as often as it is tried."""


def search(running: Running, what: Callable[[], st.SearchStrategy[Any]], check: Callable[[Any], None]) -> None:
    """Try what hostile clients send for as long as there is time, while somebody else is served beside them."""
    ends = time.monotonic() + SEARCH_S
    with running.connect() as bystander:
        while time.monotonic() < ends:
            running.begin()
            # Whoever runs it again sees the same failure: what is right differs by the time alone.
            tried = settings(
                max_examples=EXAMPLES, suppress_health_check=list(HealthCheck), database=None, phases=[Phase.generate]
            )(given(what())(lambda example: check(example)))
            tried()
            bystander.sendall(struct.pack(">I", 2) + b"{}")
            assert reply_of(bystander)["status"] == "error"
    honest = json.dumps(running.right("100", "bob")).encode()
    assert ask(running, honest)["status"] == "ok", "an honest log in is granted"


def requests(running: Running) -> st.SearchStrategy[bytes]:
    """Bent requests of any code."""
    return st.sampled_from(sorted(WIRE_REQUESTS)).flatmap(lambda cmd: bent_requests(running.right(cmd)))


def test_any_stream_has_a_reply_to_each_message(running: Running) -> None:
    replies = Counter[str]()

    def check(stream: Stream) -> None:
        with running.connect() as connection:
            for piece in stream.pieces:
                connection.sendall(piece)
            for _ in range(stream.replies):
                replies[reply_of(connection)["status"]] += 1

    search(running, lambda: streams(requests(running)), check)
    print(f"\n{replies.total()} messages in streams")
    assert replies["error"] > 50


def test_any_bent_request_has_a_reply_and_the_next_is_answered(running: Running) -> None:
    replies = Counter[str]()
    with running.connect() as connection:

        def check(body: bytes) -> None:
            connection.sendall(struct.pack(">I", len(body)) + body)
            replies[reply_of(connection)["status"]] += 1

        search(running, lambda: requests(running), check)
    print(f"\n{replies.total()} bent requests")
