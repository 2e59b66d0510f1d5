"""HTTPS to servers that are known by their key alone.

No public authority has a say. The certificate's SubjectPublicKeyInfo must have one of the pinned
SHA-256 hashes, and this is compared when the handshake is done and before the first byte of a
request: names, dates and issuers mean nothing here, so the host name is not checked either.
"""

import hashlib
import hmac
import ssl
from typing import Any, ClassVar

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from requests.adapters import HTTPAdapter
from requests.sessions import Session
from urllib3 import HTTPSConnectionPool, PoolManager
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import NewConnectionError

from auth_client.errors import ServerNotTrusted


def spki_sha256(certificate_der: bytes) -> str:
    """Return the lower-case hex SHA-256 of a certificate's SubjectPublicKeyInfo.

    Raises ValueError where the bytes are no certificate.
    """
    key = x509.load_der_x509_certificate(certificate_der).public_key()
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


class PinnedConnection(HTTPSConnection):
    """A TLS connection that is closed again unless the other side has a pinned key."""

    pins: ClassVar[tuple[str, ...]] = ()

    def connect(self) -> None:
        """Connect, shake hands, compare the key; raises ServerNotTrusted before a request byte leaves.

        Raises NewConnectionError also where the handshake fails, so that nobody takes it for a loss of what was sent.
        """
        try:
            super().connect()
        except OSError as error:
            raise NewConnectionError(self, f"the handshake failed: {type(error).__name__}: {error}") from error
        found = self._presented_key()
        if not any(hmac.compare_digest(found, pin) for pin in self.pins):
            self.close()
            raise ServerNotTrusted(found, self.pins, f"{self.host}:{self.port}")
        # urllib3 warns of every connection that no authority vouches for; the pin is what vouches here.
        self.is_verified = True

    def _presented_key(self) -> str:
        certificate = self.sock.getpeercert(binary_form=True) if isinstance(self.sock, ssl.SSLSocket) else None
        try:
            return spki_sha256(certificate or b"")
        except ValueError:
            return "none"


def pinned_pool(pins: tuple[str, ...]) -> type[HTTPSConnectionPool]:
    """Return a connection pool class whose connections accept these keys only."""

    class Connection(PinnedConnection):
        """Connections of one client."""

    Connection.pins = pins

    class Pool(HTTPSConnectionPool):
        """Pool of one client."""

        ConnectionCls = Connection

    return Pool


class PinnedAdapter(HTTPAdapter):
    """The only way out of a pinned session: TLS 1.3, pinned keys, no proxy, no retry."""

    def __init__(self, pins: tuple[str, ...]) -> None:
        self._pins = pins
        super().__init__(max_retries=0)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:
        """Make the pool manager know https alone, and by pinned connections."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the pin verifies, see `PinnedConnection.connect`
        self.poolmanager = PoolManager(connections, maxsize=maxsize, block=block, ssl_context=context)
        self.poolmanager.pool_classes_by_scheme = {"https": pinned_pool(self._pins)}

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """Refuse: a proxy would stand between the device and the key that it must see."""
        raise ServerNotTrusted("none, a proxy was asked for", self._pins, proxy)


def pinned_session(pins: tuple[str, ...]) -> Session:
    """Return a session that reaches pinned servers over https and nothing else.

    It takes no proxy, netrc or certificate file from the environment.
    """
    session = Session()
    session.trust_env = False
    session.verify = False
    session.adapters.clear()
    session.mount("https://", PinnedAdapter(pins))
    session.headers.clear()
    return session
