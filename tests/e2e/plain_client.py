"""A client of the wire protocol, written from its table alone: sockets, TLS, struct, JSON and base64.

It imports nothing of 4Auth, so it is what somebody else's client is: raw TCP wrapped in TLS, each message a
4-byte big-endian length and then that many bytes of UTF-8 JSON, several requests on one connection.
"""

import base64
import json
import socket
import ssl
import struct
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

REPLY_WITHIN_S = 60.0


class Closed(Exception):
    """The other side ended the connection, where a reply was waited for."""


class PlainClient:
    """One connection to a gateway. `certificate` is the one that it must show, or it is not spoken to.

    `identity` is shown to it, `source` the address to come from, `receives` the bytes that may be on their way here.
    """

    def __init__(
        self,
        port: int,
        certificate: Path,
        *,
        identity: tuple[Path, Path] | None = None,
        version: ssl.TLSVersion | None = None,
        source: str = "127.0.0.1",
        receives: int | None = None,
    ) -> None:
        context = ssl.create_default_context(cafile=str(certificate))
        context.check_hostname = False  # the one certificate is named, so its names say nothing more
        if identity is not None:
            context.load_cert_chain(*identity)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        plain = socket.socket()
        plain.settimeout(REPLY_WITHIN_S)
        if receives is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receives)
        try:
            plain.bind((source, 0))
            plain.connect(("127.0.0.1", port))
            self.socket = context.wrap_socket(plain)
        except BaseException:
            plain.close()
            raise

    def __enter__(self) -> "PlainClient":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self.socket.close()

    # Messages

    def ask(self, cmd: str, **fields: Any) -> dict[str, Any]:
        """Send one request and return its reply."""
        return self.ask_bytes(json.dumps({"cmd": cmd, **fields}).encode())

    def ask_bytes(self, body: bytes) -> dict[str, Any]:
        """Send one message as it is and return its reply."""
        self.send(frame(body))
        return self.reply()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def reply(self) -> dict[str, Any]:
        """The next reply. Raises Closed where the connection ended in its place."""
        (length,) = struct.unpack(">I", self._exactly(4))
        return dict(json.loads(self._exactly(length).decode("utf-8")))

    def is_ended(self) -> bool:
        """Whether the other side has ended the connection, and sent nothing more before; waits for it."""
        try:
            return self.socket.recv(1) == b""
        except (ConnectionError, ssl.SSLEOFError):
            return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                chunk = self.socket.recv(count - len(data))
            except (ConnectionError, ssl.SSLEOFError) as error:
                raise Closed(f"after {len(data)} of {count} bytes: {error}") from error
            if not chunk:
                raise Closed(f"after {len(data)} of {count} bytes")
            data += chunk
        return data

    # The six codes

    def log_in(self, who: "Who", totp: str, picture: bytes) -> dict[str, Any]:
        """100: log in."""
        return self.ask("100", **log_in_fields(who, totp, picture))

    def register(self, who: "Who", admin_secret: str, picture: bytes) -> dict[str, Any]:
        """200: register."""
        return self.ask(
            "200",
            admin_secret=admin_secret,
            username=who.username,
            password=who.password,
            totp="new",
            faceID=text_of(picture),
            mac=who.mac,
        )

    def recover_totp(self, who: "Who", picture: bytes) -> dict[str, Any]:
        """300: a new secret for the authenticator app."""
        fields = log_in_fields(who, "", picture)
        del fields["totp"]
        return self.ask("300", **fields)

    def recover_password(self, who: "Who", totp: str, picture: bytes, new_password: str) -> dict[str, Any]:
        """310: a new password."""
        fields = log_in_fields(who, totp, picture)
        del fields["password"]
        return self.ask("310", **fields, new_password=new_password)

    def recover_face(self, who: "Who", totp: str, new_picture: bytes) -> dict[str, Any]:
        """320: a new face."""
        fields = log_in_fields(who, totp, new_picture)
        return self.ask("320", **{("new_faceID" if name == "faceID" else name): fields[name] for name in fields})

    def update_mac(self, who: "Who", totp: str, picture: bytes, new_mac: str) -> dict[str, Any]:
        """330: another device."""
        return self.ask("330", **log_in_fields(who, totp, picture), new_mac=new_mac)


class Who:
    """Somebody at a device: their name, their password and the device's MAC, each of which may change."""

    def __init__(self, username: str, password: str, mac: str) -> None:
        self.username, self.password, self.mac = username, password, mac


def frame(body: bytes) -> bytes:
    """A message as it is sent."""
    return struct.pack(">I", len(body)) + body


def text_of(picture: bytes) -> str:
    """A picture as it is sent."""
    return base64.b64encode(picture).decode("ascii")


def log_in_fields(who: Who, totp: str, picture: bytes) -> dict[str, str]:
    """What a log in carries."""
    return {
        "username": who.username,
        "password": who.password,
        "totp": totp,
        "faceID": text_of(picture),
        "mac": who.mac,
        "client_ts_utc": datetime.now(UTC).isoformat(),
    }
