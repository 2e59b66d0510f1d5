"""The socket that systemd keeps: taken where it listens as the settings say, else given up."""

import os
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path
from types import SimpleNamespace

import pytest

from auth_client.systemd import Notifier
from auth_server import listener
from auth_server.settings import ListenSettings
from tests.auth_client.manager import Manager

NOT_MINE = "1"


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "notify"))
    yield made
    made.close()


@pytest.fixture
def notifier(manager: Manager) -> Notifier:
    return Notifier({"NOTIFY_SOCKET": manager.address})


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


def settings(port: int) -> ListenSettings:
    nowhere = Path("/nowhere")
    return ListenSettings(host=IPv4Address("127.0.0.1"), port=port, tls_certificate=nowhere, tls_key=nowhere)


def kept(monkeypatch: pytest.MonkeyPatch, notifier: Notifier, port: int, file: int, pid: str = "") -> int | None:
    for name, value in {"LISTEN_PID": pid or str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "listener"}.items():
        monkeypatch.setenv(name, value)
    found = listener.kept(settings(port), notifier, first=file)
    assert not [name for name in os.environ if name.startswith("LISTEN_")], "gunicorn would take it as well"
    return found


def test_the_one_of_before_is_taken(monkeypatch, server, notifier, manager) -> None:
    file = server.fileno()
    assert kept(monkeypatch, notifier, server.getsockname()[1], file) == file
    assert manager.is_silent()


def test_one_at_another_port_is_given_up(monkeypatch, server, notifier, manager) -> None:
    file = os.dup(server.fileno())
    assert kept(monkeypatch, notifier, server.getsockname()[1] ^ 1, file) is None
    assert manager.heard() == "FDSTOREREMOVE=1\nFDNAME=listener"
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


def test_what_is_no_listening_socket_is_not_taken(monkeypatch, notifier, manager, tmp_path) -> None:
    with (tmp_path / "file").open("w") as file:
        assert kept(monkeypatch, notifier, 8443, os.dup(file.fileno())) is None
    with socket.socket() as unbound:
        assert kept(monkeypatch, notifier, 8443, os.dup(unbound.fileno())) is None


def test_what_is_meant_for_another_process_is_left_alone(monkeypatch, server, notifier) -> None:
    assert kept(monkeypatch, notifier, server.getsockname()[1], server.fileno(), NOT_MINE) is None
    assert server.getsockname()


def test_systemd_gets_what_the_master_listens_on(server, notifier, manager) -> None:
    master = SimpleNamespace(LISTENERS=[SimpleNamespace(sock=server)])
    listener.keep(master, notifier)
    assert manager.heard() == "FDSTORE=1\nFDNAME=listener"
    with socket.socket(fileno=os.dup(manager.kept["listener"])) as same:
        assert same.getsockname() == server.getsockname()


def test_without_systemd_nothing_is_given_or_taken(server) -> None:
    alone = Notifier({})
    listener.keep(SimpleNamespace(LISTENERS=[SimpleNamespace(sock=server)]), alone)
    assert listener.kept(settings(server.getsockname()[1]), alone) is None
