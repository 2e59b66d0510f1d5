"""Brings the kiosk's catalogues up to date: every sentence in each language's .po, and each .mo made of it.

Run as `make catalogues` (`python -m scripts.catalogues`) after a sentence was added or changed. Translations
are kept, what is new stands there untranslated, what is gone is dropped. Exits 1 and names the sentences that
have no translation.
"""

import ast
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Final

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

from kiosk_agent.heard import HEARD
from kiosk_agent.hints import HINTS
from kiosk_agent.languages import DOMAIN
from kiosk_agent.phrases import Language
from kiosk_agent.screen import words

PROJECT: Final = Path(__file__).resolve().parent.parent
LOCALE: Final = PROJECT / "kiosk_agent" / "locale"
LANGUAGES: Final = tuple(language for language in Language if language is not Language.ENGLISH)
SPOKEN_IN: Final = ("answering", "entering", "errands", "session", "screen/results", "screen/terminal", "speech/prompt")
"""The modules with sentences outside of tables: there each text that begins as a sentence does is one."""

_MADE: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""Always the same, so that a run that changes no sentence changes no file."""


def sentences() -> dict[str, str]:
    """Return every sentence that a kiosk may show or say, with its form for many, or nothing where it has none."""
    found = dict.fromkeys((*_texts(vars(words)), *_texts(HINTS), *HEARD), "")
    for module in (*SPOKEN_IN, "screen/words"):
        counted = dict(_counted(ast.parse((PROJECT / f"kiosk_agent/{module}.py").read_text(encoding="utf-8"))))
        loose = () if module == "screen/words" else _loose(module)
        found |= {text: "" for text in loose if text not in {*counted, *counted.values()}} | counted
    return found


def _texts(value: object) -> Iterator[str]:
    """The texts of a table, however deep; keys and members of enumerations are none."""
    if type(value) is str and value:
        yield value
    elif isinstance(value, words.Words):
        yield from _texts((value.title, value.lines, value.keys))
    elif isinstance(value, Mapping):
        is_module = "__name__" in value
        for name, one in value.items():
            if not is_module or (name.isupper() and not name.startswith("_")):
                yield from _texts(one)
    elif isinstance(value, tuple):
        for one in value:
            yield from _texts(one)


def _loose(module: str) -> Iterator[str]:
    tree = ast.parse((PROJECT / f"kiosk_agent/{module}.py").read_text(encoding="utf-8"))
    notes = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in notes | parts:
            if re.match(r"[A-Z][a-z]*,? [a-z{0-9]|[A-Z][a-z]+\.|\{[a-z]+\}.*[a-z.]", node.value):
                yield node.value


def _counted(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Counted":
            one, many = (str(ast.literal_eval(argument)) for argument in node.args)
            yield one, many


def template() -> Catalog:
    """Return the catalogue of all sentences, with no translation."""
    return _filled(None, None)


def updated(language: Language) -> Catalog:
    """Return a language's catalogue with the sentences of today and its translations so far."""
    path = po(language)
    found = read_po(BytesIO(path.read_bytes()), locale=language.value) if path.exists() else None
    return _filled(language, found)


def _filled(language: Language | None, found: Catalog | None) -> Catalog:
    made = Catalog(
        locale=None if language is None else language.value,
        domain=DOMAIN,
        project="4Auth",
        version="kiosk",
        msgid_bugs_address="the project's issues",
        header_comment=f"# The kiosk's sentences{'' if language is None else f' in {language.name.title()}'}.",
        creation_date=_MADE,
        revision_date=_MADE,
        last_translator="The 4Auth authors",
        language_team="The 4Auth authors",
        fuzzy=False,
    )
    for one, many in sorted(sentences().items()):
        kept = found.get(one) if found is not None else None
        made.add((one, many) if many else one, kept.string if kept is not None else None)
    return made


def po(language: Language) -> Path:
    """Return where a language's translations lie."""
    return LOCALE / language.value / "LC_MESSAGES" / f"{DOMAIN}.po"


def compiled(language: Language) -> bytes:
    """Return the catalogue of a language in the form in which it is read."""
    made = BytesIO()
    write_mo(made, updated(language))
    return made.getvalue()


def untranslated(language: Language) -> list[str]:
    """Return the sentences that have no translation, or not all of its forms."""
    return [_first(message.id) for message in updated(language) if message.id and not _is_whole(message.string)]


def _first(text: object) -> str:
    return str(text[0] if isinstance(text, tuple | list) else text)


def _is_whole(text: object) -> bool:
    return all(text) if isinstance(text, tuple | list) else bool(text)


def main() -> int:
    """Write all of them."""
    LOCALE.mkdir(exist_ok=True)
    _write(LOCALE / f"{DOMAIN}.pot", template())
    missing = 0
    for language in LANGUAGES:
        po(language).parent.mkdir(parents=True, exist_ok=True)
        _write(po(language), updated(language))
        po(language).with_suffix(".mo").write_bytes(compiled(language))
        for text in untranslated(language):
            missing += 1
            print(f"{language.value}: no translation of: {text}", file=sys.stderr)
    print(f"{len(sentences())} sentences, {missing} translations missing")
    return 1 if missing else 0


def _write(path: Path, catalogue: Catalog) -> None:
    made = BytesIO()
    write_po(made, catalogue, width=120, no_location=True)
    path.write_bytes(made.getvalue())


if __name__ == "__main__":
    sys.exit(main())
