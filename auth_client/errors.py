"""What an exchange with the auth server can end with, when it is not a reply. Leaves carry data.

AuthClientError
├── DeviceKeyRefused             the device key cannot be read or made, or is open to others
└── ServerError                  an exchange did not succeed
    ├── Refused                  the server refused; carries its ErrorReply
    └── ServerUnavailable        no answer, or none that can be understood, from any server
        ├── ServerNotTrusted     its key is none of the pinned ones; nothing was sent
        ├── ServerUnreachable    no connection for a submission; nothing was sent
        └── ReplyLost            a submission may have arrived, its answer did not
"""

from auth_contract.messages import ErrorReply


class AuthClientError(Exception):
    """Base of all errors that this package raises on purpose."""


class DeviceKeyRefused(AuthClientError):
    """The device key cannot be read or made, or is open to others; the message says what to do."""


class ServerError(AuthClientError):
    """An exchange with the auth server did not succeed."""


class Refused(ServerError):
    """The auth server answered, and its answer is no."""

    def __init__(self, status: int, reply: ErrorReply) -> None:
        super().__init__(f"the server refused with {status} {reply.reason}: {reply.message}")
        self.status = status
        self.reply = reply


class ServerUnavailable(ServerError):
    """The auth server gave no answer, or none that can be understood."""


class ServerNotTrusted(ServerUnavailable):
    """The server's key is none of the pinned ones; no byte of a request was sent."""

    def __init__(self, found: str, pins: tuple[str, ...], where: str) -> None:
        super().__init__(
            f"the server's key has the SHA-256 {found} at {where}, pinned is {' or '.join(pins)}: if the server's "
            "key was changed on purpose, put its new hash into server.pins; if not, someone stands in between"
        )
        self.found = found


class ServerUnreachable(ServerUnavailable):
    """No connection for a submission came about, so that no byte of it was sent."""


class ReplyLost(ServerUnavailable):
    """A submission may have arrived at the server, but its answer did not arrive here."""
