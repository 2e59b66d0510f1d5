"""The formats of Labeled Faces in the Wild: folders of pictures, one for each person, and a file of pairs.

images/NAME/NAME_0001.jpg
pairs.txt    "FOLDS PAIRS" first, then for each fold so many lines "NAME 1 4" of one person and as
             many "NAME 3 OTHER 2" of two; "PAIRS" alone, or no first line at all, is one fold
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from auth_server.errors import EvaluationRefused

_PICTURE: Final = re.compile(r"(?P<name>.+)_(?P<number>\d{4,})\.jpe?g", re.IGNORECASE)


@dataclass(frozen=True, slots=True, order=True)
class Portrait:
    """One picture of a person: the `number`-th."""

    name: str
    number: int

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two pictures to compare, and the fold that they belong to, from 0."""

    first: Portrait
    second: Portrait
    fold: int

    @property
    def is_genuine(self) -> bool:
        """Whether both are of one person."""
        return self.first.name == self.second.name


def read_pairs(path: Path) -> list[Pair]:
    """Return the pairs of a file. Raises EvaluationRefused naming the file, the line and the rule."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationRefused(f"{path} cannot be read: {error}") from error
    rows = [(number, line.split()) for number, line in enumerate(lines, 1) if line.strip()]
    folds, each = 1, 0
    if rows and all(word.isdecimal() for word in rows[0][1]) and len(rows[0][1]) <= 2:
        *first, last = (int(word) for word in rows.pop(0)[1])
        folds, each = (first[0] if first else 1), last
    pairs = [_pair(path, *row, fold=place // (2 * each) if each else 0) for place, row in enumerate(rows)]
    if not pairs or (each and len(pairs) != folds * each * 2):
        raise EvaluationRefused(f"{path} has {len(pairs)} pairs, and its first line announces {folds * each * 2}")
    return pairs


def _pair(path: Path, number: int, words: list[str], fold: int) -> Pair:
    try:
        if len(words) == 3:
            name, one, other = words
            return Pair(Portrait(name, int(one)), Portrait(name, int(other)), fold)
        name, one, other_name, other = words
        return Pair(Portrait(name, int(one)), Portrait(other_name, int(other)), fold)
    except ValueError:
        raise EvaluationRefused(
            f"{path}, line {number}: a pair is `NAME 1 4` or `NAME 3 OTHER 2`, three or four columns"
        ) from None


def find_portraits(folder: Path) -> dict[Portrait, Path]:
    """Return every picture of a folder in their order. Raises EvaluationRefused where there is none."""
    found: dict[Portrait, Path] = {}
    for path in sorted(folder.glob("*/*")):
        named = _PICTURE.fullmatch(path.name)
        if named and named["name"] == path.parent.name:
            found[Portrait(named["name"], int(named["number"]))] = path
    if not found:
        raise EvaluationRefused(f"{folder} holds no picture: they are named as NAME/NAME_0001.jpg")
    return found
