"""The TLS side of the server as gunicorn runs it: which version, and an end to every wait.

A child process serves a small application with the server's own options and worker, so that no
model and no store is needed. Its time-outs are shorter than the real ones.
"""

import json
import os
import socket
import ssl
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest
from gunicorn.workers.gthread import ThreadWorker

from auth_server.tls import DeadlineWorker
from demo.site import free_port
from provisioning.tls import make_identity

HANDSHAKE_S = 1.5
REQUEST_S = 3.0
SOON_S = 1.5
"""Well below a request's time, and the two seconds that a server waits for the other side to close."""

THREADS = 4
PER_ADDRESS = 3
FAR_S = 10.0
"""A test that waited so long has failed."""

_PROGRAM = """
import json, sys
from gunicorn.app.base import BaseApplication
from auth_server import serving, tls
from auth_server.settings import ServerSettings

settings = ServerSettings.model_validate_json(sys.argv[1])
listen = settings.listen
context = tls.server_context(
    listen.tls_certificate, listen.tls_key,
    handshake_timeout_s=listen.handshake_timeout_s, request_timeout_s=float(sys.argv[2]),
    connections_per_address=listen.connections_per_address,
)

def application(environ, start_response):
    body = environ["wsgi.input"].read() if environ["PATH_INFO"] == "/read" else b"unread"
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

class Small(BaseApplication):
    def load_config(self):
        for name, value in serving.options(settings, serving.plan_of(settings.listen, None), context).items():
            self.cfg.set(name, value)

    def load(self):
        return application

Small().run()
"""


@dataclass(frozen=True)
class Served:
    """Where the child listens."""

    port: int

    def connect(self, source: str = "127.0.0.1") -> socket.socket:
        """A plain connection to it, from any address of loopback."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=FAR_S, source_address=(source, 0))

    def tls(self, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, source: str = "127.0.0.1") -> ssl.SSLSocket:
        """A connection on which the handshake is done."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.maximum_version = version
        plain = self.connect(source)
        try:
            return context.wrap_socket(plain)
        except BaseException:
            plain.close()
            raise

    def get(self) -> float:
        """Make one honest request; the seconds that it took."""
        began = time.monotonic()
        with closing(self.tls()) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            assert _until_closed(connection).startswith(b"HTTP/1.1 200")
        return time.monotonic() - began


def _until_closed(connection: socket.socket) -> bytes:
    """All that comes until the other side closes, or drops, the connection."""
    text = b""
    try:
        while chunk := connection.recv(65536):
            text += chunk
    except ConnectionResetError:
        pass
    return text


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The child, with one worker of a few threads."""
    folder = tmp_path_factory.mktemp("tls")
    made = make_identity("test", "127.0.0.1", datetime.now(UTC))
    (folder / "server.crt").write_bytes(made.certificate_pem)
    (folder / "server.key").write_bytes(made.key_pem)
    port = free_port()
    settings = {
        "site": "test",
        "listen": {
            "host": "127.0.0.1",
            "port": port,
            "tls_certificate": str(folder / "server.crt"),
            "tls_key": str(folder / "server.key"),
            "workers": 1,
            "threads": THREADS,
            "connections_per_address": PER_ADDRESS,
            "handshake_timeout_s": HANDSHAKE_S,
        },
        "health": {"port": free_port()},
        "store": {"database": "none", "keys": "none", "checkpoints": "none"},
        "face": {"models": "none", "queue_max": 1},
    }
    log = folder / "server.log"
    with log.open("wb") as stream:
        child = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, json.dumps(settings), str(REQUEST_S)],
            env={**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)},
            stdout=stream,
            stderr=stream,
        )
    try:
        _wait_until_it_listens(child, port, log)
        yield Served(port)
    finally:
        child.terminate()
        assert child.wait(timeout=FAR_S) == 0, log.read_text()


def _wait_until_it_listens(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + 30
    while True:
        assert child.poll() is None, log.read_text()
        assert time.monotonic() < ends, log.read_text()
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except ConnectionRefusedError:
            time.sleep(0.05)
        else:
            return


def test_tls_1_3_is_spoken(served):
    with closing(served.tls()) as connection:
        assert connection.version() == "TLSv1.3"


def test_tls_1_2_is_refused(served):
    with pytest.raises(ssl.SSLError, match=r"(?i)version"):
        served.tls(ssl.TLSVersion.TLSv1_2).close()


def test_a_request_in_the_clear_is_not_answered(served):
    with closing(served.connect()) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" not in _until_closed(connection)


def test_a_handshake_that_dribbles_is_dropped_in_its_time(served):
    hello = bytes.fromhex("16030100ff010000fb0303")  # the beginning of a ClientHello that never goes on
    with closing(served.connect()) as connection:
        began = time.monotonic()
        connection.settimeout(0.1)
        sent = iter(hello)
        while time.monotonic() - began < FAR_S:
            try:
                if (byte := next(sent, None)) is not None:
                    connection.sendall(bytes([byte]))
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert HANDSHAKE_S * 0.5 < time.monotonic() - began < HANDSHAKE_S + 3


def dribbled_head(connection: ssl.SSLSocket) -> None:
    connection.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nX-Long: ")


def dribbled_body(connection: ssl.SSLSocket) -> None:
    connection.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n")


@pytest.mark.parametrize("begin", [dribbled_head, dribbled_body])
def test_a_request_that_dribbles_is_dropped_in_its_time_however_lively_it_is(served, begin):
    with closing(served.tls()) as connection:
        begin(connection)
        began = time.monotonic()
        connection.settimeout(0.1)
        while time.monotonic() - began < FAR_S:
            try:
                connection.sendall(b"x")
                if connection.recv(1) == b"":
                    break
            except TimeoutError:
                continue
            except OSError:
                break
        assert REQUEST_S * 0.5 < time.monotonic() - began < REQUEST_S + 3


def test_each_request_of_a_kept_connection_has_its_own_time(served):
    with closing(served.tls()) as connection:
        began = time.monotonic()
        while time.monotonic() - began < REQUEST_S * 1.5:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            reply = b""
            while not reply.endswith(b"unread"):
                chunk = connection.recv(4096)
                assert chunk
                reply += chunk
            assert reply.startswith(b"HTTP/1.1 200")


def test_others_are_served_while_one_dribbles(served):
    with closing(served.tls()) as slow:
        slow.sendall(b"POST /read HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n1")
        assert served.get() < SOON_S


def test_others_are_served_while_one_keeps_open_what_it_should_close(served):
    """After `Connection: close` the server waits a little for the other side, but not in everybody's way."""
    with closing(served.tls()) as rude:
        rude.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert rude.recv(4096).startswith(b"HTTP/1.1 200")
        assert served.get() < SOON_S


def test_others_are_served_while_more_connections_than_threads_say_nothing(served):
    with ExitStack() as silent:
        for number in range(4 * THREADS):
            silent.enter_context(closing(served.connect(f"127.0.0.{10 + number}")))
        assert served.get() < SOON_S


def test_a_refusal_reaches_a_sender_whose_body_was_not_read(served):
    with closing(served.tls()) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4000000\r\n\r\n")
        connection.sendall(b"x" * 4_000_000)
        assert b"unread" in _until_closed(connection)


def test_one_address_cannot_take_all_threads(served):
    """Half a head takes a thread; but the next connection of the same address is closed, and others are served."""
    with ExitStack() as greedy:
        for _ in range(PER_ADDRESS):
            half = greedy.enter_context(closing(served.tls(source="127.0.0.2")))
            half.sendall(b"GET / HTTP/1.1\r\nX-Half: ")
        one_more = greedy.enter_context(closing(served.connect("127.0.0.2")))
        assert _until_closed(one_more) == b""
        assert served.get() < SOON_S


def test_all_addresses_of_an_ipv6_network_count_as_one_and_its_neighbour_as_another(monkeypatch):
    """Loopback has one IPv6 address only, so the worker is given the connections itself."""
    handed_on: list[SimpleNamespace] = []
    monkeypatch.setattr(ThreadWorker, "enqueue_req", lambda _self, conn: handed_on.append(conn))
    context = SimpleNamespace(connections_per_address=PER_ADDRESS)
    worker = DeadlineWorker.__new__(DeadlineWorker)
    worker._open, worker.nr_conns = Counter(), 0
    worker.cfg = SimpleNamespace(ssl_context=lambda *_: context)

    def arrives(address):
        closed: list[bool] = []
        sock = SimpleNamespace(close=lambda: closed.append(True))
        worker.enqueue_req(SimpleNamespace(client=(address, 5000, 0, 0), sock=sock, close=lambda graceful: None))
        return not closed

    assert all(arrives(f"2001:db8:1:2::{number}") for number in range(PER_ADDRESS))
    assert not arrives("2001:db8:1:2:ffff::1")
    assert arrives("2001:db8:1:3::1")
    handed_on[0].close()
    assert arrives("2001:db8:1:2:ffff::1")


def test_an_address_has_its_connections_back_when_they_end(served):
    for _ in range(3 * PER_ADDRESS):
        served.get()
    with ExitStack() as kept:
        for _ in range(PER_ADDRESS):
            kept.enter_context(closing(served.tls(source="127.0.0.3")))
