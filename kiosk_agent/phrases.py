"""Sentences for people, kept so that they can be said in another language.

Pure. A phrase is an ordinary English string that also knows the template and the values it was made
of; a catalogue translates the template, not the result. Whatever handles it as a string sees English.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from gettext import NullTranslations
from typing import Final

from kiosk_agent.heard import recognise


class Language(StrEnum):
    """The languages of the screen, by their BCP 47 tags, in the order of the language menu."""

    ENGLISH = "en"
    SPANISH = "es"
    GERMAN = "de"
    FRENCH = "fr"
    CHINESE = "zh"
    ARABIC = "ar"

    @property
    def own_name(self) -> str:
        """What people who speak it call it."""
        return _OWN_NAMES[self]

    @property
    def is_rtl(self) -> bool:
        """Whether it is written from right to left."""
        return self is Language.ARABIC


_OWN_NAMES: Final[Mapping[Language, str]] = {
    Language.ENGLISH: "English",
    Language.SPANISH: "Espa\u00f1ol",
    Language.GERMAN: "Deutsch",
    Language.FRENCH: "Fran\u00e7ais",
    Language.CHINESE: "\u4e2d\u6587",
    Language.ARABIC: "\u0627\u0644\u0639\u0631\u0628\u064a\u0629",
}


_FIRST_STRONG: Final = "\u2068"
_END: Final = "\u2069"
"""What is between these has the direction of its own first letter (UAX 9, 2.4.2)."""


class Phrase(str):
    """A template filled with values: "Press 1 to {last}". With `many` there is a form for each `count`."""

    template: str
    many: str
    values: Mapping[str, object]

    def __new__(cls, template: str, many: str = "", **values: object) -> "Phrase":
        """Fill a template; `many` is its form for any count but 1, and then `count` is among the values."""
        text = many if many and values["count"] != 1 else template
        made = super().__new__(cls, text.format(**values))
        made.template, made.many, made.values = template, many, values
        return made


@dataclass(frozen=True, slots=True)
class Counted:
    """A sentence on a number of things, `count` in both of its forms: for one, and for any other number."""

    one: str
    many: str

    def of(self, count: int) -> Phrase:
        """Return the phrase for so many."""
        return Phrase(self.one, self.many, count=count)


class Speaker:
    """Says phrases in one language, by a gettext catalogue; what the catalogue lacks is said in English."""

    def __init__(self, language: Language = Language.ENGLISH, catalogue: NullTranslations | None = None) -> None:
        self.language = language
        self._catalogue = catalogue or NullTranslations()

    def say(self, text: str) -> str:
        """Return a phrase or a plain sentence in this language."""
        if not text:
            return text
        if not isinstance(text, Phrase):
            found = recognise(text)
            if found is None:
                return self._catalogue.gettext(text)
            text = Phrase(found[0], **found[1])
        values = {name: self._shown(name, value) for name, value in text.values.items()}
        if text.many:
            count = int(str(text.values["count"]))
            return self._catalogue.ngettext(text.template, text.many, count).format(**values)
        return self._catalogue.gettext(text.template).format(**values)

    def _shown(self, name: str, value: object) -> object:
        if name == "message" and isinstance(value, str):  # a sentence of its own
            return self.say(value)
        # Without its own direction a Latin name or a date would mix its parts with the Arabic around it.
        return f"{_FIRST_STRONG}{value}{_END}" if self.language.is_rtl and isinstance(value, str) and value else value
