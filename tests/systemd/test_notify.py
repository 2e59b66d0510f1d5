"""What systemd hears of the real processes of server and gateway: ready, alive while they answer, stopping."""

import json
import os
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auth_server.keyring import Keyring
from auth_server.notifications import Notifications
from auth_server.settings_file import load_settings
from auth_server.store.database import open_database
from demo.site import Site, command
from provisioning.gateway_files import GatewayPlan, make_gateway
from tests.auth_client.manager import Manager
from tests.e2e.plain_client import Closed, PlainClient, frame

START_S = 60.0
INTERVAL_S = 0.3
"""Between two signs of life: a third of the watchdog's time."""

QUIET_S = 3.0
"""In which a program that answers would give ten of them."""

ALIVE = "WATCHDOG=1"


def started(manager: Manager, folder: Path, *arguments: str, keeps: tuple[int, ...] = ()) -> "subprocess.Popen[bytes]":
    """A program, as systemd would start it."""
    environment = os.environ | {"NOTIFY_SOCKET": manager.address, "WATCHDOG_USEC": str(int(INTERVAL_S * 3_000_000))}
    with (folder / "program.log").open("ab") as log:
        return subprocess.Popen(
            arguments, env=environment, stdout=log, stderr=log, start_new_session=True, pass_fds=keeps
        )


def ended(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(30)


@pytest.fixture(scope="module")
def manager(tmp_path_factory) -> Iterator[Manager]:
    made = Manager(str(tmp_path_factory.mktemp("run") / "notify"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory, models_folder) -> Site:
    made = Site(tmp_path_factory.mktemp("watched"), models_folder, presence="passive")
    made.init()
    return made


@pytest.fixture(scope="module")
def server(site: Site, manager: Manager) -> "Iterator[subprocess.Popen[bytes]]":
    process = started(manager, site.folder, command("4auth-server"), "--settings", str(site.settings))
    yield process
    ended(process)


class TestServer:
    """gunicorn's master looks at itself through its workers."""

    def workers(self, server: "subprocess.Popen[bytes]") -> list[int]:
        text = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text()
        return [int(child) for child in text.split()]

    def test_ready_is_said_once_and_only_when_a_request_is_answered(self, site, server, manager) -> None:
        assert manager.heard(START_S) == "FDSTORE=1\nFDNAME=listener"
        assert manager.heard(START_S) == "READY=1"
        assert site.is_ready(), "a worker has loaded all that it needs: before that its health port is closed"
        context = ssl.create_default_context(cafile=str(site.settings.parent / "tls" / "server.crt"))
        context.check_hostname = False
        with (
            socket.create_connection(("127.0.0.1", site.port), 5) as plain,
            context.wrap_socket(plain) as connection,
        ):
            connection.sendall(b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert set(manager.heard_in(QUIET_S)) == {ALIVE}

    def test_stopped_workers_are_not_alive_though_their_master_is(self, server, manager) -> None:
        workers = self.workers(server)
        assert len(workers) == 2
        for worker in workers:
            os.kill(worker, signal.SIGSTOP)
        manager.heard_in(2 * INTERVAL_S)  # what was asked before
        assert manager.heard_in(QUIET_S) == []
        for worker in workers:
            os.kill(worker, signal.SIGCONT)
        assert manager.heard(START_S) == ALIVE

    def test_killed_workers_are_replaced_while_it_looks(self, server, manager) -> None:
        """A fork in the middle of a look leaves neither side waiting."""
        for _ in range(3):
            before = self.workers(server)
            for worker in before:
                os.kill(worker, signal.SIGKILL)
            manager.heard_in(2 * INTERVAL_S)
            assert manager.heard(START_S) == ALIVE
            assert not set(self.workers(server)) & set(before)

    def test_a_look_writes_no_row(self, site, server, manager) -> None:
        before = site.audit_rows()
        assert manager.heard_in(QUIET_S).count(ALIVE) >= 3
        assert site.audit_rows() == before

    def test_it_says_that_it_stops_and_ends_as_asked(self, server, manager) -> None:
        server.terminate()
        assert [told for told in manager.heard_in(QUIET_S) if told != ALIVE] == ["STOPPING=1"]
        assert server.wait(60) == 0
        assert manager.is_silent()


GREETING = b"GET /.well-known/jwks.json HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class TestRestart:
    """systemd keeps the server's socket. Begins where the server above has ended."""

    def test_who_comes_while_no_server_runs_waits_and_is_answered_by_the_next(self, site, server, manager) -> None:
        assert server.wait(60) == 0, "none runs"
        (listener,) = manager.kept.values()
        context = ssl.create_default_context(cafile=str(site.settings.parent / "tls" / "server.crt"))
        context.check_hostname = False
        with socket.create_connection(("127.0.0.1", site.port), 5) as plain:
            # As systemd starts it: the socket as descriptor 3, meant for this very process.
            start = f"exec {command('4auth-server')} --settings {site.settings} 3<&{listener}"
            handed = ("/bin/bash", "-c", f"LISTEN_PID=$$ LISTEN_FDS=1 {start}")
            process = started(manager, site.folder, *handed, keeps=(listener,))
            try:
                plain.settimeout(START_S)
                with context.wrap_socket(plain) as connection:
                    connection.sendall(GREETING)
                    assert connection.recv(12) == b"HTTP/1.1 200"
                process.terminate()
                assert process.wait(60) == 0
            finally:
                ended(process)
                manager.heard_in(INTERVAL_S)

    def test_a_trial_is_at_no_port_that_anybody_knows(self, site, manager) -> None:
        with pytest.raises(OSError, match="Address already in use"):
            socket.create_server(("127.0.0.1", site.port))  # where who waits for the next server is
        words = (command("4auth-server"), "--settings", str(site.settings), "--trial")
        assert subprocess.run(words, timeout=START_S, check=False).returncode == 0

    def test_a_trial_delivers_nothing_and_the_server_that_follows_does(self, site, manager, tmp_path) -> None:
        told, program = tmp_path / "told", tmp_path / "program"
        program.write_text(f"#!/bin/sh\ncat > {told}\n")
        program.chmod(0o755)
        settings = tmp_path / "server.toml"
        settings.write_text(f'{site.settings.read_text()}\n[notify]\nkind = "command"\nargv = ["{program}"]\n')
        store = load_settings(settings).store
        with (
            closing(open_database(store.database, Keyring.load(store.keys))) as database,
            database.transaction() as one,
        ):
            Notifications(database).add(one, "locked_out", "ann", {}, datetime.now(UTC))
        words = (command("4auth-server"), "--settings", str(settings))
        assert subprocess.run((*words, "--trial"), timeout=START_S, check=False).returncode == 0
        assert not told.exists()
        os.close(manager.kept.pop("listener"))  # or the port would be in use
        process = started(manager, site.folder, *words)
        try:
            ends = time.monotonic() + START_S
            while not told.exists():
                assert time.monotonic() < ends, "nobody was told"
                manager.heard_in(INTERVAL_S)
        finally:
            ended(process)
            manager.heard_in(INTERVAL_S)


class TestGateway:
    """It needs no auth server to answer, so one that is away or hangs is no reason to start it anew."""

    @pytest.fixture
    def hanging(self) -> Iterator[socket.socket]:
        """An auth server that takes connections and says nothing."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            yield listener

    @pytest.fixture
    def plan(self, tmp_path: Path, hanging: socket.socket) -> GatewayPlan:
        folder = tmp_path / "gateway"
        folder.mkdir(mode=0o700)
        with closing(socket.create_server(("127.0.0.1", 0))) as one, closing(socket.create_server(("", 0))) as other:
            ports = {"port": one.getsockname()[1], "health_port": other.getsockname()[1]}
        server_port = hanging.getsockname()[1]
        made = GatewayPlan(folder=folder, site="test", host="127.0.0.1", server_port=server_port, **ports)
        make_gateway(made, made, "ab" * 32, datetime.now(UTC))
        return made

    @pytest.fixture
    def begin(self, plan: GatewayPlan, manager: Manager) -> "Iterator[Callable[..., subprocess.Popen[bytes]]]":
        """Starts it with these limits, and waits until it says that it is ready; it is ended afterwards."""
        with ExitStack() as stack:

            def begun(limits: str = "") -> "subprocess.Popen[bytes]":
                with plan.settings.open("a") as settings:
                    settings.write(f"\n[limits]\n{limits}\n")
                process = started(manager, plan.folder, command("4auth-gateway"), "--settings", str(plan.settings))
                stack.callback(manager.heard_in, INTERVAL_S)
                stack.callback(ended, process)
                assert manager.heard(START_S) == "READY=1"
                return process

            yield begun

    def test_a_look_leaves_no_line_and_what_strangers_send_does(self, plan, manager, begin) -> None:
        begin()
        assert manager.heard_in(QUIET_S).count(ALIVE) >= 3
        log = plan.folder / "program.log"
        assert "malformed" not in log.read_text()
        with PlainClient(plan.port, plan.certificate) as client:
            client.ask_bytes(b"")
        assert '"outcome": "malformed", "peer": "127.0.0.1"' in log.read_text()

    def test_it_is_ready_alive_and_stopping(self, plan, manager, begin) -> None:
        process = begin()
        with PlainClient(plan.port, plan.certificate) as client:
            assert "frame: is empty" in client.ask_bytes(b"")["message"]
        assert set(manager.heard_in(QUIET_S)) == {ALIVE}
        os.kill(process.pid, signal.SIGSTOP)
        manager.heard_in(2 * INTERVAL_S)
        assert manager.heard_in(QUIET_S) == []
        os.kill(process.pid, signal.SIGCONT)
        assert manager.heard(START_S) == ALIVE
        process.terminate()
        assert [told for told in manager.heard_in(QUIET_S) if told != ALIVE] == ["STOPPING=1"]
        assert process.wait(60) == 0

    def test_it_is_alive_while_every_place_at_a_server_that_hangs_is_taken(self, plan, manager, begin) -> None:
        begin("requests_in_flight = 1\nrequests_waiting = 64")
        request = {
            "username": "ann",
            "password": "Quiet marmot 42",
            "totp": "123456",
            "faceID": "/9j/4AAQ",
            "mac": "02:00:5e:20:00:01",
            "client_ts_utc": datetime.now(UTC).isoformat(),
        }
        with ExitStack() as stack:
            for _ in range(4):
                client = stack.enter_context(PlainClient(plan.port, plan.certificate))
                client.send(frame(json.dumps({"cmd": "100", **request}).encode()))
            assert manager.heard_in(QUIET_S).count(ALIVE) >= 3

    def test_it_is_alive_while_it_turns_away_more_than_it_can_tell_so(self, plan, manager, begin) -> None:
        begin("connections = 1\nconnections_per_address = 1")
        manager.heard_in(2 * INTERVAL_S)
        with ExitStack() as stack:
            for last in range(17):  # one that is let in, and as many refusals as are told at once
                plain = socket.create_connection(("127.0.0.1", plan.port), 5, source_address=(f"127.0.1.{last + 1}", 0))
                stack.enter_context(closing(plain))
            manager.heard_in(INTERVAL_S)
            with pytest.raises((OSError, Closed)):
                PlainClient(plan.port, plan.certificate)
            assert manager.heard_in(QUIET_S).count(ALIVE) >= 3

    def test_it_is_alive_where_clients_must_show_a_certificate(self, plan, manager, begin) -> None:
        text = plan.settings.read_text()
        plan.settings.write_text(text.replace("[listen]", f'[listen]\nclient_ca = "{plan.certificate}"'))
        begin()
        assert set(manager.heard_in(QUIET_S)) == {ALIVE}
