"""What goes wrong around a kiosk while somebody is half-way through a login, on real processes.

After each drill the session is over, the door was not opened, nothing that was typed is on the screen or in
the log, and the kiosk serves again within ten seconds of the fault's end.
"""

import json
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from demo.kiosk import Entry, Kiosk
from tests.e2e.conftest import House
from tests.e2e.test_secrets import found_in

BACK_WITHIN_S = 10.0
NOTICED_WITHIN_S = 30.0
AT_REST, DOWN = "Welcome: Type your name", "Out of service"


class Line:
    """The wire between a kiosk and its server, which a test can cut, hold up, or lead elsewhere."""

    def __init__(self, target: int) -> None:
        self.target, self.delay_s, self.calls = target, 0.0, 0
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._server.getsockname()[1]
        self._open: list[socket.socket] = []
        Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._server.close()

    def _serve(self) -> None:
        with suppress(OSError):  # it is closed
            while True:
                Thread(target=self._carry, args=(self._server.accept()[0],), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection(("127.0.0.1", self.target)) as far:
            Thread(target=self._pass, args=(near, far, 0.0), daemon=True).start()
            near.sendall(far.recv(65536))  # the handshake is quick however long the reply then takes
            delay_s = self.delay_s
            self.calls += 1
            self._pass(far, near, delay_s)

    @staticmethod
    def _pass(source: socket.socket, sink: socket.socket, delay_s: float) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                time.sleep(delay_s)
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)


@dataclass
class Drill:
    """One kiosk, its wire and its camera's fault, and somebody who logs in."""

    house: House
    kiosk: Kiosk
    line: Line
    camera: Path
    typed: list[str] = field(default_factory=list)

    def come(self) -> Entry:
        """Type all but the code."""
        entry = self.house.entry(self.house.person())
        self.typed += [entry.password, entry.code]
        for line in entry.lines()[:2]:
            self.kiosk.press(**line)
        self.see("Your code")
        return entry

    def go_on(self, entry: Entry) -> None:
        """Type the code: the pictures are next."""
        self.kiosk.press(**entry.lines()[2])

    def see(self, words: str, within_s: float = NOTICED_WITHIN_S) -> float:
        """Wait until the screen says so, and return the seconds that it took."""
        began = time.monotonic()
        with suppress(AssertionError):
            self.house.until(lambda: words in self.shown, within_s, words)
        assert words in self.shown, "".join(self.kiosk.screen)
        return time.monotonic() - began

    @property
    def shown(self) -> str:
        """The last line on the screen."""
        return self.kiosk.screen[-1] if self.kiosk.screen else ""

    def doors(self) -> list[str]:
        """Who was let in."""
        lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
        return [line["username"] for line in lines if line["event"] == "door_opened"]

    def log(self) -> str:
        return (self.house.site.folder / "kiosk-1" / "kiosk.log").read_text()

    def ends_well(self, entry: Entry, end_fault: Callable[[], object]) -> None:
        """End the fault: nobody was let in, nothing was shown, and the next person is served in time."""
        assert entry.name not in self.doors()
        end_fault()
        took_s = self.see(AT_REST, BACK_WITHIN_S)
        print(f"back after {took_s:.1f} s")
        assert entry.name not in self.doors(), "nor afterwards"
        told = "".join(self.kiosk.screen) + self.log()
        assert found_in(told.encode(), {secret: secret.encode() for secret in self.typed}) == []
        after = self.come()
        self.go_on(after)
        self.see(f"Welcome, {after.name}")


@pytest.fixture
def drill(house: House, tmp_path: Path) -> Iterator[Drill]:
    """A kiosk at rest, ready for somebody."""
    with _drill(house, tmp_path) as made:
        yield made


@contextmanager
def _drill(house: House, tmp_path: Path) -> Iterator[Drill]:
    line, camera = Line(house.site.port), tmp_path / "camera"
    (house.site.folder / "kiosk-1" / "kiosk.log").unlink(missing_ok=True)
    settings: dict[str, Any] = {
        "server": {"url": f"https://127.0.0.1:{line.port}", "pins": [house.site.pin], "heartbeat_s": 3},
        "camera": {
            "kind": "replay",
            "sources": [str(house.site.folder / "kiosk-1" / "scene" / "rest")],
            "fps": 15,
            "probe_s": 1,
            "drill": str(camera),
            "detect_frozen": True,
        },
    }
    with house.kiosk_process(**settings) as kiosk:
        made = Drill(house, kiosk, line, camera)
        made.see(AT_REST)
        yield made
    line.close()


@pytest.mark.parametrize("word", ["unplugged", "frozen", "hang"])
def test_a_camera_that_fails_in_mid_capture(word: str, drill: Drill) -> None:
    entry = drill.come()
    drill.camera.write_text(word)
    drill.go_on(entry)
    drill.see(DOWN)
    drill.ends_well(entry, lambda: drill.camera.write_text(""))


def test_a_camera_that_goes_dark_in_mid_capture_lets_nobody_in_and_is_told(drill: Drill) -> None:
    """There are pictures, and whether a light comes on is up to people: the kiosk goes on, and sees no face."""
    entry = drill.come()
    drill.camera.write_text("dark")
    drill.go_on(entry)
    drill.see("Once more, please")
    drill.kiosk.press(step="capture_again", keys=["cancel"])
    drill.house.until(lambda: "camera_fault" in drill.log(), 15, "the log tells of it")
    drill.ends_well(entry, lambda: drill.camera.write_text(""))


def test_the_server_is_killed(drill: Drill) -> None:
    entry = drill.come()
    drill.house.site.kill_server()
    drill.go_on(entry)
    drill.see(DOWN)
    drill.ends_well(entry, drill.house.site.start_server)


def test_the_server_takes_thirty_seconds(drill: Drill) -> None:
    entry = drill.come()
    drill.line.delay_s = 30.0
    drill.go_on(entry)
    drill.see(DOWN, 60)
    calls = drill.line.calls
    drill.house.until(lambda: drill.line.calls > calls, 30, "it asks once more")
    drill.ends_well(entry, lambda: setattr(drill.line, "delay_s", 0.0))


def test_another_server_is_at_the_address(drill: Drill, stranger: int) -> None:
    entry = drill.come()
    drill.line.target = stranger
    drill.go_on(entry)
    drill.see(DOWN)
    drill.ends_well(entry, lambda: setattr(drill.line, "target", drill.house.site.port))


@pytest.fixture
def stranger(tmp_path: Path) -> Iterator[int]:
    """The port of a TLS server with a key of its own."""
    import ssl

    from tests.kiosk_agent.conftest import _tls

    _, context = _tls(tmp_path)
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection = server.accept()[0]
                with suppress(OSError, ssl.SSLError), context.wrap_socket(connection, server_side=True) as stream:
                    stream.recv(65536)

    Thread(target=serve, daemon=True).start()
    yield server.getsockname()[1]
    server.close()
