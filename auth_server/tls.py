"""TLS 1.3 for gunicorn, with an end to every wait.

gunicorn's threaded worker waits without limit for a handshake and for the rest of a request
(measured: eight one-byte-at-a-time clients held its eight threads for good). Here a handshake
and the receipt of one request each have a total time, after which the connection is dropped, and
neither a silent connection nor one that is not closed in return holds anybody else up.
"""

import errno
import ssl
from collections import Counter
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from gunicorn.util import close_graceful
from gunicorn.workers.gthread import _DEFER, ThreadWorker

from auth_contract.limits import BODY_MAX_BYTES
from auth_server.sources import source_of

HEAD_TIMEOUT_S = 4.0
"""For receiving one request's head, which a kiosk sends in one packet."""

REQUEST_TIMEOUT_S = 15.0
"""For receiving its body, of at most 4 MiB, however it is dribbled."""

_LINGER_S = 2.0
"""For the other side to close in return, while what it still sends is thrown away.

Closing at once on unread data would reset the connection, and the refusal would never be read.
"""

_LINGER_MAX_BYTES = 2 * BODY_MAX_BYTES


class DeadlineSocket(ssl.SSLSocket):
    """A server-side TLS socket on which a handshake and receiving one request each have a total time.

    gunicorn makes the socket blocking at the start of each request: that starts the time.
    """

    context: "DeadlineContext"
    _deadline: float | None = None

    def setblocking(self, flag: bool) -> None:
        """Start the time of a request's head when made blocking."""
        super().setblocking(flag)
        if flag:
            self.allow(self.context.head_timeout_s)

    def allow(self, seconds: float) -> None:
        """Let what is received from now on take so long in all."""
        self._deadline = monotonic() + seconds
        self.settimeout(seconds)

    def do_handshake(self, block: bool = False) -> None:
        """Shake hands within the time-out: the C library counts it over all reads."""
        self.settimeout(self.context.handshake_timeout_s)
        try:
            super().do_handshake(block)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the TLS handshake did not end in time") from error
        self.setblocking(True)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """Receive as usual; raise ConnectionResetError once the request's time is over."""
        if self._deadline is not None:
            remaining_s = self._deadline - monotonic()
            if remaining_s <= 0:
                raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time")
            allowed_s = self.gettimeout()
            self.settimeout(remaining_s if allowed_s is None else min(allowed_s, remaining_s))
        try:
            return super().recv(buflen, flags)
        except TimeoutError as error:
            raise ConnectionResetError(errno.ECONNRESET, "the request did not arrive in time") from error


class DeadlineContext(ssl.SSLContext):
    """A server context whose sockets have deadlines."""

    sslsocket_class = DeadlineSocket
    handshake_timeout_s: float
    head_timeout_s: float
    request_timeout_s: float
    connections_per_address: int


class DeadlineWorker(ThreadWorker):
    """gunicorn's threaded worker, where nobody's silence takes a thread or stops the loop that accepts.

    One source may have `connections_per_address` connections open; the next is closed before its
    handshake. While that is below the number of threads, no single machine takes them all; where
    a proxy or a fleet of kiosks stands behind one address it is set higher on purpose.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]
        self._open: Counter[str] = Counter()

    def enqueue_req(self, conn: Any) -> None:
        """Hand a connection to the pool; count it when it is new, and close it when it is one too many."""
        if not getattr(conn, "is_counted", False):
            source = source_of(conn.client[0] if isinstance(conn.client, tuple) else None)
            context: Any = self.cfg.ssl_context(self.cfg, None)
            if self._open[source] >= context.connections_per_address:
                self.nr_conns -= 1
                conn.sock.close()
                return
            self._open[source] += 1
            conn.is_counted, conn.is_closed = True, False
            conn.close = partial(self._close, conn, source, conn.close)
        super().enqueue_req(conn)  # type: ignore[no-untyped-call]

    def _close(self, conn: Any, source: str, close: Any, graceful: bool = False) -> None:
        self._open[source] -= 1
        if not self._open[source]:
            del self._open[source]
        if not conn.is_closed:
            close(graceful)

    def handle_request(self, req: Any, conn: Any) -> Any:
        """Answer a request whose head has arrived: its body has a time of its own."""
        conn.sock.allow(conn.sock.context.request_timeout_s)
        return super().handle_request(req, conn)  # type: ignore[no-untyped-call]

    def handle(self, conn: Any) -> Any:
        """Answer a request in a thread of the pool.

        A new connection without a byte goes to the poller at once, where gunicorn would keep a
        thread for 5 s. The wait for the other side's close is done here, where gunicorn would
        stop its only loop for it.
        """
        if not conn.initialized and not conn.wait_for_data(0):
            return _DEFER
        is_kept: Any = super().handle(conn)  # type: ignore[no-untyped-call]
        if not is_kept:
            close_graceful(conn.sock, _LINGER_S, _LINGER_MAX_BYTES)
            conn.is_closed = True
        return is_kept


def server_context(
    certificate: Path,
    key: Path,
    *,
    handshake_timeout_s: float,
    request_timeout_s: float = REQUEST_TIMEOUT_S,
    connections_per_address: int = 6,
) -> ssl.SSLContext:
    """A TLS 1.3 context. There is no client certificate: a kiosk proves itself by its signature."""
    context = DeadlineContext(ssl.PROTOCOL_TLS_SERVER)
    context.handshake_timeout_s = handshake_timeout_s
    context.head_timeout_s = min(HEAD_TIMEOUT_S, request_timeout_s)
    context.request_timeout_s = request_timeout_s
    context.connections_per_address = connections_per_address
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.load_cert_chain(certificate, key)
    return context
