"""What a granted login hands out: a short-lived JWT that anyone with the JWKS can verify.

EdDSA over Ed25519 (RFC 8037), valid for 60 s, for this site only (`aud`), naming the person, the
kiosk and the attempt's nonce. A verifier takes each `jti` once.
"""

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from auth_server.keyring import SigningKeys

LIFETIME_S: Final = 60
ALGORITHM: Final = "EdDSA"
METHODS: Final = ("pwd", "otp", "face", "mfa")
"""RFC 8176 values for what a login has proved."""


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed assertion, and the id under which the audit log knows it."""

    token: str = field(repr=False)
    jti: str


def _random_id() -> str:
    return secrets.token_urlsafe(16)


class Assertions:
    """Signs the assertions of one site with the Ed25519 key that is in use, and publishes all that may be met."""

    def __init__(self, keys: SigningKeys, site: str, new_id: Callable[[], str] = _random_id) -> None:
        self._keys = keys
        self._site = site
        self._new_id = new_id

    def issue(self, username: str, kiosk_id: str, nonce: str, now: datetime) -> Issued:
        """Return an assertion that this person passed all factors at this kiosk at `now` (aware)."""
        jti = self._new_id()
        issued_at = int(now.timestamp())
        claims = {
            "iss": f"4auth:{self._site}",
            "aud": self._site,
            "sub": username,
            "jti": jti,
            "kiosk": kiosk_id,
            "nonce": nonce,
            "iat": issued_at,
            "nbf": issued_at,
            "exp": issued_at + LIFETIME_S,
            "amr": list(METHODS),
        }
        key = self._keys.current
        headers = {"kid": _thumbprint(_jwk(key.public_key()))}
        return Issued(jwt.encode(claims, key, algorithm=ALGORITHM, headers=headers), jti)

    def jwks(self) -> dict[str, object]:
        """Return the public keys as a JWK Set (RFC 7517, RFC 8037 section 2), the one in use first.

        The next one is among them, so that verifiers know it before it signs, and so is the last one,
        for the assertions that still hold.
        """
        published = (_jwk(key) for key in self._keys.public.values())
        return {"keys": [{**jwk, "kid": _thumbprint(jwk), "use": "sig", "alg": ALGORITHM} for jwk in published]}


def _jwk(key: Ed25519PublicKey) -> dict[str, str]:
    return {"crv": "Ed25519", "kty": "OKP", "x": _base64url(key.public_bytes_raw())}


def _thumbprint(jwk: dict[str, str]) -> str:
    """The SHA-256 thumbprint of a key's required members in lexical order (RFC 7638 section 3)."""
    canonical = json.dumps(jwk, sort_keys=True, separators=(",", ":"))
    return _base64url(hashlib.sha256(canonical.encode()).digest())


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
