"""One NTP query whose answer is believed only when every field of it makes sense (RFC 5905).

`ntplib` makes and reads the packets. Its own `NTPClient` accepts any reply, forged ones too, so
the exchange is done here: from a connected socket, with 53 random bits as transmit timestamp that
an honest server must echo, which somebody off the path cannot guess.
"""

import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import ntplib

_PORT: Final = 123
_VERSION: Final = 4
_SERVER_MODE: Final = 4
_UNSYNCHRONISED: Final = 3
_ERA_S: Final = 2**32
"""NTP's 32 bits of seconds start again in 2036, so times are compared by their shortest way round."""

MAX_DELAY_S: Final = 1.0
MAX_ROOT_DISTANCE_S: Final = 1.5
"""RFC 5905's MAXDIST: how far a server may be from its reference clock."""


class NtpRefused(Exception):
    """A source gave no answer, or one that must not be believed; the message says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One believable answer.

    `offset_s` is what must be added to this machine's clock; the truth lies within `error_s` of
    it, if the source is honest.
    """

    offset_s: float
    error_s: float


def query(source: str, *, timeout_s: float = 2.0, clock: Callable[[], float] = time.time) -> Sample:
    """Ask one source, `host`, `host:port` or `[address]:port`, and check its answer.

    Waits at most `timeout_s` after the name is resolved. Raises NtpRefused.
    """
    # A float has 53 bits: 32 of seconds and 21 of fraction survive the packet exactly.
    cookie = secrets.randbits(53) / 2**21
    request = ntplib.NTPPacket(version=_VERSION, mode=3, tx_timestamp=cookie)
    try:
        host, port = split_source(source)
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.settimeout(timeout_s)
            sock.connect(address)
            sent_at = clock()
            sock.send(request.to_data())
            data = sock.recv(512)
            received_at = clock()
    except TimeoutError:
        raise NtpRefused(f"no answer within {timeout_s} s") from None
    except (OSError, UnicodeError) as error:
        raise NtpRefused(f"cannot be asked: {error}") from error
    return check(data, cookie=cookie, sent_at=sent_at, received_at=received_at)


def split_source(source: str) -> tuple[str, int]:
    """Return host and port of `host`, `host:port`, `[address]:port` or a bare IPv6 address.

    Raises NtpRefused when the port is no number from 1 to 65535.
    """
    host, colon, port = source.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        return source.strip("[]"), _PORT
    if not (port.isascii() and port.isdigit() and 1 <= int(port[:6]) <= 65535):
        raise NtpRefused(f"the port {port[:10]!r} is not a number from 1 to 65535")
    return host.strip("[]"), int(port)


def check(data: bytes, *, cookie: float, sent_at: float, received_at: float) -> Sample:
    """Return what a reply says, if it answers our request and every field of it makes sense.

    `cookie` is the transmit timestamp that was sent; the times are Unix seconds of this machine's
    clock. Raises NtpRefused.
    """
    reply = ntplib.NTPPacket()
    try:
        reply.from_data(data)
    except ntplib.NTPException:
        raise NtpRefused(f"the answer has {len(data)} bytes and is no NTP packet") from None
    _check_header(reply, cookie)
    held_s = _shortest(reply.tx_timestamp - reply.recv_timestamp)
    delay_s = (received_at - sent_at) - held_s
    if held_s < 0 or not -0.001 <= delay_s <= MAX_DELAY_S:
        raise NtpRefused(f"the answer took {delay_s:.3f} s on its way, not 0 to {MAX_DELAY_S} s")
    root_distance_s = reply.root_delay / 2 + reply.root_dispersion
    if root_distance_s > MAX_ROOT_DISTANCE_S:
        raise NtpRefused(f"its own clock may be {root_distance_s:.3f} s off, more than {MAX_ROOT_DISTANCE_S} s")
    there = _shortest(reply.recv_timestamp - ntplib.system_to_ntp_time(sent_at))
    back = _shortest(reply.tx_timestamp - ntplib.system_to_ntp_time(received_at))
    return Sample(offset_s=(there + back) / 2, error_s=max(delay_s, 0.0) / 2 + root_distance_s)


def _check_header(reply: ntplib.NTPPacket, cookie: float) -> None:
    if reply.mode != _SERVER_MODE:
        raise NtpRefused(f"the answer has mode {reply.mode}, not {_SERVER_MODE} (server)")
    if reply.version not in (3, _VERSION):
        raise NtpRefused(f"the answer has version {reply.version}, not 3 or {_VERSION}")
    if reply.orig_timestamp != cookie:
        raise NtpRefused("the answer is not to our request: its origin timestamp is another")
    if reply.stratum == 0:
        code = reply.ref_id.to_bytes(4, "big").decode("ascii", "replace")
        raise NtpRefused(f"kiss-o'-death {''.join(c for c in code if c.isalnum())!r}: the server asks to be left alone")
    if reply.stratum > 15:
        raise NtpRefused(f"the server is not synchronised: stratum {reply.stratum}")
    if reply.leap == _UNSYNCHRONISED:
        raise NtpRefused("the server is not synchronised: leap indicator 3")
    if reply.recv_timestamp == 0 or reply.tx_timestamp == 0:
        raise NtpRefused("the answer has an empty timestamp")


def _shortest(seconds: float) -> float:
    return (seconds + _ERA_S / 2) % _ERA_S - _ERA_S / 2
