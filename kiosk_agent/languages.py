"""The gettext catalogues of the screen: one speaker a language, made when it is first needed.

The catalogues lie beside this module, as translators write them (`.po`) and as they are read (`.mo`).
"""

from gettext import NullTranslations, translation
from importlib.resources import files

from kiosk_agent.phrases import Language, Speaker

DOMAIN = "kiosk"
"""The catalogues' name."""


class Speakers:
    """Gives the speaker of each language; English is the language of the sources and needs no catalogue."""

    def __init__(self) -> None:
        self._speakers: dict[Language, Speaker] = {}

    def of(self, language: Language) -> Speaker:
        """Return the speaker of a language."""
        if language not in self._speakers:
            self._speakers[language] = Speaker(language, _catalogue(language))
        return self._speakers[language]


def _catalogue(language: Language) -> NullTranslations:
    folder = str(files("kiosk_agent") / "locale")
    return translation(DOMAIN, folder, [language.value], fallback=True)
