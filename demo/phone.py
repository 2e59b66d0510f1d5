"""A person's authenticator app."""

import time
from urllib.parse import parse_qs, urlsplit

import pyotp

_STEP_S = 30


class Phone:
    """Reads a QR code, and never shows a code twice.

    `before` is the phone in whose place it comes: a half minute that was used stays used.
    """

    def __init__(self, uri: str, before: "Phone | None" = None) -> None:
        self._totp = pyotp.TOTP(parse_qs(urlsplit(uri).query)["secret"][0])
        self._next_step: int = 0 if before is None else before._next_step

    @property
    def secret(self) -> str:
        """What the QR code told it, in letters: for a look whether it stands anywhere that it should not."""
        return str(self._totp.secret)

    def code(self) -> str:
        """The next code that a server may take; waits where it is of a step too far away."""
        step = max(self._next_step, int(time.time()) // _STEP_S)
        while step > int(time.time()) // _STEP_S + 1:
            time.sleep(0.2)
        self._next_step = step + 1
        return self._totp.at(step * _STEP_S)
