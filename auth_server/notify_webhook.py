"""Notifications to a server of the site's: a signed POST of JSON, answered by a status 200 to 299.

What the other side says besides its status is not read, so it can neither fill memory nor hold the
thread; and its connection is cut when the time is over, however lively it dribbles.
"""

import hashlib
import hmac
import os
import socket
from pathlib import Path
from threading import Lock, Timer
from typing import Any, Final

from requests import RequestException, Response
from requests.adapters import HTTPAdapter
from requests.exceptions import ConnectionError as ConnectionFailed
from requests.exceptions import SSLError, Timeout
from requests.sessions import Session
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection

from auth_server.errors import DeliveryFailed, SettingsRefused
from auth_server.key_files import read_key_file
from auth_server.settings import WebhookNotify

SIGNATURE_HEADER: Final = "X-4Auth-Signature"
_SECRET_MIN_BYTES: Final = 16


class WebhookBackend:
    """Posts to one URL: no redirect is followed, and no proxy or password is taken from the environment."""

    def __init__(self, settings: WebhookNotify) -> None:
        """Read the secret. Raises StartRefused where a file is missing, too open or too short."""
        self.timeout_s = settings.timeout_s
        self._settings = settings
        self._secret = None if settings.secret_file is None else _read_secret(settings.secret_file)
        if settings.ca_file is not None and not settings.ca_file.is_file():
            raise SettingsRefused(f"notify.ca_file = {str(settings.ca_file)!r}: there is no such file")

    def deliver(self, document: bytes) -> None:
        """Post the document. Raises DeliveryFailed, in words that quote neither URL nor secret, unless it was taken."""
        with _Deadline(self.timeout_s) as deadline, self._session(deadline) as session:
            try:
                with self._post(session, document) as response:
                    status = response.status_code
            except RequestException as error:
                status, why = None, _said(error, self.timeout_s)
        if deadline.is_over:  # a head that was cut reads like a short one
            raise DeliveryFailed(f"no answer within {self.timeout_s:g} s")
        if status is None:
            raise DeliveryFailed(why)
        _check(status)

    def _post(self, session: Session, document: bytes) -> Response:
        headers = {"Content-Type": "application/json", "User-Agent": "4auth", "Connection": "close"}
        if self._secret is not None:
            headers[SIGNATURE_HEADER] = "sha256=" + hmac.new(self._secret, document, hashlib.sha256).hexdigest()
        return session.post(
            self._settings.url,
            data=document,
            headers=headers,
            timeout=self.timeout_s,
            allow_redirects=False,
            stream=True,
        )

    def _session(self, deadline: "_Deadline") -> Session:
        session = Session()
        session.trust_env = False
        session.headers.clear()
        ca_file, fingerprint = self._settings.ca_file, self._settings.certificate_sha256
        # A certificate that is known by its own hash needs no authority; urllib3 compares it before it sends.
        session.verify = str(ca_file) if ca_file is not None else fingerprint is None
        session.mount("https://", _Adapter(deadline, fingerprint))
        session.mount("http://", _Adapter(deadline, None))
        return session


class _Deadline:
    """Cuts every connection of one delivery when its time is over; none of the library's time-outs ends a dribble."""

    def __init__(self, after_s: float) -> None:
        self.is_over = False
        self._lock = Lock()
        self._sockets: list[socket.socket] = []
        self._timer = Timer(after_s, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> "_Deadline":
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            for watched in self._sockets:
                watched.close()
            self._sockets.clear()

    def watch(self, connection: socket.socket) -> None:
        """Cut this connection too. A copy is kept, because TLS takes the socket itself away."""
        with self._lock:
            self._sockets.append(socket.socket(fileno=os.dup(connection.fileno())))
            if self.is_over:
                self._shut()

    def _cut(self) -> None:
        with self._lock:
            self.is_over = True
            self._shut()

    def _shut(self) -> None:
        for watched in self._sockets:
            try:
                watched.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it was closed already


class _Adapter(HTTPAdapter):
    """Makes connections that a deadline watches; nothing is tried twice."""

    def __init__(self, deadline: _Deadline, fingerprint: str | None) -> None:
        self._deadline = deadline
        self._fingerprint = fingerprint
        super().__init__(max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Make the pool manager of this delivery."""
        if self._fingerprint is not None:
            pool_kwargs["assert_fingerprint"] = self._fingerprint
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        deadline = self._deadline

        class Plain(HTTPConnection):
            """A connection without TLS."""

            def _new_conn(self) -> socket.socket:
                made = super()._new_conn()
                deadline.watch(made)
                return made

        class Encrypted(HTTPSConnection):
            """A connection with TLS, watched from before its handshake."""

            def _new_conn(self) -> socket.socket:
                made = super()._new_conn()
                deadline.watch(made)
                return made

        class PlainPool(HTTPConnectionPool):
            """Pool of one delivery."""

            ConnectionCls = Plain

        class EncryptedPool(HTTPSConnectionPool):
            """Pool of one delivery."""

            ConnectionCls = Encrypted

        self.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": EncryptedPool}


def _read_secret(path: Path) -> bytes:
    secret = read_key_file(path).strip()
    if len(secret) < _SECRET_MIN_BYTES:
        raise SettingsRefused(f"notify.secret_file = {str(path)!r}: a secret has at least {_SECRET_MIN_BYTES} bytes")
    return secret


def _check(status: int) -> None:
    if 300 <= status < 400:
        raise DeliveryFailed(f"the receiver answered {status}: redirects are not followed, name the right URL")
    if not 200 <= status < 300:
        raise DeliveryFailed(f"the receiver answered {status}")


def _said(error: RequestException, timeout_s: float) -> str:
    """Why, in words of ours: the library's quote the URL."""
    if isinstance(error, SSLError):
        return "the receiver's certificate is not trusted: see notify.ca_file and notify.certificate_sha256"
    if isinstance(error, Timeout):
        return f"no answer within {timeout_s:g} s"
    if isinstance(error, ConnectionFailed):
        return "no connection, or it was broken"
    return f"the exchange failed: {type(error).__name__}"
