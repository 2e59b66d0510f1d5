"""One HTML page that is whole in itself: no script, and nothing that a browser would fetch."""

import base64
import importlib.resources
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from html import escape
from pathlib import Path
from string import Template
from typing import Any, Final

from provisioning.errors import Refused

TEMPLATE: Final = "face_report.html"


def write_page(path: Path, title: str, sections: Iterable[str]) -> None:
    """Write a page. Raises Refused when the file cannot be written."""
    template = Template(importlib.resources.files(__package__).joinpath(TEMPLATE).read_text(encoding="utf-8"))
    page = template.substitute(title=escape(title), body="\n".join(sections))
    try:
        path.write_text(page, encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}") from error


def heading(title: str, told: str) -> str:
    """Return the page's heading, and a sentence below it."""
    return f'<h1>{escape(title)}</h1>\n<p class="soft">{escape(told)}</p>'


def section(title: str, told: str, *parts: str) -> str:
    """Return a section: its heading, a sentence or two, and what is shown."""
    return "\n".join((f"<h2>{escape(title)}</h2>", f"<p>{escape(told)}</p>" if told else "", *parts))


def figures(rows: Iterable[tuple[str, str]]) -> str:
    """Return the figures that matter, each large, with what it is below."""
    cells = (f'<div class="figure"><b>{escape(value)}</b><span>{escape(told)}</span></div>' for value, told in rows)
    return f'<div class="figures">{"".join(cells)}</div>'


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, now: str | None = None) -> str:
    """Return a table; the row whose first cell is `now` stands out. What is after a line break is set small."""
    head = "".join(f"<th>{escape(cell)}</th>" for cell in heads)
    body = "".join(f"<tr{_class(row[0] == now)}>{''.join(map(_cell, row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _class(is_now: bool) -> str:
    return ' class="now"' if is_now else ""


def _cell(text: str) -> str:
    """A name that is set in belongs to the row above; a list of words may be broken into lines."""
    large, _, small = text.partition("\n")
    kind = "sub" if text.startswith(" ") else "words" if ", " in large else ""
    mark = f' class="{kind}"' if kind else ""
    return f"<td{mark}>{escape(large.strip())}{f'<br><small>{escape(small)}</small>' if small else ''}</td>"


def charts(*drawn: tuple[str, str]) -> str:
    """Return charts side by side, each with its caption."""
    told = (f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" for svg, caption in drawn)
    return f'<div class="charts">{"".join(told)}</div>'


def facts(rows: Mapping[str, Any]) -> str:
    """Return names with their values."""
    pairs = (f"<dt>{escape(name)}</dt><dd>{escape(str(value))}</dd>" for name, value in rows.items())
    return f"<dl>{''.join(pairs)}</dl>"


def picture(jpeg: bytes, words: str) -> str:
    """Return a picture that lies in the page itself."""
    return f'<img alt="{escape(words)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'


def day(text: str) -> str:
    """Return an ISO date as it is written out."""
    return f"{date.fromisoformat(text):%-d %B %Y}"


def rate(told: Mapping[str, Any] | None) -> str:
    """Return a rate for a cell: the share, and below it the interval and the counts."""
    if told is None:
        return "-"
    low, high = (f"{told[name] * 100:.3g}" for name in ("low", "high"))
    return f"{told['rate'] * 100:.3g} %\n{low} to {high} %; {told['errors']:,} of {told['trials']:,}"


def in_million(told: Mapping[str, Any]) -> str:
    """Return a rate of strangers for a cell, of a million, with its interval below."""
    value, low, high = (_count(told[name] * 1_000_000) for name in ("rate", "low", "high"))
    return f"{value} in a million\n{low} to {high}"


def _count(number: float) -> str:
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
