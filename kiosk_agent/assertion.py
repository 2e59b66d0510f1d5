"""Proof of a granted login: the server's EdDSA JWT, checked against its published keys.

The door trusts nothing else: not the status of the reply, not its words.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from jwt.algorithms import OKPAlgorithm

from auth_client.errors import ServerUnavailable
from auth_contract.limits import CLOCK_SKEW_MAX_S
from kiosk_agent.errors import AssertionRefused
from kiosk_agent.events import VerifiedAssertion

_NEEDED_CLAIMS: Final = ("iss", "aud", "sub", "jti", "kiosk", "nonce", "iat", "nbf", "exp", "amr")
_NEEDED_METHODS: Final = frozenset({"pwd", "otp", "face"})
"""RFC 8176: what the person must have shown."""


class AssertionVerifier:
    """Verifies assertions for one kiosk of one site; keys are fetched once and for each unknown kid."""

    def __init__(self, fetch_jwks: Callable[[], Mapping[str, Any]], *, site: str, kiosk_id: str) -> None:
        self._fetch_jwks = fetch_jwks
        self._site = site
        self._kiosk_id = kiosk_id
        self._keys: dict[str, Ed25519PublicKey] = {}

    def verify(self, token: str, *, username: str, nonce: str, now: datetime) -> VerifiedAssertion:
        """Return the proof that this person was granted this attempt at this kiosk now.

        `now` is aware UTC. A kiosk's clock may be up to 120 s off, like at the clock factor, so the
        times have that much leeway: it is the attempt's nonce that makes an old assertion useless.

        Raises AssertionRefused naming the rule, never the token.
        """
        claims = self._signed_claims(token)
        expected = {
            "iss": f"4auth:{self._site}",
            "aud": self._site,
            "sub": username,
            "kiosk": self._kiosk_id,
            "nonce": nonce,
        }
        for claim, value in expected.items():
            if claims[claim] != value:
                raise AssertionRefused(f"the assertion's {claim} is {str(claims[claim])[:60]!r} and not {value!r}")
        _check_times(claims, now.timestamp())
        if not isinstance(claims["amr"], list) or not _NEEDED_METHODS <= set(map(str, claims["amr"])):
            raise AssertionRefused(f"the assertion's amr lacks one of {sorted(_NEEDED_METHODS)}")
        return VerifiedAssertion(username=username, jti=str(claims["jti"]), token=token)

    def _signed_claims(self, token: str) -> dict[str, Any]:
        """Return the claims of a token that one of the server's keys signed; no claim is judged yet."""
        try:
            header = jwt.get_unverified_header(token)
            key = self._key(str(header.get("kid")))
            # PyJWT reads the machine's clock; ours is injected, so times and names are judged above.
            options = {
                "require": list(_NEEDED_CLAIMS),
                **dict.fromkeys(("verify_exp", "verify_nbf", "verify_iat", "verify_aud", "verify_iss"), False),
            }
            return jwt.decode(token, key, algorithms=["EdDSA"], options=options)  # type: ignore[arg-type]
        except (jwt.PyJWTError, ValueError) as error:
            raise AssertionRefused(f"the assertion is not signed as it must be: {type(error).__name__}") from None

    def _key(self, kid: str) -> Ed25519PublicKey:
        if kid not in self._keys:
            try:
                self._keys = _ed25519_keys(self._fetch_jwks())
            except ServerUnavailable as error:
                raise AssertionRefused(f"the server's keys cannot be had: {error}") from error
        if kid not in self._keys:
            raise AssertionRefused("the assertion names a key that the server does not publish")
        return self._keys[kid]


def _ed25519_keys(jwks: Mapping[str, Any]) -> dict[str, Ed25519PublicKey]:
    """Return the Ed25519 keys of a JWKS document by kid; keys of other kinds are passed over."""
    keys: dict[str, Ed25519PublicKey] = {}
    members = jwks.get("keys")
    for member in members if isinstance(members, list) else []:
        if not isinstance(member, dict) or member.get("kty") != "OKP" or member.get("crv") != "Ed25519":
            continue
        try:
            key = OKPAlgorithm.from_jwk(member)
        except jwt.InvalidKeyError:
            continue
        if isinstance(key, Ed25519PublicKey) and isinstance(member.get("kid"), str):
            keys[member["kid"]] = key
    return keys


def _check_times(claims: Mapping[str, Any], now_s: float) -> None:
    times = {claim: claims[claim] for claim in ("iat", "nbf", "exp")}
    if not all(type(value) is int for value in times.values()):
        raise AssertionRefused("the assertion's times are not whole seconds")
    if now_s > times["exp"] + CLOCK_SKEW_MAX_S:
        raise AssertionRefused(f"the assertion expired {int(now_s - times['exp'])} s ago by this kiosk's clock")
    if now_s < max(times["iat"], times["nbf"]) - CLOCK_SKEW_MAX_S:
        raise AssertionRefused("the assertion is not valid yet by this kiosk's clock")
