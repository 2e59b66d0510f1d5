"""What may be at an address of a server: one that is good, one that is not well, another one, or nobody."""

import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from auth_contract import paths
from tests.kiosk_agent.conftest import Assertions, FakeAuthServer, Received, Reply


class Place(Protocol):
    """An address, and every request that was read there."""

    url: str
    requests: list[Received]

    def close(self) -> None:
        """Listen no more."""


class Nobody:
    """Nobody listens."""

    def __init__(self) -> None:
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))  # so that nobody else has the port
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests: list[Received] = []

    def close(self) -> None:
        self._socket.close()


class NoHandshake:
    """Connections are taken, and no hands are shaken: it hangs up, or is silent."""

    def __init__(self, *, is_silent: bool = False, on_call: Callable[[], None] = lambda: None) -> None:
        self._is_silent, self._on_call, self._is_open = is_silent, on_call, True
        self._calls: list[socket.socket] = []
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._socket.getsockname()[1]}"
        self.requests: list[Received] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._is_open = False
        with socket.create_connection(self._socket.getsockname()):
            self._thread.join(10)
        for call in (*self._calls, self._socket):
            call.close()

    def _serve(self) -> None:
        while self._is_open:
            call, _ = self._socket.accept()
            self._on_call()
            if self._is_silent:
                self._calls.append(call)
            else:
                call.close()


class Silent(FakeAuthServer):
    """It reads a request and says nothing until it is closed."""

    def __init__(self, folder: Path, kiosk_key: Any, assertions: Assertions) -> None:
        super().__init__(folder, kiosk_key, assertions)
        self._is_over = threading.Event()
        answer_always(self, self._wait)

    def _wait(self, _request: Received) -> Reply:
        self._is_over.wait(30)
        return Reply(status=500)

    def close(self) -> None:
        self._is_over.set()
        super().close()


def answer_always(server: FakeAuthServer, answer: Any) -> FakeAuthServer:
    for path in (*server.answers, paths.GATEWAY_REFUSALS):
        server.answer(path, answer)
    return server


def good(folder: Path, kiosk_key: Any, assertions: Assertions) -> FakeAuthServer:
    server = FakeAuthServer(folder, kiosk_key, assertions)
    server.answer(paths.GATEWAY_REFUSALS, Reply(body={"outcome": "noted"}))
    return server


def another_key(folder: Path, kiosk_key: Any, assertions: Assertions) -> FakeAuthServer:
    (folder / "another").mkdir(exist_ok=True)
    return good(folder / "another", kiosk_key, assertions)


def always(answer: Any) -> Callable[..., FakeAuthServer]:
    return lambda *site: answer_always(good(*site), answer)


UNSENT: dict[str, Callable[..., Place]] = {
    "nobody": lambda *_: Nobody(),
    "no handshake": lambda *_: NoHandshake(),
    "a silent handshake": lambda *_: NoHandshake(is_silent=True),
    "another key": another_key,
}
"""Nothing of a request arrives here."""

SENT: dict[str, Callable[..., Place]] = {
    "not ready": always(FakeAuthServer.refusal("unavailable", 503, retry_after_s=2)),
    "broken": always(FakeAuthServer.refusal("unavailable", 500, incident="7XK2")),
    "a page of nginx": always(Reply(status=502, body="Bad Gateway")),
    "hangs up": always("drop"),
    "silent": Silent,
}
"""A request is read here, and the server does not serve."""

PLACES: dict[str, Callable[..., Place]] = {"good": good, **UNSENT, **SENT}
SLOW = {"a silent handshake", "silent"}
