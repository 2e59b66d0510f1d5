"""What no client may do to the others: each limit of the gateway, and its end and that of the server behind it.

Times are short here by the gateway's settings; nothing sleeps.
"""

import json
import signal
import socket
import ssl
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.e2e.authority import Authority
from tests.e2e.conftest import House, Person
from tests.e2e.gateways import DEVICE, Gate
from tests.e2e.plain_client import Closed, PlainClient, frame, text_of

SHORT_S = 1.0
SOON_S = 5.0
"""For a busy machine; what a limit does, it does within its own time and a little more."""


@pytest.fixture(autouse=True)
def served_again(gate: Gate) -> Iterator[None]:
    """After each of these tests the gateway runs with its usual limits, and serves."""
    yield
    if gate.process is None:
        gate.start()
    assert is_let_in(gate)


def log_in_body(gate: Gate, person: Person, **changes: Any) -> bytes:
    """A log in with all that is right."""
    fields = {
        "cmd": "100",
        "username": person.name,
        "password": person.password,
        "totp": person.code(),
        "faceID": text_of(gate.house.picture.read_bytes()),
        "mac": DEVICE,
        "client_ts_utc": datetime.now(UTC).isoformat(),
    }
    return json.dumps(fields | changes).encode()


def is_let_in(gate: Gate) -> bool:
    """Whether somebody else is let in, over a connection of their own from another address."""
    with gate.client(source="127.0.0.9") as client:
        return bool(client.ask_bytes(log_in_body(gate, gate.person()))["status"] == "ok")


def ends_within(client: PlainClient, seconds: float) -> bool:
    """Whether the gateway ends a connection by itself in this time, whatever it says before."""
    began = time.monotonic()
    with suppress(Closed):
        while client.reply():
            pass
    return time.monotonic() - began < seconds


# Time


def test_who_does_not_shake_hands_is_let_go(gate: Gate) -> None:
    with gate.running(limits={"handshake_timeout_s": SHORT_S}):
        with socket.create_connection(("127.0.0.1", gate.site.gateway_port), timeout=SOON_S) as plain:
            assert plain.recv(1) == b""
        assert is_let_in(gate)


@pytest.mark.parametrize("requests", [0, 1])
def test_who_asks_nothing_is_let_go(requests: int, gate: Gate) -> None:
    with gate.running(limits={"idle_timeout_s": SHORT_S}), gate.client() as client:
        for _ in range(requests):
            client.ask("999")
        assert ends_within(client, SOON_S)


PARTS = {
    "a part of a length": b"\0\0",
    "a length": b"\0\0\0\x10",
    "a part of a message": b"\0\0\0\x10{",
}


@pytest.mark.parametrize("part", PARTS)
def test_who_begins_a_request_and_falls_silent_is_let_go(part: str, gate: Gate) -> None:
    with gate.running(limits={"request_timeout_s": SHORT_S, "idle_timeout_s": 60.0}), gate.client() as client:
        client.send(PARTS[part])
        assert ends_within(client, SOON_S)


def test_a_request_that_dribbles_is_not_waited_for_without_end(gate: Gate) -> None:
    with gate.running(limits={"request_timeout_s": SHORT_S, "idle_timeout_s": 60.0}), gate.client() as client:
        client.socket.settimeout(SHORT_S / 8)
        client.send(struct.pack(">I", 1000))
        ends = time.monotonic() + SOON_S
        is_ended = False
        while not is_ended and time.monotonic() < ends:
            try:
                client.send(b" ")
                is_ended = client.socket.recv(4096) == b""
            except TimeoutError:
                continue
            except OSError:
                is_ended = True
        assert is_ended


# Space


def test_who_does_not_read_replies_is_not_written_to_without_end(gate: Gate) -> None:
    """Its requests are no longer read either, so that nothing piles up, and then it is let go."""
    with gate.running(limits={"write_timeout_s": SHORT_S}):
        before = gate.memory_kib()
        with gate.client(receives=4096) as client:
            client.socket.settimeout(2 * SOON_S)
            many = frame(b"{}") * 10_000
            with pytest.raises((ConnectionError, ssl.SSLError)):  # and no TimeoutError, which would be the client's own
                for _ in range(200):
                    client.send(many)
        assert gate.memory_kib() - before < 32 * 1024
        assert is_let_in(gate)


def test_one_address_has_so_many_connections_and_others_have_theirs(gate: Gate) -> None:
    with gate.running(limits={"connections_per_address": 3}), ExitStack() as stack:
        mine = [stack.enter_context(gate.client()) for _ in range(3)]
        with gate.client() as one_more:
            assert one_more.reply()["status"] == "error"
            assert one_more.is_ended()
        assert is_let_in(gate)
        assert [client.ask("999")["status"] for client in mine] == ["error"] * 3
        mine[0].close()
        House.until(lambda: is_served(gate), SOON_S, "a place that was given back is given again")


def is_served(gate: Gate, **options: Any) -> bool:
    """Whether a new connection's request is answered as one."""
    with gate.client(**options) as client, suppress(Closed, OSError):
        return "100" in str(client.ask("999")["message"])
    return False


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_where_it_listens_for_both_a_client_is_known_by_its_own_address(gate: Gate) -> None:
    """And not by that of all of IPv4 within IPv6, where all clients would be one to the limits."""
    person = gate.person()
    with gate.running(listen={"host": "::"}, limits={"connections_per_address": 1}), gate.client() as client:
        assert is_served(gate, source="127.0.0.2")
        assert client.ask_bytes(log_in_body(gate, person))["status"] == "ok"
    assert gate.house.detail(gate.house.rows(person.name)[0])["gateway"] == {"peer": "127.0.0.1"}


def test_there_are_so_many_connections_in_all(gate: Gate) -> None:
    limits = {"connections": 4, "connections_per_address": 2}
    with gate.running(limits=limits), ExitStack() as stack:
        mine = [stack.enter_context(gate.client(source=f"127.0.0.{2 + number // 2}")) for number in range(4)]
        with gate.client(source="127.0.0.8") as one_more:
            assert one_more.reply()["status"] == "error"
            assert one_more.is_ended()
        assert [client.ask("999")["status"] for client in mine] == ["error"] * 4
        mine[0].close()
        House.until(lambda: is_served(gate), SOON_S, "a place that was given back is given again")


def test_one_address_asks_so_often_and_others_as_often_as_they(gate: Gate) -> None:
    with gate.running(limits={"requests_per_address_s": 0.1, "requests_burst": 3}):
        with gate.client() as client:
            assert all("100" in client.ask("999")["message"] for _ in range(3))
            assert "100" not in client.ask("999")["message"]
        assert is_let_in(gate)


def test_a_flood_from_one_address_is_answered_slowly_and_nobody_else_is(gate: Gate) -> None:
    """A thousand requests that are there already would all be refused before anybody else's is looked at."""
    with gate.running(limits={"requests_per_address_s": 0.1, "requests_burst": 1}), gate.client() as client:
        client.send(frame(b"{}") * 1000)
        assert is_let_in(gate)
        client.reply()
        assert gate.metric('fourauth_gateway_refused_total{why="too_fast"}') < 100


def test_requests_beyond_those_at_the_server_wait_or_are_told_to_come_back(gate: Gate) -> None:
    limits = {"requests_in_flight": 1, "requests_waiting": 1}
    with gate.running(limits=limits), ExitStack() as stack:
        clients = [stack.enter_context(gate.client()) for _ in range(6)]
        for client in clients:
            client.send(frame(log_in_body(gate, gate.person())))
        replies = [client.reply() for client in clients]
        assert 2 <= sum(reply["status"] == "ok" for reply in replies) < 6
        assert {reply["message"] for reply in replies if reply["status"] == "error"} == {
            "The service is busy. Please try again shortly."
        }
        assert clients[-1].ask_bytes(log_in_body(gate, gate.person()))["status"] == "ok"


def test_two_hundred_idle_and_fifty_slow_clients_are_in_nobodys_way(gate: Gate) -> None:
    limits = {"connections_per_address": 300, "request_timeout_s": 60.0}
    with gate.running(limits=limits), ExitStack() as stack:
        alone = [how_long(gate) for _ in range(3)]
        files = gate.files()
        crowd = [stack.enter_context(gate.client()) for _ in range(250)]
        for number, client in enumerate(crowd[200:]):
            client.send(struct.pack(">I", 300_000) + b" " * number)
        among = [how_long(gate) for _ in range(3)]
        assert [client.ask("999")["status"] for client in crowd[:5]] == ["error"] * 5
        for client in crowd:
            client.close()
        House.until(lambda: gate.files() <= files, SOON_S, "every descriptor is given back")
        # Before and after, so that a machine that grew slower meanwhile is not taken for the crowd.
        alone_again = [how_long(gate) for _ in range(3)]
        assert min(among) < 2 * max(min(alone), min(alone_again)) + 0.2


def how_long(gate: Gate) -> float:
    """The seconds of somebody's log in."""
    began = time.monotonic()
    assert is_let_in(gate)
    return time.monotonic() - began


# TLS


def test_tls_1_2_is_spoken_and_nothing_before_it(gate: Gate) -> None:
    with gate.client(version=ssl.TLSVersion.TLSv1_2) as client:
        assert client.socket.version() == "TLSv1.2"
        assert client.ask("999")["status"] == "error"
    with gate.client() as client:
        assert client.socket.version() == "TLSv1.3"
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")  # which OpenSSL asks for before it offers so old a version
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1_1
    address = ("127.0.0.1", gate.site.gateway_port)
    with socket.create_connection(address) as plain, context.wrap_socket(plain) as newer:
        assert newer.version() == "TLSv1.3"
    with pytest.warns(DeprecationWarning):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(address) as plain, pytest.raises(OSError):
        context.wrap_socket(plain)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def test_where_certificates_are_asked_for_a_client_without_one_is_not_heard(gate: Gate, authority: Authority) -> None:
    with gate.running(listen={"client_ca": str(authority.certificate)}, limits={"connections_per_address": 64}):
        with gate.client(identity=authority.issue("client")) as client:
            assert client.ask("999")["status"] == "error"
        with pytest.raises((OSError, Closed)), gate.client() as client:
            client.ask("999")
        stranger = Authority(authority.folder / "stranger")
        with pytest.raises((OSError, Closed)), gate.client(identity=stranger.issue("client")) as client:
            client.ask("999")
        with pytest.raises((OSError, Closed)), gate.client(identity=authority.issue("old", is_expired=True)) as client:
            client.ask("999")


# Ends


def test_on_sigterm_a_log_in_is_answered_and_idle_clients_are_let_go(gate: Gate) -> None:
    with gate.running(), gate.client() as busy, gate.client() as idle:
        busy.send(frame(log_in_body(gate, gate.person())))
        House.until(lambda: gate.is_asking(), SOON_S, "the server is asked")
        assert gate.process is not None
        gate.process.send_signal(signal.SIGTERM)
        assert idle.is_ended()
        assert busy.reply()["status"] == "ok"
        assert busy.is_ended()
        with pytest.raises(OSError):
            gate.client()
        assert gate.process.wait(SOON_S) == 0
        gate.process = None


def test_who_neither_ends_nor_reads_does_not_hold_up_the_end(gate: Gate) -> None:
    with gate.running(limits={"drain_timeout_s": SHORT_S}), gate.client() as client:
        client.send(struct.pack(">I", 1000) + b"{")
        assert gate.stop() == 0


def test_a_server_that_dies_in_the_middle_is_told_of_and_the_connection_lasts_until_it_is_back(gate: Gate) -> None:
    person = gate.person()
    with gate.running(), gate.client() as client:
        client.send(frame(log_in_body(gate, person)))
        House.until(lambda: gate.is_asking(), SOON_S, "the server is asked")
        gate.site.kill_server()
        reply = client.reply()
        granted = len(gate.house.grants(person.name))
        assert reply["status"] == "error" or granted == 1
        gate.site.start_server()
        if granted == 0:
            assert client.ask_bytes(log_in_body(gate, person))["status"] == "ok"
        assert client.ask("999")["status"] == "error"


def test_a_gateway_that_died_is_back_with_the_same_key_and_certificate(gate: Gate) -> None:
    with gate.running(), gate.client() as client:
        assert client.ask("999")["status"] == "error"
        shown = client.socket.getpeercert(binary_form=True)
        gate.kill()
        with pytest.raises((OSError, Closed)):
            client.ask("999")
        gate.start()
        with gate.client() as again:
            assert again.socket.getpeercert(binary_form=True) == shown
            assert again.ask_bytes(log_in_body(gate, gate.person()))["status"] == "ok"


def test_a_gateway_that_was_started_before_its_server_serves_once_that_is_there(gate: Gate) -> None:
    gate.site.stop_server()
    with gate.running(), gate.client() as client:
        assert client.ask_bytes(log_in_body(gate, gate.person()))["status"] == "error"
        gate.site.start_server()
        assert client.ask_bytes(log_in_body(gate, gate.person()))["status"] == "ok"


def test_nothing_that_happened_here_was_unforeseen(gate: Gate) -> None:
    lines = [json.loads(line) for line in gate.site.gateway_log.read_text().splitlines() if line.startswith("{")]
    assert lines and [line for line in lines if line["level"] not in {"info", "warning"}] == []
    assert "Traceback" not in gate.site.gateway_log.read_text()
