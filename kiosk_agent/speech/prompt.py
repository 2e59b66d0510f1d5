"""What is said aloud when one picture of the screen follows another. Pure.

A prompt is made of what the screen says: titles, lines, menus, problems. Never of an entry, nor of the
URI of a new secret; the secret in letters only where the settings allow it and the person asked for it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kiosk_agent.events import Step
from kiosk_agent.phrases import Language, Phrase
from kiosk_agent.screen import words
from kiosk_agent.screen.frame import View

WARNING_S: Final = 10
"""So long before the end of a step people are told."""

_AT_REST: Final = frozenset({Step.ATTRACT, Step.OUT_OF_SERVICE})
_RESULTS: Final = frozenset({Step.GRANTED, Step.DONE, Step.WAITING, Step.DENIED, Step.LOCKED, Step.TIMED_OUT})
_TYPED: Final = "Dot."
_ERASED: Final = "Erased."
_LEFT: Final = "{seconds} seconds left."
_LEFT_WITH_KEY: Final = "{seconds} seconds left. Press {key} for more time."

Say = Callable[[str], str]
"""Says a sentence in the language of the view."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to say, in place of what is being said; nothing means to fall silent."""

    text: str = field(repr=False)
    language: Language = Language.ENGLISH


def prompt(before: View | None, now: View, say: Say, *, speaks_secret: bool = False) -> Prompt | None:
    """Return what to say when a view follows another; None where that goes on which is being said."""
    is_menu = now.options and before is not None and before.step not in _RESULTS
    if now.step is Step.ATTRACT and not is_menu:
        return _at_rest(before, now)
    if before is None or (now.step is Step.OUT_OF_SERVICE and before.step in _AT_REST):
        return None
    parts = _page(before, now) if _is_new(before, now) else _changes(before, now, say)
    if speaks_secret and now.secret and not before.secret:
        parts.append(_spelt(now.secret))
    text = " ".join(_ended(part) for part in parts if part)
    return Prompt(text, now.language) if text else None


def _at_rest(before: View | None, now: View) -> Prompt | None:
    """Silence where a session was left; a result is said to its end, though its page is gone."""
    if before is None or before.step in _AT_REST or before.step in _RESULTS:
        return None
    return Prompt("", now.language)


def _page(before: View, now: View) -> list[str]:
    """A whole page; the first of a session begins with the welcome that stood there at rest."""
    is_greeted = before.step is Step.ATTRACT and before.language is now.language and not before.options
    welcome = before.title if is_greeted else ""
    options = [f"{place}: {option}" for place, option in enumerate(now.options, 1)]
    return [welcome, now.subject, _spoken(now.title), *now.lines, *options, now.problem, now.contact]


def _changes(before: View, now: View, say: Say) -> list[str]:
    if now.problem and now.problem != before.problem:
        return [now.problem]
    if now.entry is not None and before.entry is not None and len(now.entry) != len(before.entry):
        # A word for each key, and never which one: whoever stands behind hears as much as the person.
        return [say(_TYPED if len(now.entry) > len(before.entry) else _ERASED)]
    if _passes_warning(before, now):
        keys = [label for label, what in now.keys if what == say(words.MORE_TIME)]
        return [say(Phrase(_LEFT_WITH_KEY, seconds=WARNING_S, key=keys[0]) if keys else _left())]
    return []


def _left() -> Phrase:
    return Phrase(_LEFT, seconds=WARNING_S)


def _passes_warning(before: View, now: View) -> bool:
    if now.entry is None and not now.options:
        return False
    return now.seconds_left is not None and now.seconds_left <= WARNING_S < (before.seconds_left or 0)


def _is_new(before: View, now: View) -> bool:
    return _identity(before) != _identity(now)


def _identity(view: View) -> tuple[object, ...]:
    """What makes a page another one; neither a count that runs down nor the form of its words."""
    lines = () if view.step in _RESULTS else tuple(re.sub(r"\d+", "", line) for line in view.lines)
    return (view.step, view.language, view.title, view.subject, view.progress, lines)


def _spoken(title: str) -> str:
    """A title without the arrow or figure that is drawn before it."""
    return re.sub(r"^[^\w\s]+\w?[^\w\s]*\s{2,}", "", title)


def _ended(part: str) -> str:
    return part if part[-1:] in ".!?:\u3002\uff01\uff1f\u061f" else f"{part}."


def _spelt(secret: str) -> str:
    return ", ".join(secret.replace(" ", ""))
