"""What stands on the terminal of a kiosk, for programs that look at it as a person with a phone does.

It knows the few escape sequences that the kiosk's screen uses, and like the least discreet of real
terminals it keeps what is cleared (`CSI 2 J`) among the lines that can be scrolled back to.
"""

import re
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from demo.qr_reader import read_qr

_TOKEN: Final = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|(.)", re.DOTALL)
_HALVES: Final = {" ": (0, 0), "\u2580": (1, 0), "\u2584": (0, 1), "\u2588": (1, 1)}
"""Whether the upper and the lower half of a character are ink."""

_DOT: Final = 8
"""Pixels for each module in what is scanned."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One character, and how bright (0 to 255) its ink and its ground are."""

    character: str
    ink: int
    ground: int


class Terminal:
    """A terminal of a size; with `is_light`, one that shows dark letters on a light ground."""

    def __init__(self, columns: int = 80, rows: int = 24, *, is_light: bool = False) -> None:
        self.columns, self.rows = columns, rows
        self._plain = Cell(" ", 0, 255) if is_light else Cell(" ", 204, 0)
        self._pen = self._plain
        self._kept: list[list[Cell]] = []
        self._screen = [self._blank() for _ in range(rows)]
        self._row = self._column = 0

    def feed(self, text: str) -> None:
        """Do what a program has written."""
        for parameters, command, character in _TOKEN.findall(text):
            if command:
                self._command(parameters, command)
            elif character in "\r\n":
                self._column = 0
                if character == "\n":
                    self._next_row()
            else:
                self._put(character)

    @property
    def lines(self) -> list[str]:
        """What is seen, without blanks at the ends."""
        return [_text(line) for line in self._screen]

    @property
    def everything(self) -> str:
        """What is seen and what can be scrolled back to."""
        return "\n".join(_text(line) for line in [*self._kept, *self._screen])

    @property
    def has_code(self) -> bool:
        """Whether a half block is anywhere, seen or scrolled away."""
        return any(block in self.everything for block in "\u2580\u2584\u2588")

    def scan(self) -> str:
        """The text of the QR code that is seen, or nothing where there is none."""
        pixels = np.array([_pixels(line, half) for line in self._screen for half in (0, 1)], dtype=np.uint8)
        image = cv2.resize(pixels, None, fx=_DOT, fy=_DOT, interpolation=cv2.INTER_NEAREST)
        return read_qr(image)

    def _command(self, parameters: str, command: str) -> None:
        numbers = [int(number or 0) for number in parameters.split(";")]
        if command == "H":
            self._row, self._column = (max(number, 1) - 1 for number in [*numbers, 1, 1][:2])
        elif command == "K":
            self._screen[self._row][self._column :] = self._blank()[self._column :]
        elif command == "J":
            self._erase(numbers[0])
        elif command == "m":
            for number in numbers:
                self._colour(number)

    def _erase(self, what: int) -> None:
        if what == 3:
            self._kept = []
        elif what == 2:
            self._kept += self._screen
            self._screen = [self._blank() for _ in range(self.rows)]
        else:
            self._screen[self._row][self._column :] = self._blank()[self._column :]
            self._screen[self._row + 1 :] = [self._blank() for _ in range(self._row + 1, self.rows)]

    def _colour(self, number: int) -> None:
        ink, ground = self._pen.ink, self._pen.ground
        bright = {0: (self._plain.ink, self._plain.ground), 37: (204, ground), 97: (255, ground), 40: (ink, 0)}
        self._pen = Cell(" ", *bright.get(number, (ink, ground)))

    def _put(self, character: str) -> None:
        if self._column == self.columns:
            self._column = 0
            self._next_row()
        self._screen[self._row][self._column] = Cell(character, self._pen.ink, self._pen.ground)
        self._column += 1

    def _next_row(self) -> None:
        self._row += 1
        if self._row == self.rows:
            self._row -= 1
            self._kept.append(self._screen.pop(0))
            self._screen.append(self._blank())

    def _blank(self) -> list[Cell]:
        return [self._plain] * self.columns


def _text(line: list[Cell]) -> str:
    return "".join(cell.character for cell in line).rstrip()


def _pixels(line: list[Cell], half: int) -> list[int]:
    return [cell.ink if _HALVES.get(cell.character, (0, 0))[half] else cell.ground for cell in line]
