"""Judging the rows of an original 4Auth: what each becomes here, or why it is left out. Pure.

What the original took without looking (an empty MAC, a picture of no face, two spellings of one name)
is not taken over: an account is whole under our rules, or it is named with the reason.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import pyotp
from cryptography.fernet import Fernet, InvalidToken

from auth_contract.fields import canonical_mac, canonical_username
from auth_server.domain import AuditEntry
from provisioning.original import OriginalLogRow, OriginalUser

IMPORTED: Final = "imported"
"""The outcome of a log row that somebody else's log told of."""

_BCRYPT = re.compile(rb"\$2[abxy]\$([0-9]{2})\$[./A-Za-z0-9]{53}")
_COSTS: Final = range(4, 16)
"""bcrypt takes 31 as well, which is days for each login."""

_WEAK_BELOW: Final = 10
_ACTIONS: Final = {
    "100": "login",
    "200": "register",
    "300": "recover_totp",
    "310": "recover_password",
    "320": "recover_face",
    "330": "update_mac",
}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An account that is not taken over: what kind of fault, and the sentence for a person."""

    username: str
    kind: str
    why: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """An account of which all but the face is known to be good. `mac_address` is None where it had no valid one."""

    username: str
    row_hash: bytes
    password_hash: bytes = field(repr=False)
    totp_secret: str = field(repr=False)
    picture: bytes = field(repr=False)
    mac_address: str | None
    notes: tuple[str, ...]


class Fault(Exception):
    """A rule that a row breaks."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(why)
        self.kind = kind
        self.why = why


def shown(name: object) -> str:
    """A name as the original had it, for a person to read."""
    return name if isinstance(name, str) else repr(name)[:64]


def shared_names(names: Iterable[object]) -> frozenset[str]:
    """Return the names that more than one row comes to under our spelling."""
    spelt = Counter(name for name in map(_canonical, names) if name is not None)
    return frozenset(name for name, count in spelt.items() if count > 1)


def judge(user: OriginalUser, fernet: Fernet, shared: frozenset[str], *, needs_mac: bool) -> Candidate:
    """Return what a row becomes, but for its face. Raises Fault."""
    name = _name(user.username, shared)
    password_hash, notes = _password_hash(user.password_hash)
    secret = _totp_secret(user.totp_secret_enc, fernet)
    mac = _mac(user.mac_address, needs_mac=needs_mac)
    if mac is None:
        notes = (*notes, f"its device {shown(user.mac_address)!r} is no MAC address and was not bound")
    picture = _opened(user.face_image_enc, fernet, "face_sealed", "the face picture")
    return Candidate(name, row_hash(user), password_hash, secret, picture, mac, notes)


def row_hash(user: OriginalUser) -> bytes:
    """Name one row by its values, so that it is known again."""
    digest = hashlib.sha256()
    for value in (user.username, user.password_hash, user.face_image_enc, user.totp_secret_enc, user.mac_address):
        data = value if isinstance(value, bytes) else repr(value).encode("utf-8", "backslashreplace")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.digest()


def opens(user: OriginalUser, fernet: Fernet) -> bool:
    """Whether the key opens the TOTP secret of a row."""
    try:
        _opened(user.totp_secret_enc, fernet, "totp_sealed", "the TOTP secret")
    except Fault:
        return False
    return True


def log_entry(row: OriginalLogRow, source: str) -> AuditEntry:
    """Return an old log row as a row of ours that says whose word it is.

    Its time in our chain is that of the import: the old time, number and words stand in the detail,
    for nothing proves them.
    """
    action = shown(row.action)
    original = {
        "id": row.id,
        "ts_utc": row.ts_utc,
        "username": row.username,
        "action": row.action,
        "success": row.success,
        "detail": row.detail,
    }
    return AuditEntry(
        action=f"import.{_ACTIONS.get(action, action)}",
        success=row.success in (1, True, "1"),
        outcome_reason=IMPORTED,
        username=None if row.username is None else _canonical(row.username) or shown(row.username),
        kiosk_id=None,
        source_address=None,
        detail={"original": {name: _plain(value) for name, value in original.items()}, "source": source},
    )


def _plain(value: object) -> object:
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else value


def _canonical(name: object) -> str | None:
    try:
        return canonical_username(name) if isinstance(name, str) else None
    except ValueError:
        return None


def _name(value: object, shared: frozenset[str]) -> str:
    if not isinstance(value, str):
        raise Fault("name", "its name is no text")
    try:
        name = canonical_username(value)
    except ValueError as error:
        raise Fault("name", f"its name cannot be an account's: {error}") from None
    if name in shared:
        raise Fault("name_collision", f"several accounts of the original are spelt {name!r} here: rename all but one")
    return name


def _password_hash(value: object) -> tuple[bytes, tuple[str, ...]]:
    data = value.encode("utf-8", "replace") if isinstance(value, str) else value
    form = _BCRYPT.fullmatch(data) if isinstance(data, bytes) else None
    if form is None or not isinstance(data, bytes):
        raise Fault("password_hash", "its password hash is not bcrypt's")
    cost = int(form[1])
    if cost not in _COSTS:
        raise Fault("password_hash", f"its password hash has cost {cost}, not {_COSTS[0]} to {_COSTS[-1]}")
    weak = f"its password hash has cost {cost}, below {_WEAK_BELOW}: have the password changed"
    return data, (weak,) if cost < _WEAK_BELOW else ()


def _totp_secret(value: object, fernet: Fernet) -> str:
    data = _opened(value, fernet, "totp_sealed", "the TOTP secret")
    try:
        secret = data.decode("ascii").strip().upper()
        pyotp.TOTP(secret).generate_otp(0)
    except ValueError:
        raise Fault("totp_secret", "its TOTP secret is not Base32 of 112 bits or more") from None
    return secret


def _mac(value: object, *, needs_mac: bool) -> str | None:
    try:
        if not isinstance(value, str):
            raise ValueError("it has none")
        return canonical_mac(value.strip())
    except ValueError as error:
        if not needs_mac:
            return None
        raise Fault("mac", f"its device {shown(value)!r}: {error}; --kiosk would bind it to one of ours") from None


def _opened(value: object, fernet: Fernet, kind: str, what: str) -> bytes:
    if not isinstance(value, bytes | str) or not value:
        raise Fault(kind, f"{what} is missing")
    try:
        return fernet.decrypt(value)
    except (InvalidToken, ValueError):
        raise Fault(kind, f"{what} was changed or sealed by another key") from None
