"""Constrained field types: a value that passed one of these needs no further check of form.

Error messages name the rule and never repeat the value, because half of these are secrets.
"""

import base64
import ipaddress
import re
import unicodedata
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, WithJsonSchema

from auth_contract.limits import (
    ADMIN_SECRET_CHARS,
    FRAME_MAX_BYTES,
    PASSWORD_MAX_BYTES,
    PASSWORD_MAX_CHARS,
    TICKET_CHARS,
    USERNAME_MAX_CHARS,
)

_USERNAME_EXTRA = frozenset(" .'_@-")
# Letters and marks that nobody can see (Unicode's Default_Ignorable_Code_Point among L and M): with
# them two names look alike.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")
_RFC_3339 = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?(Z|[+-][0-9]{2}:[0-9]{2})")
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_PERMISSION = re.compile(f"[0-9A-HJKMNP-TV-Z]{{{TICKET_CHARS}}}|[0-9A-HJKMNP-TV-Z]{{{ADMIN_SECRET_CHARS}}}")
_READ_AS = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_PERMISSION_MAX_CHARS = 40
_FRAME_MAX_CHARS = (FRAME_MAX_BYTES + 2) // 3 * 4


def canonical_username(value: str) -> str:
    """Return the one spelling under which an account is stored and looked up.

    NFC, then case folding, then NFC again: `Zoë`, `ZOË` and a decomposed `zoë` are one person.
    Visible letters, marks and digits of any script are allowed, and between them space . ' _ @ -.

    Raises ValueError when empty, longer than 64 characters, or holding anything else.
    """
    # Before anything else: NFC of 40,000 combining marks takes seconds (its sorting is quadratic).
    if len(value) > USERNAME_MAX_CHARS:
        raise ValueError(f"a name has 1 to {USERNAME_MAX_CHARS} characters")
    name = unicodedata.normalize("NFC", unicodedata.normalize("NFC", value).casefold())
    if not 1 <= len(name) <= USERNAME_MAX_CHARS:
        raise ValueError(f"a name has 1 to {USERNAME_MAX_CHARS} characters")
    if not all(unicodedata.category(c)[0] in "LMN" or c in _USERNAME_EXTRA for c in name):
        raise ValueError("a name has letters, digits, space and . ' _ @ - only")
    if _INVISIBLE.search(name):
        raise ValueError("a name has no letters that nobody can see")
    if not (unicodedata.category(name[0])[0] in "LN" and name[-1] != " " and "  " not in name):
        raise ValueError("a name starts with a letter or digit and has single spaces inside only")
    return name


def canonical_password(value: str) -> str:
    """Return the password in NFC, so that two keyboards that compose differently agree.

    Raises ValueError when it holds a control character, a character that this Python's Unicode
    does not know (its NFC may change, RFC 8264 section 9.10), or is above bcrypt's 72 bytes of UTF-8.
    """
    if len(value) > PASSWORD_MAX_CHARS:
        size = len(value.encode(errors="replace"))
        raise ValueError(f"a password has at most {PASSWORD_MAX_BYTES} bytes of UTF-8, this one has {size}")
    password = unicodedata.normalize("NFC", value)
    if any(unicodedata.category(c) in {"Cc", "Cs", "Cn"} for c in password):
        raise ValueError("a password has no control characters and no unassigned ones")
    size = len(password.encode())
    if size > PASSWORD_MAX_BYTES:
        raise ValueError(f"a password has at most {PASSWORD_MAX_BYTES} bytes of UTF-8, this one has {size}")
    return password


def canonical_mac(value: str) -> str:
    """Return a MAC as six lower-case hexadecimal pairs joined by colons.

    Raises ValueError when it has another form, is all zero, or has the multicast bit
    (IEEE 802: the lowest bit of the first octet), which no single NIC carries.
    """
    mac = value.lower().replace("-", ":")
    if not _MAC.fullmatch(mac):
        raise ValueError("a MAC address has six pairs of hexadecimal digits, as in 02:00:5e:10:00:01")
    if mac == "00:00:00:00:00:00" or int(mac[:2], 16) & 1:
        raise ValueError("a MAC address is not all zero and not a multicast address")
    return mac


def canonical_address(value: str) -> str:
    """Return an IPv4 or IPv6 address in its shortest spelling, without a zone; one of IPv4 within IPv6 as IPv4.

    Raises ValueError for anything else.
    """
    try:
        address = ipaddress.ip_address(value.partition("%")[0])
    except ValueError:
        raise ValueError("an address is one of IPv4 or IPv6, as in 192.0.2.7") from None
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def canonical_permission(value: str) -> str:
    """Return an enrolment ticket (16 characters) or an administrator's secret (25) as it was made.

    Crockford's Base32: case, hyphens and spaces do not matter, O is read as 0, I and L as 1.

    Raises ValueError for another length or alphabet.
    """
    text = value[: _PERMISSION_MAX_CHARS + 1].upper().translate(_READ_AS)
    if not _PERMISSION.fullmatch(text):
        raise ValueError(
            f"an enrolment ticket has {TICKET_CHARS} letters and digits, an administrator's secret {ADMIN_SECRET_CHARS}"
        )
    return text


def _decode_frame(value: object) -> bytes:
    if isinstance(value, bytes):
        data = value
    elif isinstance(value, str) and len(value) <= _FRAME_MAX_CHARS:
        try:
            data = base64.b64decode(value, validate=True)
        except ValueError:  # not base64's alphabet, not ASCII, or wrongly padded
            raise ValueError("a frame is standard base64 with padding") from None
    else:
        raise ValueError(f"a frame is a base64 string of at most {FRAME_MAX_BYTES} bytes decoded")
    if len(data) > FRAME_MAX_BYTES:
        raise ValueError(f"a frame has at most {FRAME_MAX_BYTES} bytes, this one has {len(data)}")
    if not data.startswith(b"\xff\xd8\xff"):
        raise ValueError("a frame is a JPEG, and this one does not begin like one")
    return data


def _read_timestamp(value: object) -> object:
    # pydantic alone would also take "1700000000", as Unix seconds, and half a dozen other spellings.
    if not isinstance(value, str):
        return value
    if not _RFC_3339.fullmatch(value):
        raise ValueError("a timestamp is RFC 3339 with seconds and offset, as in 2026-11-22T09:30:00Z")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise ValueError("a timestamp names a day and a time that exist") from None


def _in_utc(value: datetime) -> datetime:
    if value.utcoffset() is None:
        raise ValueError("a timestamp carries its offset, as in 2026-11-22T09:30:00Z")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("a timestamp lies within the years 1 to 9999 in UTC") from None


def _printable(value: str) -> str:
    # str.isprintable leaves out controls, line breaks, lone surrogates and bidirectional overrides.
    if not value.isprintable():
        raise ValueError("a text has printable characters only")
    return value


Username = Annotated[
    str,
    Field(min_length=1, max_length=USERNAME_MAX_CHARS, description="Account name; NFC and case-folded"),
    AfterValidator(canonical_username),
]
Password = Annotated[
    str,
    Field(min_length=1, max_length=PASSWORD_MAX_CHARS, description="NFC, at most 72 bytes of UTF-8"),
    AfterValidator(canonical_password),
]
Permission = Annotated[
    str,
    Field(
        min_length=TICKET_CHARS,
        max_length=_PERMISSION_MAX_CHARS,
        description="An enrolment ticket or an administrator's secret, Crockford's Base32",
    ),
    AfterValidator(canonical_permission),
]
TotpCode = Annotated[str, Field(pattern=r"^[0-9]{6}$", min_length=6, max_length=6, description="RFC 6238, six digits")]
Mac = Annotated[str, Field(min_length=17, max_length=17), AfterValidator(canonical_mac)]
Address = Annotated[str, Field(min_length=2, max_length=80), AfterValidator(canonical_address)]
KioskId = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", max_length=32)]
Token = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22}$", description="128 random bits, base64url")]
Timestamp = Annotated[datetime, BeforeValidator(_read_timestamp), AfterValidator(_in_utc)]
Printable = Annotated[str, AfterValidator(_printable)]
"""Free text that may be shown, logged or printed to a terminal as it is; each use adds its length."""

FrameJpeg = Annotated[
    bytes,
    BeforeValidator(_decode_frame),
    PlainSerializer(lambda data: base64.b64encode(data).decode(), return_type=str, when_used="json"),
    WithJsonSchema(
        {
            "type": "string",
            "contentEncoding": "base64",
            "contentMediaType": "image/jpeg",
            "maxLength": _FRAME_MAX_CHARS,
            "description": "JPEG, at most 1 MiB and 12 megapixels",
        }
    ),
]
