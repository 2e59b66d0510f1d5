"""TLS 1.3 for gunicorn, with an end to every wait.

gunicorn's threaded worker waits without limit for a handshake and for the rest of a request
(measured: eight one-byte-at-a-time clients held its eight threads for good). Here a handshake
and the receipt of one request each have a total time, after which the connection is dropped.
"""

import errno
import ssl
from pathlib import Path
from socket import socket
from time import monotonic
from typing import Any

REQUEST_TIMEOUT_S = 15.0
"""For receiving one whole request, head and body, however it is dribbled."""


class DeadlineSocket(ssl.SSLSocket):
    """A server-side TLS socket on which receiving one request may take `REQUEST_TIMEOUT_S` in all.

    gunicorn makes the socket blocking at the start of each request: that starts the time.
    """

    _deadline: float | None = None

    def setblocking(self, flag: bool) -> None:
        """Start the time of a request when made blocking."""
        super().setblocking(flag)
        if flag:
            self._deadline = monotonic() + REQUEST_TIMEOUT_S
            self.settimeout(REQUEST_TIMEOUT_S)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive as usual; raise ConnectionResetError once the request's time is over."""
        if self._deadline is not None:
            remaining_s = self._deadline - monotonic()
            if remaining_s <= 0:
                raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time")
            self.settimeout(remaining_s)
        try:
            return super().recv(buflen, flags)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time") from error


class DeadlineContext(ssl.SSLContext):
    """A server context whose handshakes take `handshake_timeout_s` at the most."""

    sslsocket_class = DeadlineSocket
    handshake_timeout_s: float

    def wrap_socket(self, sock: socket, *args: Any, **kwargs: Any) -> ssl.SSLSocket:
        """Wrap and shake hands within the time-out; the C library counts it over all reads."""
        sock.settimeout(self.handshake_timeout_s)
        try:
            wrapped = super().wrap_socket(sock, *args, **kwargs)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the TLS handshake did not end in time") from error
        wrapped.setblocking(True)
        return wrapped


def server_context(certificate: Path, key: Path, *, handshake_timeout_s: float) -> ssl.SSLContext:
    """A TLS 1.3 context. There is no client certificate: a kiosk proves itself by its signature."""
    context = DeadlineContext(ssl.PROTOCOL_TLS_SERVER)
    context.handshake_timeout_s = handshake_timeout_s
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context
