"""What a new password must be: 4Auth's policy and NIST SP 800-63B section 3.1.1.2.

Pure but for the random salt of `hash_password`. Errors name the rule, never the password.
"""

import unicodedata
from collections.abc import Collection
from functools import cache
from typing import Final

import bcrypt

from auth_contract.fields import canonical_password, canonical_username
from auth_server.errors import PasswordRefused

MIN_CHARS: Final = 8
MIN_DIFFERENT_CHARS: Final = 4
BCRYPT_COST: Final = 12
_ADDED_MAX: Final = 4
_WORD_MIN_CHARS: Final = 3
"""A shorter name, of a person or a site, is part of too many good passwords to be looked for."""

_SITE_WORDS: Final = ("4auth", "fourauth")


def check_new_password(password: str, username: str, site_words: Collection[str] = ()) -> None:
    """Raise PasswordRefused, naming the rule, unless the password may be set for this person.

    `site_words` are refused inside it beside 4Auth's own name. At least 64 characters are always
    accepted as far as bcrypt's 72 bytes of UTF-8 allow. Raises ValueError when the name has no
    valid form.
    """
    text = _canonical(password)
    if len(text) < MIN_CHARS:
        raise PasswordRefused(f"a password has at least {MIN_CHARS} characters")
    if all(_is_lower_case(character) for character in text):
        raise PasswordRefused("a password has at least one upper-case letter, digit or special character")
    if len(set(text)) < MIN_DIFFERENT_CHARS:
        raise PasswordRefused(f"a password has at least {MIN_DIFFERENT_CHARS} different characters")
    if _is_common(text.casefold()):
        raise PasswordRefused("this is a common password, or one with a few digits or signs added")
    bare = _bare(text)
    name = _bare(canonical_username(username))
    if _has_word(bare, name) or _has_word(bare, name[::-1]):
        raise PasswordRefused("a password does not contain the person's own name, forwards or backwards")
    if any(_has_word(bare, _bare(word)) for word in (*_SITE_WORDS, *site_words)):
        raise PasswordRefused("a password does not contain the name of this system or site")


def hash_password(password: str) -> bytes:
    """Return the bcrypt hash, cost 12, of the password in NFC; it takes about 0.2 s.

    Raises PasswordRefused above 72 bytes of UTF-8, and checks no other rule.
    """
    return bcrypt.hashpw(_canonical(password).encode(), bcrypt.gensalt(BCRYPT_COST))


def _canonical(password: str) -> str:
    try:
        return canonical_password(password)
    except ValueError as error:
        raise PasswordRefused(str(error)) from None


def _is_lower_case(character: str) -> bool:
    # A letter of a script without case is not lower-case, and neither asks for an upper-case one.
    return unicodedata.category(character) == "Ll" or unicodedata.combining(character) != 0


def _is_common(folded: str) -> bool:
    core = _strip_signs(folded)
    is_decorated = 0 < len(folded) - len(core) <= _ADDED_MAX
    return folded in _common_passwords() or (is_decorated and core in _common_passwords())


def _strip_signs(text: str) -> str:
    letters = [index for index, character in enumerate(text) if character.isalpha()]
    return text[letters[0] : letters[-1] + 1] if letters else ""


def _has_word(bare: str, word: str) -> bool:
    return len(word) >= _WORD_MIN_CHARS and word in bare


def _bare(text: str) -> str:
    """Letters and digits only, case-folded, so that `Ada-Lovelace` is found in `adalovelace1`."""
    return "".join(character for character in text.casefold() if character.isalnum())


@cache
def _common_passwords() -> frozenset[str]:
    """The 30,000 most common passwords of real leaks, from zxcvbn (MIT)."""
    # Read on first use: it takes 30 ms, and the server's start does not need it.
    from zxcvbn.frequency_lists import FREQUENCY_LISTS

    return frozenset(FREQUENCY_LISTS["passwords"])
