"""Which kiosk sent a request: its RFC 9421 signature, checked over the headers alone.

The body is bound through Content-Digest, so that nothing of it is read for a stranger. Form comes
first, then the key is looked up, then one Ed25519 verification decides, and only then is it asked
whether the kiosk is enabled and its clock right, so that the audit can say that it was this kiosk.
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    algorithms,
)

from auth_contract.limits import CLOCK_SKEW_MAX_S
from auth_contract.signing import COVERED_COMPONENTS, LABEL, TAG
from auth_server.domain import Kiosk
from auth_server.errors import KioskRefused, Malformed
from auth_server.signature_form import SignatureForm, SignedHeaders, read_form

__all__ = ["SignatureCheck", "SignedBy", "SignedHeaders", "check_digest"]


@dataclass(frozen=True, slots=True)
class SignedBy:
    """A request that is proved to come from an enabled kiosk.

    `content_digest` is the SHA-256 that the body, still unread, must have; `skew_s` says by how
    many whole seconds the kiosk's clock is ahead.
    """

    kiosk: Kiosk
    nonce: str
    created: datetime
    content_digest: bytes
    skew_s: int


class SignatureCheck:
    """Checks request signatures against the keys of registered kiosks."""

    def __init__(self, find_kiosk: Callable[[str], Kiosk | None], *, lets_gateways_in: bool = False) -> None:
        self._find_kiosk = find_kiosk
        self._lets_gateways_in = lets_gateways_in
        # Nobody has the private half: an unknown kiosk is checked against this key, so that it
        # costs what a known one costs. It is refused whatever the check says.
        self._nobody = Ed25519PrivateKey.generate().public_key()

    def verify(self, message: SignedHeaders, now: datetime) -> SignedBy:
        """Return the kiosk that signed the message, of which no body was read.

        The nonce is proved, not yet compared with those already used. Raises KioskRefused, whose
        detail has the claimed `kiosk_id` and whether it was `authenticated`, when the message is
        unsigned, badly formed, from an unknown or disabled kiosk, not signed by it, or created
        more than 120 s before or after `now` (with `skew_s`).
        """
        form = read_form(message)
        kiosk = self._find_kiosk(form.kiosk_id)
        is_signed = _is_signed(message, form, self._key_of(kiosk))
        if kiosk is None:
            raise KioskRefused("the kiosk is not registered", kiosk_id=form.kiosk_id, authenticated=False)
        if not is_signed:
            why = "the signature is not this kiosk's over this request"
            raise KioskRefused(why, kiosk_id=form.kiosk_id, authenticated=False)
        if not kiosk.enabled:
            raise KioskRefused("the kiosk is disabled", kiosk_id=form.kiosk_id, authenticated=True)
        if kiosk.is_gateway and not self._lets_gateways_in:
            why = "it is a gateway, and the settings say gateway.enabled = false"
            raise KioskRefused(why, kiosk_id=form.kiosk_id, authenticated=True)
        skew_s = form.created_s - int(now.timestamp())
        if abs(skew_s) > CLOCK_SKEW_MAX_S:
            raise _clock_refused(form, skew_s)
        created = datetime.fromtimestamp(form.created_s, UTC)
        return SignedBy(kiosk, form.nonce, created, form.content_digest, skew_s)

    def _key_of(self, kiosk: Kiosk | None) -> Ed25519PublicKey:
        if kiosk is None:
            return self._nobody
        try:
            return Ed25519PublicKey.from_public_bytes(kiosk.public_key)
        except ValueError:
            why = "the key registered for the kiosk is not an Ed25519 key: disable the kiosk and add it again"
            raise KioskRefused(why, kiosk_id=kiosk.kiosk_id, authenticated=False) from None


def check_digest(body: bytes, expected: bytes) -> None:
    """Raise Malformed unless the body has the SHA-256 that its signed Content-Digest names."""
    if not hmac.compare_digest(hashlib.sha256(body).digest(), expected):
        raise Malformed("body", "it has another SHA-256 than its signed Content-Digest says")


def _clock_refused(form: SignatureForm, skew_s: int) -> KioskRefused:
    side = "after" if skew_s > 0 else "before"
    why = f"the request was created {abs(skew_s)} s {side} the server's time, more than {CLOCK_SKEW_MAX_S} s"
    return KioskRefused(why, kiosk_id=form.kiosk_id, authenticated=True, skew_s=skew_s)


class _OneKey(HTTPSignatureKeyResolver):
    """The key that was found for this request's kiosk."""

    def __init__(self, key: Ed25519PublicKey) -> None:
        self._key = key

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        return self._key


class _Verifier(HTTPMessageVerifier):
    """The library's verifier without its own clock: `created` is judged by `SignatureCheck`."""

    def validate_created_and_expires(self, sig_input: object, max_age: object = None) -> None:
        """Leave the time to the caller, whose `now` is injected."""


@dataclass(frozen=True, slots=True)
class _Request:
    """The shape in which the library wants a request. Authority and query are not covered."""

    method: str
    url: str
    headers: Mapping[str, str]


def _is_signed(message: SignedHeaders, form: SignatureForm, key: Ed25519PublicKey) -> bool:
    verifier = _Verifier(signature_algorithm=algorithms.ED25519, key_resolver=_OneKey(key))
    request = _Request(message.method, f"https://server.invalid{message.path}", form.fields)
    try:
        verifier.verify(
            request, max_age=None, expect_tag=TAG, expect_label=LABEL, require_components=COVERED_COMPONENTS
        )
    except HTTPMessageSignaturesException:
        return False
    return True
