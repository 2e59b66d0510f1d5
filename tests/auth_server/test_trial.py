"""A start on trial: what passes, what does not, and that it ends by itself."""

from collections.abc import Callable, Iterator
from threading import Event
from types import SimpleNamespace

import pytest

from auth_server.local_port import LocalPort
from auth_server.settings import HealthSettings
from auth_server.trial import PLAN, Patience, Trial
from demo.site import free_port
from tests.auth_server.test_probe import Program

SOON = Patience(answers_within_s=0.5, ready_within_s=0.5)
WITHIN_S = 20.0


@pytest.fixture
def program(tmp_path) -> Iterator[Program]:
    made = Program("127.0.0.1", tmp_path)
    yield made
    made.listener.close()


@pytest.fixture
def health() -> HealthSettings:
    return HealthSettings(port=free_port())


@pytest.fixture
def port(health) -> "Iterator[Callable[..., None]]":
    """Opens the local port of a server with these faults."""
    opened: list[LocalPort] = []

    def begin(**faults: str) -> None:
        opened.append(LocalPort(health, lambda: faults, dict, bytes))
        opened[-1].start()

    yield begin
    for one in opened:
        one.shutdown()
        one.server_close()


def judged(program: Program, health: HealthSettings) -> str | None:
    ended = Event()
    trial = Trial(health, SOON, ended.set)
    trial.start(SimpleNamespace(LISTENERS=[program.listener]))
    assert ended.wait(WITHIN_S), "it ends the server whatever it found"
    return trial.fault


def answer(program: Program, text: bytes) -> None:
    def serve(connection) -> None:
        with program.context.wrap_socket(connection, server_side=True) as tls:
            tls.recv(4096)
            tls.sendall(text)

    program.serve(serve)


def test_one_that_answers_and_is_ready_passes(program, health, port) -> None:
    answer(program, b"HTTP/1.1 200 OK\r\n\r\n")
    port()
    assert judged(program, health) is None


def test_one_that_answers_and_is_not_ready_does_not_and_says_why(program, health, port) -> None:
    answer(program, b"HTTP/1.1 200 OK\r\n\r\n")
    port(store="the disk is full")
    assert '"store": "the disk is full"' in (judged(program, health) or "")


def test_one_without_a_local_port_does_not(program, health) -> None:
    answer(program, b"HTTP/1.1 200 OK\r\n\r\n")
    assert "its local port does not answer" in (judged(program, health) or "")


def test_one_that_answers_with_an_error_does_not(program, health, port) -> None:
    answer(program, b"HTTP/1.1 500 Oh\r\n\r\n")
    port()
    assert "did not answer over TLS" in (judged(program, health) or "")


def test_one_that_ends_by_itself_did_not_serve(health) -> None:
    assert Trial(health).fault == "it ended before it answered"


def test_it_is_reached_by_nobody_else_and_sends_nothing() -> None:
    assert (PLAN.bind, PLAN.is_trial) == ("127.0.0.1:0", True)
