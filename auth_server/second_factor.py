"""A new person's TOTP secret: made here, handed out once as a QR code, and proved by a first code."""

from dataclasses import dataclass, field
from datetime import datetime

import pyotp

from auth_server.factors.totp import verify_first

SECRET_CHARS = 32
"""Base32 digits: 160 bits, the size that RFC 4226, section 4, recommends."""


@dataclass(frozen=True, slots=True)
class SecondFactor:
    """A secret in Base32, and the URI that any authenticator app reads."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)


def new_second_factor(username: str, site: str) -> SecondFactor:
    """Return a new random secret for a person."""
    secret = pyotp.random_base32(SECRET_CHARS)
    uri = pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=f"4Auth {site}")
    return SecondFactor(secret, uri)


def step_of(code: str, secret: str, now: datetime) -> int | None:
    """Return the newest time step near `now` that `code` belongs to, or None when it is of none."""
    verdict = verify_first(claim=code, secret=secret, now=now)
    return int(str(verdict.evidence["step"])) if verdict.passed else None
