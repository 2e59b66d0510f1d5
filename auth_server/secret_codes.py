"""Codes that are handed out once: enrolment tickets and administrators' secrets.

They are Crockford's Base32, which leaves out letters that are mistaken for digits. A code is all random
bits (80 or 125), so that a plain hash keeps it: nothing could be guessed faster than the code itself.
"""

import hashlib
import secrets
from collections.abc import Callable
from typing import Final

from auth_contract.fields import canonical_permission
from auth_contract.limits import ADMIN_SECRET_CHARS, TICKET_CHARS

RandomBytes = Callable[[int], bytes]

_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_DOMAIN: Final = b"4auth permission v1\0"
_GROUP_CHARS: Final = {TICKET_CHARS: 4, ADMIN_SECRET_CHARS: 5}


def new_ticket(random_bytes: RandomBytes = secrets.token_bytes) -> str:
    """Return a new enrolment ticket: 16 characters, 80 random bits."""
    return _new_code(TICKET_CHARS, random_bytes)


def new_admin_secret(random_bytes: RandomBytes = secrets.token_bytes) -> str:
    """Return a new administrator's secret: 25 characters, 125 random bits."""
    return _new_code(ADMIN_SECRET_CHARS, random_bytes)


def code_hash(code: str) -> str:
    """Return what is stored of a code, however it was typed: 64 hexadecimal digits of SHA-256.

    The hash begins with a prefix of its own, so that it equals no other hash in the store.
    Raises ValueError for text that cannot be a code.
    """
    return hashlib.sha256(_DOMAIN + canonical_permission(code).encode("ascii")).hexdigest()


def grouped(code: str) -> str:
    """Return a code as it is handed out, in fours or fives: `XXXX-XXXX-XXXX-XXXX`."""
    text = canonical_permission(code)
    size = _GROUP_CHARS[len(text)]
    return "-".join(text[start : start + size] for start in range(0, len(text), size))


def _new_code(characters: int, random_bytes: RandomBytes) -> str:
    size = (5 * characters + 7) // 8
    bits = int.from_bytes(random_bytes(size), "big") >> (8 * size - 5 * characters)
    return "".join(_ALPHABET[bits >> 5 * place & 31] for place in reversed(range(characters)))
