"""Lines of a terminal, where a Chinese character takes two columns and a mark none. Pure."""

import re
import unicodedata
from collections.abc import Iterator
from typing import Final

_WIDE: Final = "\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6"
_PIECES: Final = re.compile(f" +|[{_WIDE}][\u3001\u3002\uff01\uff0c\uff1a\uff1b\uff1f\uff09]*|[^ {_WIDE}]+")
"""What a line may end behind: a word, or a Chinese character with the punctuation that belongs to it."""


def width_of(text: str) -> int:
    """Return the columns that a text takes (UAX 11)."""
    return sum(map(_columns, text))


def wrap(text: str, width: int, first: str = "", rest: str = "") -> list[str]:
    """Return the text in lines of at most so many columns, the first and the others behind their indents."""
    lines, line, gap = [], first, ""
    for piece in _pieces(text, max(2, width - max(len(first), len(rest)))):
        if not piece.strip():
            gap = piece
        elif width_of(line + gap + piece) <= width or not line.strip():
            line, gap = line + (gap if line.strip() else "") + piece, ""
        else:
            lines.append(line)
            line, gap = rest + piece, ""
    return [*lines, line] if line.strip() else lines


def _pieces(text: str, longest: int) -> Iterator[str]:
    """The pieces of a text, those that fit no line by the character."""
    for piece in _PIECES.findall(text):
        if width_of(piece) <= longest:
            yield piece
        else:
            yield from piece


def _columns(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
