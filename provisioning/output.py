"""What an administrator or a script reads: sentences and tables, or one JSON document.

With `--json` the document alone stands on standard output and the sentences go to standard error.
"""

import json
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import click

_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def escape(text: str) -> str:
    """Return `text` on one line, with each character that could steer a terminal spelt out.

    Names and addresses in the audit log were typed by strangers: control characters, and the
    invisible ones that reorder text, are shown as `\\x1b` or `\\u202e`.
    """
    return "".join(_spelt_out(c) if unicodedata.category(c) in _UNPRINTABLE else c for c in text)


def _spelt_out(character: str) -> str:
    return character.encode("unicode_escape", "surrogatepass").decode("ascii")


@dataclass(slots=True)
class Output:
    """Where sentences, tables and the result go."""

    is_json: bool = False

    def say(self, line: str = "") -> None:
        """Print one line for a person."""
        click.echo(escape(line), err=self.is_json)

    def warn(self, line: str) -> None:
        """Print one line for a person on standard error, whatever reads the result."""
        click.echo(escape(line), err=True)

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        """Print rows under heads, in columns as wide as their widest cell."""
        self._print([heads, *rows], ())

    def pages(self, heads: Sequence[str], pages: Iterable[Sequence[Sequence[str]]]) -> None:
        """Print a table of any length, as its pages come; a column may grow with a page and never shrinks."""
        widths: list[int] = []
        page: list[Sequence[str]] = [heads]
        for rows in pages:
            page += rows
            widths = self._print(page, widths)
            page = []
        if page:
            self._print(page, widths)

    def _print(self, rows: Iterable[Sequence[str]], widths: Sequence[int]) -> list[int]:
        cells = [[escape(cell) for cell in row] for row in rows]
        least = widths or [0] * len(cells[0])
        wide = [max(width, *(len(row[column]) for row in cells)) for column, width in enumerate(least)]
        for row in cells:
            line = "  ".join(cell.ljust(width) for cell, width in zip(row, wide, strict=True))
            click.echo(line.rstrip(), err=self.is_json)
        return wide

    def result(self, document: Mapping[str, object]) -> None:
        """Print the JSON document, when it was asked for; its keys do not change within a version."""
        if self.is_json:
            click.echo(json.dumps(document, indent=2))

    def results(self, name: str, documents: Iterable[Mapping[str, object]]) -> None:
        """Print, when JSON was asked for, a document whose one member is a list of any length, as its items come."""
        if not self.is_json:
            return
        separator = ""
        click.echo(f'{{\n  "{name}": [', nl=False)
        for document in documents:
            click.echo(f"{separator}\n    {json.dumps(document)}", nl=False)
            separator = ","
        click.echo("\n  ]\n}" if separator else "]\n}")
