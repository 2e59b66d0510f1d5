"""The one form that 4Auth's request signatures have, read from the headers (RFC 9421, RFC 9530).

Pure, and cheap: an unsigned request costs a look at its header names. Nothing is proved here.
"""

import binascii
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, cast

import http_sf

from auth_contract.signing import CONTENT_TYPE, COVERED_COMPONENTS, LABEL, TAG
from auth_server.errors import KioskRefused

ALG: Final = "ed25519"
HEADER_MAX_CHARS: Final = 512
"""A kiosk's Signature-Input has some 220 characters; the others are shorter."""

_NEEDED: Final = ("signature-input", "signature", "content-type", "content-digest")
_PARAMETERS: Final = frozenset({"created", "nonce", "keyid", "alg", "tag"})
_METHOD: Final = re.compile(r"[A-Z]{1,16}")
_PATH: Final = re.compile(r"/[A-Za-z0-9._~/-]{0,127}")
_PRINTABLE: Final = re.compile(r"[\x20-\x7e]+")
_KIOSK_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{22}")
_DIGEST: Final = re.compile(r"sha-256=:([A-Za-z0-9+/]{43}=):")


@dataclass(frozen=True, slots=True)
class SignedHeaders:
    """The part of a request that a signature covers.

    `path` has no query and no escapes; `headers` are the field lines in any order and case.
    """

    method: str
    path: str
    headers: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SignatureForm:
    """What the headers say, well-formed and not yet proved. `fields` are the four that matter."""

    kiosk_id: str
    nonce: str
    created_s: int
    content_digest: bytes
    fields: Mapping[str, str] = field(repr=False)


def read_form(message: SignedHeaders) -> SignatureForm:
    """Return the claims of exactly one signature over exactly the agreed components.

    Raises KioskRefused saying which rule of form is broken, and nothing else whatever arrives.
    """
    fields = _fields(message.headers)
    if not _METHOD.fullmatch(message.method) or not _PATH.fullmatch(message.path):
        raise KioskRefused("the method or the path has a form that no kiosk uses")
    parameters = _parameters(fields["signature-input"])
    claimed = {"kiosk_id": parameters["keyid"], "authenticated": False}
    signature, extra = _only_member("signature", fields["signature"])
    if not isinstance(signature, bytes) or len(signature) != 64 or extra:
        raise KioskRefused("the signature is not 64 bytes of base64", **claimed)
    if fields["content-type"] != CONTENT_TYPE:
        raise KioskRefused(f"content-type is not exactly {CONTENT_TYPE}", **claimed)
    digest = _DIGEST.fullmatch(fields["content-digest"])
    if digest is None:
        raise KioskRefused("content-digest is not exactly one sha-256 in base64", **claimed)
    return SignatureForm(
        kiosk_id=parameters["keyid"],
        nonce=parameters["nonce"],
        created_s=parameters["created"],
        content_digest=binascii.a2b_base64(digest[1]),
        fields=fields,
    )


def _fields(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return the four headers that matter, each there once, short and printable ASCII."""
    fields: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        if key not in _NEEDED:
            continue
        if key in fields:
            raise KioskRefused(f"the header {key} stands twice")
        if len(value) > HEADER_MAX_CHARS or not _PRINTABLE.fullmatch(value):
            raise KioskRefused(f"the header {key} is not 1 to {HEADER_MAX_CHARS} printable ASCII characters")
        fields[key] = value
    for key in _NEEDED:
        if key not in fields:
            raise KioskRefused(f"unsigned: there is no header {key}")
    return fields


def _parameters(signature_input: str) -> Mapping[str, Any]:
    """Return the signature's parameters, each of its type and form."""
    items, given = _only_member("signature-input", signature_input)
    if not isinstance(items, list) or any(extra for _, extra in items):
        raise KioskRefused("signature-input is not a list of components without parameters")
    components = [component for component, _ in items]
    if not all(type(c) is str for c in components) or sorted(components) != sorted(COVERED_COMPONENTS):
        raise KioskRefused(f"the signature does not cover exactly {', '.join(COVERED_COMPONENTS)}")
    if given.keys() != _PARAMETERS:
        raise KioskRefused(f"the signature's parameters are not exactly {', '.join(sorted(_PARAMETERS))}")
    if not _is_text(given["keyid"], _KIOSK_ID):
        raise KioskRefused("keyid is not a kiosk id", claimed=str(given["keyid"])[:40])
    claimed = {"kiosk_id": given["keyid"], "authenticated": False}
    if not _is_text(given["nonce"], _NONCE):
        raise KioskRefused("nonce is not 22 characters of base64url", **claimed)
    if type(given["created"]) is not int:
        raise KioskRefused("created is not a whole number of seconds", **claimed)
    if type(given["alg"]) is not str or given["alg"] != ALG:
        raise KioskRefused(f"alg is not {ALG}", **claimed)
    if type(given["tag"]) is not str or given["tag"] != TAG:
        raise KioskRefused(f"tag is not {TAG}", **claimed)
    return given


def _is_text(value: object, form: re.Pattern[str]) -> bool:
    return type(value) is str and form.fullmatch(value) is not None


def _only_member(header: str, text: str) -> tuple[Any, Mapping[str, Any]]:
    """Return value and parameters of the one member `kiosk` of a Dictionary header (RFC 9651)."""

    def refuse_duplicate(key: str, _context: str) -> None:
        raise http_sf.StructuredFieldError(f"{key} stands twice")

    try:
        parsed: Any = http_sf.parse(text.encode(), tltype="dictionary", on_duplicate_key=refuse_duplicate)
    except ValueError:
        raise KioskRefused(f"the header {header} is not a structured dictionary with unique keys") from None
    members = cast("dict[str, tuple[Any, Mapping[str, Any]]]", parsed)
    if members.keys() != {LABEL}:
        raise KioskRefused(f"the header {header} does not hold exactly one signature, {LABEL}")
    return members[LABEL]
