"""A program's look at itself, for its watchdog: a connection to its own port, by the way that everybody takes.

What only counts time, or only lives, proves nothing. Here bytes go through the listening socket, TLS and
the code that answers, and come back.
"""

import os
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address
from threading import Lock
from typing import Final

SOURCE: Final = "127.0.0.2"
"""Where the probe comes from, which is nobody else's: what is limited by address, is so for it alone."""

_SOON_S: Final = 0.02

Ask = Callable[[ssl.SSLSocket], bool]
"""Asks something on a connection, and returns whether the answer was right. Raises OSError where none came."""


def _never() -> bool:
    return False


class Probe:
    """Asks the program at `host` and `port`. `closing_counts` says whether to be closed is an answer, too, now."""

    def __init__(
        self,
        host: IPv4Address | IPv6Address,
        port: int,
        ask: Ask,
        timeout_s: float,
        closing_counts: Callable[[], bool] = _never,
    ) -> None:
        self._is_v4 = host.version == 4
        own = ("127.0.0.1" if self._is_v4 else "::1") if host.is_unspecified else str(host)
        self._address = (own, port)
        self._ask = ask
        self._timeout_s = timeout_s
        self._closing_counts = closing_counts
        # The other end is this program: whom its certificate names is no matter.
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self._context.check_hostname = False
        self._context.verify_mode = ssl.CERT_NONE
        self._busy = Lock()
        self._open: socket.socket | None = None

    def answers(self) -> bool:
        """Return whether the program answered in time, never raising."""
        with self._busy:
            try:
                return self._asked()
            except (TimeoutError, ConnectionRefusedError):
                return False
            except OSError:  # closed, before the handshake or after
                return self._closing_counts()
            finally:
                self._open = None

    def hold_while_forking(self) -> None:
        """Break a look off before this process forks: a child must inherit neither its lock nor TLS half-way."""
        os.register_at_fork(before=self._hold, after_in_parent=self._busy.release, after_in_child=self._busy.release)

    def _asked(self) -> bool:
        family = socket.AF_INET if self._is_v4 else socket.AF_INET6
        with self._context.wrap_socket(socket.socket(family), do_handshake_on_connect=False) as connection:
            self._open = connection
            connection.settimeout(self._timeout_s)
            if self._is_v4:
                connection.bind((SOURCE, 0))
            connection.connect(self._address)
            connection.do_handshake()
            return self._ask(connection)

    def _hold(self) -> None:
        # Again and again: it may be about to connect, and only what is connected can be shut.
        while not self._busy.acquire(timeout=_SOON_S):
            opened = self._open
            if opened is not None:
                with suppress(OSError):
                    socket.socket.shutdown(opened, socket.SHUT_RDWR)  # SSLSocket's own would take TLS from its reader


def is_own(address: str) -> bool:
    """Return whether a connection from there may be a probe's, which over IPv6 has no address of its own."""
    return address in {SOURCE, "::1"}


def received(connection: ssl.SSLSocket, count: int) -> bytes:
    """Return so many bytes of an answer. Raises ConnectionResetError where it ends before."""
    found = bytearray()
    while len(found) < count:
        more = connection.recv(count - len(found))
        if not more:
            raise ConnectionResetError
        found += more
    return bytes(found)
