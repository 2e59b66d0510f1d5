"""What each action asks for, as data: its steps in order, the menus, and the form of each entry.

Pure. What an entry must be is the contract's; what it may be is the server's to say.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Final

from auth_contract.actions import Action
from auth_contract.fields import canonical_password, canonical_permission, canonical_username
from auth_contract.limits import PASSWORD_MAX_CHARS, USERNAME_MAX_CHARS
from kiosk_agent.events import Entries, Step
from kiosk_agent.phrases import Language, Phrase

CODE_DIGITS: Final = 6
_PERMISSION_MAX_CHARS: Final = 40
"""Of what may be typed: an administrator's secret with a hyphen after every second character is shorter."""

FLOWS: Final[Mapping[Action, tuple[Step, ...]]] = MappingProxyType(
    {
        Action.LOGIN: (Step.NAME, Step.PASSWORD, Step.CODE, Step.FACE),
        Action.REGISTER: (Step.NAME, Step.PERMISSION, Step.NEW_PASSWORD, Step.REPEAT, Step.ENROL),
        Action.RECOVER_TOTP: (Step.NAME, Step.PASSWORD, Step.FACE),
        Action.RECOVER_PASSWORD: (Step.NAME, Step.NEW_PASSWORD, Step.REPEAT, Step.CODE, Step.FACE),
        Action.RECOVER_FACE: (Step.NAME, Step.PASSWORD, Step.CODE, Step.ENROL),
        Action.UPDATE_MAC: (Step.NAME, Step.PASSWORD, Step.CODE, Step.FACE),
        Action.CONFIRM: (Step.QR,),
        Action.APPROVE: (Step.NAME, Step.PERSON, Step.PASSWORD, Step.CODE, Step.FACE),
        Action.CANCEL: (Step.NAME, Step.PASSWORD, Step.CODE),
    }
)
"""The steps of each action, in order; after the last one it is sent. CONFIRM follows by itself on a new secret."""

Option = Action | Step | Language
"""What a line of a menu opens: an action, another menu, or the menu in a language."""

MENUS: Final[Mapping[Step, tuple[Option, ...]]] = MappingProxyType(
    {
        Step.LANGUAGE: (*Language, Step.ATTRACT),
        Step.MENU: (Action.LOGIN, Action.REGISTER, Step.RECOVERY, Action.APPROVE, Action.CANCEL, Step.ATTRACT),
        Step.RECOVERY: (
            Action.RECOVER_TOTP,
            Action.RECOVER_PASSWORD,
            Action.RECOVER_FACE,
            Action.UPDATE_MAC,
            Step.MENU,
        ),
    }
)
"""What the digits 1, 2, ... of each menu open; the first is also what Enter opens, the last is the way back."""

PICTURES: Final = frozenset({Step.FACE, Step.ENROL})
"""The steps at which pictures are taken."""

FIELDS: Final[Mapping[Step, str]] = MappingProxyType(
    {
        Step.NAME: "name",
        Step.PERSON: "person",
        Step.PERMISSION: "permission",
        Step.PASSWORD: "password",
        Step.NEW_PASSWORD: "new_password",
        Step.REPEAT: "repeated",
        Step.CODE: "code",
        Step.QR: "code",
    }
)
"""Which of `Entries` each step fills."""

LENGTHS: Final[Mapping[Step, int]] = MappingProxyType(
    {
        Step.NAME: USERNAME_MAX_CHARS,
        Step.PERSON: USERNAME_MAX_CHARS,
        Step.PERMISSION: _PERMISSION_MAX_CHARS,
        Step.PASSWORD: PASSWORD_MAX_CHARS,
        Step.NEW_PASSWORD: PASSWORD_MAX_CHARS,
        Step.REPEAT: PASSWORD_MAX_CHARS,
        Step.CODE: CODE_DIGITS,
        Step.QR: CODE_DIGITS,
    }
)
"""Characters that each entry takes."""

RETURNS: Final[Mapping[tuple[Action, str], Step]] = MappingProxyType(
    {
        (Action.REGISTER, "username"): Step.NAME,
        (Action.REGISTER, "new_password"): Step.NEW_PASSWORD,
        (Action.RECOVER_PASSWORD, "new_password"): Step.NEW_PASSWORD,
        (Action.APPROVE, "person"): Step.PERSON,
    }
)
"""To which step a person goes back when the server calls that member of the message malformed."""

ISSUES_SECRET: Final = frozenset({Action.REGISTER, Action.RECOVER_TOTP})
"""The actions that end with a new TOTP secret, which a first code must confirm."""


def read_entry(step: Step, entries: Entries) -> Entries:
    """Return the entries with the one of this step in the form in which it is sent.

    Raises ValueError with a sentence for the person, which never repeats a secret.
    """
    return _READERS[step](entries)


def _name(entries: Entries) -> Entries:
    return replace(entries, name=canonical_username(entries.name.strip()))


def _person(entries: Entries) -> Entries:
    person = canonical_username(entries.person.strip())
    if person == entries.name:
        raise ValueError("somebody else must approve what you asked for")
    return replace(entries, person=person)


def _permission(entries: Entries) -> Entries:
    return replace(entries, permission=canonical_permission(entries.permission))


def _password(entries: Entries) -> Entries:
    if not entries.password:
        raise ValueError("please enter your password")
    return replace(entries, password=canonical_password(entries.password))


def _new_password(entries: Entries) -> Entries:
    if not entries.new_password:
        raise ValueError("please enter a new password")
    return replace(entries, new_password=canonical_password(entries.new_password))


def _repeated(entries: Entries) -> Entries:
    if not entries.repeated:
        raise ValueError("please enter the new password once more")
    return replace(entries, repeated=canonical_password(entries.repeated))


def _code(entries: Entries) -> Entries:
    if len(entries.code) != CODE_DIGITS:
        raise ValueError(Phrase("the code has {digits} digits", digits=CODE_DIGITS))
    return entries


_READERS: Final[Mapping[Step, Callable[[Entries], Entries]]] = {
    Step.NAME: _name,
    Step.PERSON: _person,
    Step.PERMISSION: _permission,
    Step.PASSWORD: _password,
    Step.NEW_PASSWORD: _new_password,
    Step.REPEAT: _repeated,
    Step.CODE: _code,
    Step.QR: _code,
}
