"""A client of the wire protocol for Python programs: one connection, one call for each code.

with WireClient("auth.example", context=trusting("gateway.crt")) as client:
    reply = client.send(LogIn(username="ann", password=..., totp=..., faceID=jpeg, mac=..., client_ts_utc=now))
    if reply.is_ok: ...
"""

import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from auth_contract.strict_json import parse_object
from auth_contract.wire import (
    FRAME_MAX,
    HEADER,
    PORT,
    LogIn,
    RecoverFace,
    RecoverPassword,
    RecoverTotp,
    Register,
    UpdateMac,
    WireReply,
    WireRequest,
    to_frame,
    to_json,
)

__all__ = [
    "LogIn",
    "RecoverFace",
    "RecoverPassword",
    "RecoverTotp",
    "Register",
    "UpdateMac",
    "WireClient",
    "WireError",
    "WireReply",
    "log_in",
    "trusting",
]


class WireError(Exception):
    """There was no answer, or none that can be understood; nobody knows whether a request arrived."""


def trusting(
    certificate: Path | str, *, key: Path | str | None = None, own: Path | str | None = None
) -> ssl.SSLContext:
    """Return a TLS context that trusts this certificate of a gateway, whatever its names.

    Of an authority's certificate it trusts all that it signed: give the gateway's own. `own` and `key` are a
    certificate and key to show, where the gateway asks for one. Raises OSError for a file that cannot be read or is
    no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # Who holds the key of what is trusted is the gateway, whatever name the certificate has.
    context.check_hostname = False
    context.load_verify_locations(certificate)
    if own is not None:
        context.load_cert_chain(own, key)
    return context


class WireClient:
    """One connection to a gateway. Not for several threads at once.

    `timeout_s` is for each wait; a decision takes about half a second. Methods raise WireError.
    """

    def __init__(self, host: str, port: int = PORT, *, context: ssl.SSLContext, timeout_s: float = 15.0) -> None:
        try:
            plain = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            raise WireError(f"{host}:{port}: {error}") from error
        try:
            self._socket = context.wrap_socket(plain, server_hostname=host)
        except OSError as error:
            plain.close()
            raise WireError(f"{host}:{port}: {error}") from error

    def send(self, request: WireRequest) -> WireReply:
        """Send a request and return its answer. Never send it again after a WireError without looking first.

        A WireError ends the connection: an answer that comes late must not be taken for the next request's.
        """
        frame = to_frame(to_json(request))
        try:
            self._socket.sendall(frame)
            return self._answer()
        except (OSError, ValueError) as error:
            raise self._ended(f"no usable answer: {type(error).__name__}") from error

    def _answer(self) -> WireReply:
        (length,) = HEADER.unpack(self._read(HEADER.size))
        if length > FRAME_MAX:
            raise self._ended(f"the answer claims {length} bytes, {FRAME_MAX} are allowed")
        text = self._read(length)
        parse_object(text)
        return WireReply.model_validate_json(text)

    def _ended(self, why: str) -> WireError:
        self.close()
        return WireError(why)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _read(self, size: int) -> bytes:
        text = b""
        while len(text) < size:
            more = self._socket.recv(size - len(text))
            if not more:
                raise self._ended("the gateway closed the connection")
            text += more
        return text

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def log_in(client: WireClient, *, username: str, password: str, totp: str, picture: bytes, mac: str) -> bool:
    """Return whether this person is let in now; `picture` is a JPEG. Raises WireError, ValueError for a bad field."""
    request = LogIn(
        username=username, password=password, totp=totp, faceID=picture, mac=mac, client_ts_utc=datetime.now(UTC)
    )
    return client.send(request).is_ok
