"""A program's look at itself: an answer counts, silence does not, and to be closed only where that is an answer."""

import os
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from threading import Thread

import pytest

from auth_server.probe import Probe, received
from provisioning.tls import make_identity

Serve = Callable[[socket.socket], None]


class Program:
    """A listener of loopback; `serve` gets each accepted connection in a thread. Without it nobody accepts."""

    def __init__(self, host: str, folder: Path) -> None:
        self.listener = socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
        self.port = self.listener.getsockname()[1]
        self.sources: list[str] = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made = make_identity("test", "127.0.0.1", datetime.now(UTC))
        (folder / "pem").write_bytes(made.certificate_pem + made.key_pem)
        self.context.load_cert_chain(folder / "pem")

    def serve(self, serve: Serve) -> None:
        Thread(target=self._serve, args=(serve,), daemon=True).start()

    def _serve(self, serve: Serve) -> None:
        while True:
            try:
                connection, address = self.listener.accept()
            except OSError:
                return
            self.sources.append(address[0])
            with connection, suppress(OSError):  # the probe may leave in the middle
                serve(connection)

    def answer(self, connection: socket.socket) -> None:
        """Shake hands, and answer anything by `yes`."""
        with self.context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)
            tls.sendall(b"yes")

    def hang_up(self, connection: socket.socket) -> None:
        """Shake hands, and close."""
        with self.context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(1)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Program]:
    made = Program("127.0.0.1", tmp_path)
    yield made
    made.listener.close()


def asks(connection: ssl.SSLSocket) -> bool:
    connection.sendall(b"?")
    return received(connection, 3) == b"yes"


def probe(program: Program, timeout_s: float = 5.0, *, host: str = "127.0.0.1", closing: bool = False) -> Probe:
    return Probe(ip_address(host), program.port, asks, timeout_s, lambda: closing)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])  # noqa: S104 - as a setting
def test_a_right_answer_counts_and_the_probe_has_an_address_of_its_own(program, host) -> None:
    program.serve(program.answer)
    assert probe(program, host=host).answers()
    assert program.sources == ["127.0.0.2"]


def test_over_ipv6_too(tmp_path) -> None:
    program = Program("::1", tmp_path)
    program.serve(program.answer)
    assert probe(program, host="::").answers() and probe(program, host="::1").answers()
    program.listener.close()


@pytest.mark.parametrize("closing", [False, True])
def test_silence_is_no_answer(program, closing) -> None:
    """As of a process that is stopped: the kernel connects, and nobody shakes hands."""
    assert not probe(program, 0.2, closing=closing).answers()


@pytest.mark.parametrize("closing", [False, True])
def test_a_port_that_nobody_has_is_no_answer(program, closing) -> None:
    program.listener.close()
    assert not probe(program, closing=closing).answers()


@pytest.mark.parametrize("closing", [False, True])
@pytest.mark.parametrize("how", ["hang_up", "before the handshake"])
def test_to_be_closed_is_an_answer_only_where_that_counts(program, closing, how) -> None:
    program.serve(program.hang_up if how == "hang_up" else lambda connection: None)
    assert probe(program, closing=closing).answers() is closing


def test_a_wrong_answer_is_none(program) -> None:
    program.serve(program.answer)
    assert not Probe(ip_address("127.0.0.1"), program.port, lambda connection: False, 5.0, lambda: True).answers()


def forked_well(looking: Probe) -> bool:
    """Fork, and let the child say whether it inherited nothing half-way."""
    child = os.fork()
    if child == 0:
        os._exit(0 if not looking._busy.locked() and looking._open is None else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_fork_does_not_wait_for_a_look_that_nobody_answers(program) -> None:
    """A worker that died is replaced at once, though the probe waits for just that worker."""
    looking = probe(program, 600.0)
    looking.hold_while_forking()
    thread = Thread(target=looking.answers)
    thread.start()
    connection, _ = program.listener.accept()
    connection.recv(1)  # of its handshake, so it waits for the rest
    assert forked_well(looking)
    thread.join(10)
    assert not thread.is_alive()
    connection.close()


def test_nor_for_one_that_has_only_just_begun(program) -> None:
    looking = probe(program, 600.0)
    looking.hold_while_forking()
    for _ in range(20):
        thread = Thread(target=looking.answers)
        thread.start()
        assert forked_well(looking)
        # Had it not begun, it has now: the next fork breaks it off.
        while thread.is_alive():
            assert forked_well(looking)
            thread.join(0.02)
