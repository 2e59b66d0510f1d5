"""One NTP answer is believed only when every field of it makes sense.

Most tests ask a real UDP server on the loopback interface that answers as it is told.
"""

import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from threading import Thread

import ntplib
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.ntp import NtpRefused, Sample, check, query, split_source
from auth_server.settings import TimeSettings
from auth_server.timesource import TimeSource

EPOCH = 2_208_988_800  # Unix zero in NTP's seconds

Edit = Callable[[ntplib.NTPPacket], None]


def answer_to(request: bytes, edit: Edit, ahead_s: float = 0.0) -> bytes:
    """What an honest stratum-2 server says, after `edit`."""
    asked, reply = ntplib.NTPPacket(), ntplib.NTPPacket(version=4, mode=4)
    asked.from_data(request)
    reply.stratum, reply.root_delay, reply.root_dispersion = 2, 0.01, 0.005
    reply.orig_timestamp = asked.tx_timestamp
    reply.recv_timestamp = reply.tx_timestamp = ntplib.system_to_ntp_time(time.time()) + ahead_s
    edit(reply)
    return bytes(reply.to_data())


@contextmanager
def server(respond: Callable[[bytes], bytes | None], answer_from: socket.socket | None = None) -> Iterator[str]:
    """A UDP server for one request; `respond` gives its answer, or None for silence."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5)

        def serve() -> None:
            request, client = sock.recvfrom(512)
            reply = respond(request)
            if reply is not None:
                (answer_from or sock).sendto(reply, client)

        thread = Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{sock.getsockname()[1]}"
        thread.join()


def unchanged(_reply: ntplib.NTPPacket) -> None:
    """An honest answer."""


@pytest.mark.parametrize("ahead_s", [0.0, 120.0, -120.0, 0.5])
def test_an_honest_answer_gives_the_offset(ahead_s: float) -> None:
    with server(lambda request: answer_to(request, unchanged, ahead_s)) as source:
        sample = query(source)
    assert sample.error_s < 0.5
    assert abs(sample.offset_s - ahead_s) <= sample.error_s


def setting(**fields: object) -> Edit:
    def edit(reply: ntplib.NTPPacket) -> None:
        for name, value in fields.items():
            assert hasattr(reply, name)
            setattr(reply, name, value)

    return edit


def held_backwards(reply: ntplib.NTPPacket) -> None:
    reply.tx_timestamp -= 0.5


def answered_before_it_was_asked(reply: ntplib.NTPPacket) -> None:
    reply.recv_timestamp -= 2


@pytest.mark.parametrize(
    ("edit", "why"),
    [
        (setting(stratum=0, ref_id=int.from_bytes(b"RATE")), "kiss-o'-death 'RATE'"),
        (setting(stratum=0, ref_id=int.from_bytes(b"DENY")), "kiss-o'-death 'DENY'"),
        (setting(stratum=0, ref_id=int.from_bytes(b"\x1b[2J")), "kiss-o'-death '2J'"),
        (setting(stratum=16), "stratum 16"),
        (setting(stratum=255), "stratum 255"),
        (setting(leap=3), "leap indicator 3"),
        (setting(mode=3), "mode 3"),
        (setting(mode=5), "mode 5"),
        (setting(mode=1), "mode 1"),
        (setting(version=1), "version 1"),
        (setting(orig_timestamp=0), "not to our request"),
        (setting(orig_timestamp=EPOCH + 1_700_000_000.5), "not to our request"),
        (setting(tx_timestamp=0), "empty timestamp"),
        (setting(recv_timestamp=0), "empty timestamp"),
        (setting(root_dispersion=16.0), "may be 16.005 s off"),
        (setting(root_delay=4.0), "may be 2.005 s off"),
        (held_backwards, "on its way"),
        (answered_before_it_was_asked, "on its way"),
    ],
)
def test_a_senseless_answer_is_refused_by_name(edit: Edit, why: str) -> None:
    with server(lambda request: answer_to(request, edit)) as source, pytest.raises(NtpRefused, match=why):
        query(source)


@pytest.mark.parametrize("reply", [b"", b"\x24", b"hello", b"\x24" * 47])
def test_what_is_no_packet_is_refused(reply: bytes) -> None:
    with server(lambda _request: reply) as source, pytest.raises(NtpRefused, match="no NTP packet"):
        query(source)


def test_the_request_thrown_back_is_refused() -> None:
    with server(lambda request: request) as source, pytest.raises(NtpRefused, match="mode 3"):
        query(source)


def test_silence_is_refused_after_the_time_limit() -> None:
    with server(lambda _request: None) as source, pytest.raises(NtpRefused, match=r"no answer within 0\.05 s"):
        query(source, timeout_s=0.05)


def test_a_closed_port_is_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    with pytest.raises(NtpRefused, match="cannot be asked"):
        query(f"127.0.0.1:{port}")


def test_an_answer_from_another_port_is_not_even_read() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
        server(lambda request: answer_to(request, unchanged, 120.0), answer_from=stranger) as source,
        pytest.raises(NtpRefused, match="no answer"),
    ):
        query(source, timeout_s=0.05)


def test_every_request_carries_another_unguessable_cookie() -> None:
    cookies = set()

    def respond(request: bytes) -> bytes:
        cookies.add(request[40:48])
        assert request[0] == 0b00_100_011  # no leap, version 4, client
        assert request[1:40] == bytes(39)  # nothing about this machine
        return answer_to(request, unchanged)

    for _ in range(20):
        with server(respond) as source:
            query(source)
    assert len(cookies) == 20


def test_a_slow_answer_is_refused_by_its_delay() -> None:
    ticks = iter([1000.0, 1001.5])
    with (
        server(lambda request: answer_to(request, unchanged)) as source,
        pytest.raises(NtpRefused, match=r"1\.500 s on its way"),
    ):
        query(source, clock=lambda: next(ticks))


@pytest.mark.parametrize(
    ("source", "host", "port"),
    [
        ("ntp.example", "ntp.example", 123),
        ("ntp.example:1123", "ntp.example", 1123),
        ("192.0.2.1:1123", "192.0.2.1", 1123),
        ("[2001:db8::1]:1123", "2001:db8::1", 1123),
        ("[2001:db8::1]", "2001:db8::1", 123),
        ("2001:db8::1", "2001:db8::1", 123),
    ],
)
def test_a_source_is_a_host_with_or_without_a_port(source: str, host: str, port: int) -> None:
    assert split_source(source) == (host, port)


@pytest.mark.parametrize("source", ["host:", "host:0", "host:65536", "host:ntp", "host:-1", "host:\u0663"])
def test_a_source_with_another_port_is_refused(source: str) -> None:
    with pytest.raises(NtpRefused, match="port"):
        split_source(source)


def packet(cookie: float, received_at: float, sent_at: float, **fields: object) -> bytes:
    reply = ntplib.NTPPacket(version=4, mode=4, tx_timestamp=(sent_at + EPOCH) % 2**32)
    reply.stratum, reply.orig_timestamp, reply.recv_timestamp = 1, cookie, (received_at + EPOCH) % 2**32
    setting(**fields)(reply)
    return bytes(reply.to_data())


@given(st.floats(-(10**6), 10**6), st.floats(0, 0.4), st.floats(0, 0.4), st.floats(0, 1))
def test_the_truth_lies_within_the_error(offset_s: float, there_s: float, back_s: float, held_s: float) -> None:
    asked = 1_795_000_000.0
    arrived = asked + there_s + offset_s
    reply = packet(1.5, arrived, arrived + held_s)
    sample = check(reply, cookie=1.5, sent_at=asked, received_at=asked + there_s + held_s + back_s)
    assert abs(sample.offset_s - offset_s) <= sample.error_s + 1e-5


@pytest.mark.parametrize("now", [2_085_978_495.0, 2_085_978_496.0, 2_085_978_500.0, 2_200_000_000.0])
def test_the_end_of_the_ntp_era_in_2036_is_no_jump(now: float) -> None:
    sample = check(packet(1.5, now + 3.01, now + 3.02), cookie=1.5, sent_at=now, received_at=now + 0.03)
    assert sample == Sample(offset_s=pytest.approx(3.0, abs=1e-5), error_s=pytest.approx(0.01, abs=1e-5))


@given(st.binary(max_size=100))
def test_no_answer_raises_anything_else(data: bytes) -> None:
    with pytest.raises(NtpRefused):
        check(data, cookie=1.5, sent_at=1e9, received_at=1e9)


@given(st.binary(min_size=48, max_size=48), st.integers(1, 15))
def test_no_well_addressed_answer_raises_anything_else(data: bytes, stratum: int) -> None:
    forged = bytes([0b00_100_100, stratum]) + data[2:24] + struct.pack("!II", 1, 2**31) + data[32:]
    try:
        sample = check(forged, cookie=1.5, sent_at=1e9, received_at=1e9 + 0.5)
    except NtpRefused:
        return
    assert sample.error_s <= 2.0


@pytest.mark.parametrize(
    ("ahead_s", "state"),
    [
        ([0.0, 0.0], "verified"),
        ([0.0, 0.0, 120.0], "verified"),
        ([120.0, 120.0, 0.0], "wrong"),
        ([0.0, 120.0], "unverified"),
        ([120.0], "unverified"),
    ],
)
def test_real_servers_decide_by_majority(ahead_s: list[float], state: str) -> None:
    with ExitStack() as running:
        answers = [partial(answer_to, edit=unchanged, ahead_s=ahead) for ahead in ahead_s]
        sources = [running.enter_context(server(answer)) for answer in answers]
        closed = "127.0.0.1:1"
        status = TimeSource(TimeSettings(sources=(*sources, closed))).check()
    assert status.state == state
    assert status.sources[-1].fault is not None
