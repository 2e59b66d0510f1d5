"""Deliveries in the background, to receivers that misbehave in every way."""

import hashlib
import hmac
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from auth_server.errors import DeliveryFailed, KeyringRefused, SettingsRefused
from auth_server.notifications import OVERDUE_AFTER_S, Notifications
from auth_server.notifier import Notifier, Round, backend_of
from auth_server.settings import CommandNotify, NoNotify, WebhookNotify
from provisioning.tls import make_identity
from tests.postgres import spelt

DOCUMENT = b'{"id":"1","message":"hello"}'
SOON_S = 10
"""A test fails that waits so long for what takes milliseconds."""


def wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + SOON_S
    event = threading.Event()
    while not condition():
        assert time.monotonic() < ends, "it did not happen"
        event.wait(0.01)


# --- the program ---


def program(tmp_path: Path, text: str) -> str:
    path = tmp_path / "program"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def command(tmp_path: Path, text: str, *arguments: str, timeout_s: float = 5.0):
    return backend_of(CommandNotify(kind="command", argv=(program(tmp_path, text), *arguments), timeout_s=timeout_s))


class TestCommand:
    def test_it_gets_the_document_on_standard_input_and_its_arguments_as_they_are(self, tmp_path):
        told, words = tmp_path / "told", tmp_path / "words"
        command(tmp_path, f'cat > {told}; printf "%s|" "$@" > {words}', "a b", "$(id)", ";").deliver(DOCUMENT)
        assert told.read_bytes() == DOCUMENT
        assert words.read_text() == "a b|$(id)|;|"

    def test_its_environment_is_clean(self, tmp_path, monkeypatch):
        monkeypatch.setenv("SECRET_OF_THE_SERVER", "x")
        command(tmp_path, f"cd {tmp_path}; pwd > where; env > seen").deliver(DOCUMENT)
        names = {line.partition("=")[0] for line in (tmp_path / "seen").read_text().splitlines()}
        assert names <= {"PATH", "LANG", "PWD", "OLDPWD", "SHLVL", "_"}

    def test_it_inherits_no_open_file(self, tmp_path):
        with (tmp_path / "held").open("w") as held:
            os.set_inheritable(held.fileno(), True)
            command(tmp_path, f"ls /proc/self/fd | wc -l > {tmp_path}/count").deliver(DOCUMENT)
        assert int((tmp_path / "count").read_text()) <= 4  # 0, 1, 2, and the folder that ls reads

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("exit 1", "exited with 1"),
            ("exit 127", "exited with 127"),
            ("kill -9 $$", "ended by signal 9"),
            ("cat > /dev/null; exit 3", "exited with 3"),
        ],
    )
    def test_one_that_fails_is_told(self, tmp_path, text, why):
        with pytest.raises(DeliveryFailed, match=why):
            command(tmp_path, text).deliver(DOCUMENT)

    def test_one_that_does_not_read_may_still_succeed(self, tmp_path):
        command(tmp_path, "exit 0").deliver(DOCUMENT * 10_000)

    def test_one_that_writes_megabytes_fills_nothing(self, tmp_path):
        command(tmp_path, "head -c 20000000 /dev/zero; head -c 20000000 /dev/zero >&2").deliver(DOCUMENT)

    def test_one_that_hangs_is_killed_with_all_that_it_started(self, tmp_path):
        pids = tmp_path / "pids"
        hanging = command(tmp_path, f"sleep 1000 & echo $! $$ > {pids}; wait", timeout_s=2.0)
        with pytest.raises(DeliveryFailed, match=r"longer than 2 s and was killed"):
            hanging.deliver(DOCUMENT)
        for pid in pids.read_text().split():
            wait_until(lambda pid=pid: not is_running(int(pid)))

    def test_what_it_leaves_behind_on_success_holds_nothing_up(self, tmp_path):
        """As a mailer does that goes on in the background, with the pipe still in its hand."""
        pid = tmp_path / "pid"
        started = time.monotonic()
        command(tmp_path, f"sleep 1000 & echo $! > {pid}").deliver(DOCUMENT)
        assert time.monotonic() - started < SOON_S
        os.kill(int(pid.read_text()), 9)

    def test_one_that_vanished_is_told(self, tmp_path):
        backend = command(tmp_path, "exit 0")
        (tmp_path / "program").unlink()
        with pytest.raises(DeliveryFailed, match="cannot be started: No such file"):
            backend.deliver(DOCUMENT)

    @pytest.mark.parametrize("mode", [None, 0o644])
    def test_one_that_cannot_be_run_is_refused_at_the_start(self, tmp_path, mode):
        path = tmp_path / "absent"
        if mode is not None:
            path.write_text("#!/bin/sh\n")
            path.chmod(mode)
        with pytest.raises(SettingsRefused, match=r"notify\.argv\[0\]"):
            backend_of(CommandNotify(kind="command", argv=(str(path),)))


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


# --- the server ---


@contextmanager
def receiver(answer, *, context: ssl.SSLContext | None = None):
    """A TCP server of this test: `answer(connection, request)` is called with each whole request."""
    listener = socket.create_server(("127.0.0.1", 0))
    requests: list[bytes] = []
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    def talk(connection: socket.socket) -> None:
        try:
            if context is not None:
                connection = context.wrap_socket(connection, server_side=True)
            with connection:
                requests.append(read_request(connection))
                answer(connection, requests[-1])
        except OSError:
            return  # the client has left

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield SimpleNamespace(port=listener.getsockname()[1], requests=requests, done=done)
    finally:
        done.set()
        listener.close()


def read_request(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data:
        more = connection.recv(65536)
        if not more:
            raise ConnectionError("the client has left without a request")
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    length = next((int(v) for n, _, v in (h.partition(b":") for h in head.split(b"\r\n")) if n == b"Content-Length"), 0)
    while len(body) < length:
        body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def says(text: bytes):
    return lambda connection, _request: connection.sendall(text)


OK = says(b"HTTP/1.1 204 No Content\r\n\r\n")


def webhook(port: int, scheme: str = "http", **settings):
    settings = {"timeout_s": 5.0, **settings}
    return backend_of(WebhookNotify(kind="webhook", url=f"{scheme}://127.0.0.1:{port}/hook?token=geheim", **settings))


@pytest.fixture
def secret_file(tmp_path):
    path = tmp_path / "secret"
    path.write_text("0123456789abcdef0123\n")
    path.chmod(0o600)
    return path


class TestWebhook:
    @pytest.mark.parametrize("status", [b"200 OK", b"202 Accepted", b"204 No Content", b"299 Odd"])
    def test_a_receiver_that_has_it(self, status):
        with receiver(says(b"HTTP/1.1 " + status + b"\r\nContent-Length: 0\r\n\r\n")) as there:
            webhook(there.port).deliver(DOCUMENT)
        (request,) = there.requests
        head, _, body = request.partition(b"\r\n\r\n")
        assert head.startswith(b"POST /hook?token=geheim HTTP/1.1\r\n")
        assert b"Content-Type: application/json" in head
        assert b"X-4Auth-Signature" not in head
        assert body == DOCUMENT

    def test_the_body_is_signed_with_the_secret_of_a_file(self, secret_file):
        with receiver(OK) as there:
            webhook(there.port, secret_file=secret_file).deliver(DOCUMENT)
        proof = hmac.new(b"0123456789abcdef0123", DOCUMENT, hashlib.sha256).hexdigest()
        assert f"X-4Auth-Signature: sha256={proof}\r\n".encode() in there.requests[0]

    @pytest.mark.parametrize(
        ("reply", "why"),
        [
            (b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n", "answered 500"),
            (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "answered 404"),
            (b"", "broken"),
            (b"HTTP/1.1 20", "broken"),
            (b"SSH-2.0-OpenSSH_9.2\r\n", "broken"),
            (b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 500 + b"\r\n", "broken|failed"),
            (b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 100_000 + b"\r\n\r\n", "broken|failed"),
        ],
    )
    def test_one_that_fails_or_dies_half_way(self, reply, why):
        with receiver(says(reply)) as there, pytest.raises(DeliveryFailed, match=why) as failed:
            webhook(there.port).deliver(DOCUMENT)
        assert "geheim" not in str(failed.value) and failed.value.__cause__ is None

    @pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
    def test_a_redirect_is_not_followed(self, status):
        with receiver(OK) as elsewhere:
            reply = f"HTTP/1.1 {status} Over there\r\nLocation: http://127.0.0.1:{elsewhere.port}/\r\n\r\n".encode()
            with receiver(says(reply)) as there, pytest.raises(DeliveryFailed, match=f"answered {status}: redirects"):
                webhook(there.port).deliver(DOCUMENT)
        assert len(there.requests) == 1
        assert elsewhere.requests == []

    def test_one_that_says_nothing(self):
        with receiver(lambda _c, _r: there.done.wait(SOON_S)) as there:
            assert seconds_to_fail(webhook(there.port, timeout_s=0.3), "no answer within 0.3 s") < 2

    def test_one_that_dribbles_for_ever(self):
        """Each byte comes in time; all of them never do."""

        def dribble(connection, _request):
            connection.sendall(b"HTTP/1.1 200 OK\r\n")
            for _ in range(100):
                if there.done.wait(0.05):
                    return
                connection.sendall(b"X")

        with receiver(dribble) as there:
            assert seconds_to_fail(webhook(there.port, timeout_s=0.5), "no answer within 0.5 s") < 2

    def test_one_that_dribbles_through_the_handshake(self):
        def dribble(connection, _request):
            raise AssertionError("never asked")

        with socket.create_server(("127.0.0.1", 0)) as listener:

            def serve() -> None:
                connection, _ = listener.accept()
                with connection:
                    connection.recv(65536)
                    for byte in b"\x16\x03\x03\x3f\xff" + b"\x02" + b"\0" * 200:
                        time.sleep(0.05)
                        try:
                            connection.sendall(bytes([byte]))
                        except OSError:
                            return

            threading.Thread(target=serve, daemon=True).start()
            backend = webhook(listener.getsockname()[1], "https", timeout_s=0.5)
            assert seconds_to_fail(backend, "no answer within 0.5 s") < 2

    def test_one_whose_reply_never_ends_has_it_by_its_status(self):
        def endless(connection, _request):
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not there.done.is_set():
                connection.sendall(b"x" * 65536)

        with receiver(endless) as there:
            started = time.monotonic()
            webhook(there.port).deliver(DOCUMENT)
            assert time.monotonic() - started < 2

    def test_nobody_there(self):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        with pytest.raises(DeliveryFailed, match="no connection"):
            webhook(port).deliver(DOCUMENT)

    def test_no_proxy_and_no_password_is_taken_from_the_environment(self, monkeypatch, tmp_path):
        netrc = tmp_path / "netrc"
        netrc.write_text("machine 127.0.0.1 login ann password geheim\n")
        with receiver(OK) as proxy, receiver(OK) as there:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            monkeypatch.setenv("NO_PROXY", "")
            monkeypatch.setenv("NETRC", str(netrc))
            webhook(there.port).deliver(DOCUMENT)
        assert proxy.requests == []
        assert b"Authorization" not in there.requests[0]

    def test_a_secret_that_others_can_read_is_refused_at_the_start(self, secret_file):
        secret_file.chmod(0o644)
        with pytest.raises(KeyringRefused, match="open to other users"):
            webhook(1, secret_file=secret_file)

    def test_a_short_secret_is_refused_at_the_start(self, secret_file):
        secret_file.write_text("short")
        with pytest.raises(SettingsRefused, match="at least 16 bytes"):
            webhook(1, secret_file=secret_file)

    def test_a_missing_authority_is_refused_at_the_start(self, tmp_path):
        with pytest.raises(SettingsRefused, match="there is no such file"):
            webhook(1, ca_file=tmp_path / "absent.pem")


@pytest.fixture
def identity(tmp_path):
    """A self-signed certificate for 127.0.0.1 and a server's context with it."""
    made = make_identity("lab", "127.0.0.1", datetime.now(UTC) - timedelta(days=1))
    certificate, key = tmp_path / "server.crt", tmp_path / "server.key"
    certificate.write_bytes(made.certificate_pem)
    key.write_bytes(made.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    fingerprint = x509.load_pem_x509_certificate(made.certificate_pem).fingerprint(hashes.SHA256()).hex()
    return SimpleNamespace(context=context, certificate=certificate, fingerprint=fingerprint)


class TestTls:
    def test_a_certificate_that_nobody_vouches_for_gets_no_byte(self, identity):
        with receiver(OK, context=identity.context) as there, pytest.raises(DeliveryFailed, match="is not trusted"):
            webhook(there.port, "https").deliver(DOCUMENT)
        assert there.requests == []

    def test_the_sites_own_authority_vouches(self, identity):
        with receiver(OK, context=identity.context) as there:
            webhook(there.port, "https", ca_file=identity.certificate).deliver(DOCUMENT)
        assert len(there.requests) == 1

    def test_a_pinned_certificate_is_trusted(self, identity):
        with receiver(OK, context=identity.context) as there:
            webhook(there.port, "https", certificate_sha256=identity.fingerprint).deliver(DOCUMENT)
        assert len(there.requests) == 1

    def test_another_certificate_than_the_pinned_one_gets_no_byte(self, identity):
        with receiver(OK, context=identity.context) as there, pytest.raises(DeliveryFailed, match="is not trusted"):
            webhook(there.port, "https", certificate_sha256="0" * 64).deliver(DOCUMENT)
        assert there.requests == []


def seconds_to_fail(backend, why: str) -> float:
    started = time.monotonic()
    with pytest.raises(DeliveryFailed, match=why):
        backend.deliver(DOCUMENT)
    return time.monotonic() - started


# --- the thread ---


class Clock:
    def __init__(self, now: datetime) -> None:
        self.time = now

    def now(self) -> datetime:
        return self.time


class Receiver:
    """A backend that takes down what it is given, and fails while it is told to."""

    timeout_s = 10.0

    def __init__(self) -> None:
        self.taken: list[dict] = []
        self.fault: Exception | None = None

    def deliver(self, document: bytes) -> None:
        if self.fault is not None:
            raise self.fault
        self.taken.append(json.loads(document))


@pytest.fixture
def outbox(database):
    return Notifications(database)


@pytest.fixture
def clock(now):
    return Clock(now)


@pytest.fixture
def there():
    return Receiver()


@pytest.fixture
def notifier(outbox, clock, there):
    made = Notifier(notifications=outbox, backend=there, site="lab", time=clock, look_every_s=0.01)
    yield made
    made.stop()


@pytest.fixture
def add(database, outbox, now):
    def add_some(*names):
        with database.transaction() as session:
            for name in names:
                outbox.add(session, "change_in_force", name, {}, now)

    return add_some


class TestNotifier:
    def test_it_delivers_each_once_and_then_rests(self, notifier, there, outbox, add):
        add("ann", "bob")
        assert [notifier.run() for _ in range(3)] == [Round.DELIVERED, Round.DELIVERED, Round.IDLE]
        assert [(told["site"], told["username"]) for told in there.taken] == [("lab", "ann"), ("lab", "bob")]
        assert outbox.list() == []

    def test_what_fails_is_tried_again_with_the_same_id(self, notifier, there, outbox, add, clock):
        add("ann")
        wanted = outbox.list()[0].notification_id
        there.fault = DeliveryFailed("the receiver answered 500")
        assert notifier.run() is Round.FAILED
        assert notifier.run() is Round.IDLE
        assert outbox.list()[0].last_error == "the receiver answered 500"
        there.fault = None
        clock.time += timedelta(seconds=5)
        assert notifier.run() is Round.DELIVERED
        assert [told["id"] for told in there.taken] == [wanted]

    def test_an_unforeseen_error_is_a_failed_delivery_and_quotes_nothing(self, notifier, there, outbox, add):
        add("ann")
        there.fault = RuntimeError("password=geheim")
        assert notifier.run() is Round.FAILED
        assert "unforeseen error, incident" in outbox.list()[0].last_error
        assert "geheim" not in outbox.list()[0].last_error

    def test_nobody_can_write_less_because_a_receiver_hangs(self, notifier, there, database, add):
        """The delivery holds no transaction: what a login needs is free meanwhile."""
        add("ann")

        def deliver(document):
            with database.transaction():
                there.taken.append(json.loads(document))

        there.deliver = deliver
        assert notifier.run() is Round.DELIVERED

    def test_the_thread_delivers_what_is_added_later(self, notifier, there, add):
        notifier.start()
        add("ann", "bob", "carl")
        wait_until(lambda: len(there.taken) == 3)

    def test_the_thread_survives_a_store_that_fails(self, notifier, there, database, add, monkeypatch):
        from auth_server.errors import StoreError

        failed = threading.Event()
        due = notifier.notifications.due

        def failing(now):
            if not failed.is_set():
                failed.set()
                raise StoreError("the store failed")
            return due(now)

        monkeypatch.setattr(notifier.notifications, "due", failing)
        add("ann")
        notifier.start()
        wait_until(lambda: len(there.taken) == 1)
        assert failed.is_set()

    def test_two_on_one_store_deliver_each_once(self, database, outbox, clock, add):
        receivers = [Receiver(), Receiver()]
        notifiers = [
            Notifier(notifications=Notifications(database), backend=r, site="lab", time=clock, look_every_s=0.01)
            for r in receivers
        ]
        add(*(f"user{n}" for n in range(30)))
        for notifier in notifiers:
            notifier.start()
        wait_until(lambda: outbox.list() == [])
        for notifier in notifiers:
            notifier.stop()
        taken = sorted(told["username"] for r in receivers for told in r.taken)
        assert taken == sorted(f"user{n}" for n in range(30))

    def test_without_a_backend_nothing_runs(self, outbox, clock, add):
        add("ann")
        silent = Notifier(notifications=outbox, backend=backend_of(NoNotify()), site="lab", time=clock)
        silent.start()
        assert silent.run() is Round.IDLE
        silent.stop()
        assert len(outbox.list()) == 1

    def test_an_overdue_one_is_a_warning_until_it_is_delivered(self, notifier, there, add, clock):
        add("ann")
        there.fault = DeliveryFailed("no connection")
        clock.time += timedelta(seconds=OVERDUE_AFTER_S)
        notifier.start()
        wait_until(lambda: "1 of 1 were tried in vain for three days" in notifier.warnings.get("notifications", ""))
        there.fault = None
        clock.time += timedelta(hours=1)
        wait_until(lambda: notifier.warnings == {})

    def test_a_receiver_that_is_down_is_not_asked_for_each_at_once(self, notifier, there, add):
        add(*(f"user{n}" for n in range(100)))
        there.fault = DeliveryFailed("no connection")
        waits = [notifier._round() for _ in range(20)]
        assert waits[:4] == [0.02, 0.04, 0.08, 0.16]
        assert max(waits) == 0.01 * 2**10


KILLED = """
import os, sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from auth_server.keyring import Keyring
from auth_server.notifications import Notifications
from auth_server.notifier import Notifier
from auth_server.store.database import open_database
from tests.postgres import location_of

class Dying:
    timeout_s = 10.0
    def deliver(self, document):
        os.kill(os.getpid(), 9)

database = open_database(location_of(sys.argv[2]), Keyring.load(Path(sys.argv[1])))
time = SimpleNamespace(now=lambda: datetime(2026, 11, 22, 9, 30, tzinfo=UTC))
Notifier(notifications=Notifications(database), backend=Dying(), site="lab", time=time).run()
"""


def test_a_worker_killed_during_a_delivery_loses_nothing(keys_folder, database, outbox, notifier, there, add, clock):
    add("ann")
    killed = subprocess.run([sys.executable, "-c", KILLED, str(keys_folder), spelt(database.location)], check=False)
    assert killed.returncode == -9
    assert notifier.run() is Round.IDLE, "the dead worker's lease has not ended"
    clock.time += timedelta(seconds=Receiver.timeout_s + 60)
    assert notifier.run() is Round.DELIVERED
    assert [told["username"] for told in there.taken] == ["ann"]
