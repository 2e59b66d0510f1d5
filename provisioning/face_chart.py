"""Charts as inline SVG: axes, lines, areas and marks. Pure functions of numbers."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from statistics import NormalDist
from typing import Final

Point = tuple[float, float]
Scale = Callable[[float], float]

_WIDTH: Final = 520
_HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 14, 14, 48


def linear(value: float) -> float:
    """The scale of equal steps."""
    return value


def logarithmic(value: float) -> float:
    """The scale of equal ratios, of numbers above 0."""
    return math.log10(value)


def deviate(share: float) -> float:
    """The scale of a DET curve: the deviate of a normal distribution below which there is such a share, 0 to 1."""
    return NormalDist().inv_cdf(share)


@dataclass(frozen=True, slots=True)
class Axis:
    """A name, both ends, labelled ticks, and the scale that its numbers lie on."""

    name: str
    low: float
    high: float
    ticks: Sequence[tuple[float, str]]
    scale: Scale = linear

    def place(self, value: float) -> float:
        """Return where a number lies, 0 at the low end and 1 at the high one; beyond them it is kept there."""
        inside = min(max(value, self.low), self.high)
        low, high = self.scale(self.low), self.scale(self.high)
        return (self.scale(inside) - low) / (high - low)


@dataclass(slots=True)
class Chart:
    """Two axes, and what is drawn between them, in the colours that the page names."""

    across: Axis
    up: Axis
    title: str
    _parts: list[str] = field(default_factory=list)

    def line(self, points: Iterable[Point], colour: str) -> None:
        """Draw a line through points."""
        self._parts.append(f'<polyline class="curve {colour}" points="{self._listed(points)}"/>')

    def area(self, points: Sequence[Point], colour: str) -> None:
        """Fill what is below a line of points."""
        ends = [(points[0][0], self.up.low), *points, (points[-1][0], self.up.low)]
        self._parts.append(f'<polygon class="area {colour}" points="{self._listed(ends)}"/>')

    def mark_across(self, value: float, words: str, colour: str) -> None:
        """Draw a line upwards at a number, with its words at the top."""
        x = self._x(value)
        is_right = x > (_LEFT + _WIDTH) * 0.6
        anchor, shift = ("end", -6) if is_right else ("start", 6)
        self._parts.append(f'<path class="mark {colour}" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>')
        self._parts.append(
            f'<text class="label {colour}" x="{x + shift:.1f}" y="{_TOP + 16}" text-anchor="{anchor}">'
            f"{escape(words)}</text>"
        )

    def dot(self, point: Point, words: str, colour: str) -> None:
        """Draw a dot with its words to the right."""
        x, y = self._x(point[0]), self._y(point[1])
        self._parts.append(f'<circle class="dot {colour}" cx="{x:.1f}" cy="{y:.1f}" r="5.5"/>')
        self._parts.append(f'<text class="label {colour}" x="{x + 10:.1f}" y="{y - 8:.1f}">{escape(words)}</text>')

    def legend(self, names: Sequence[tuple[str, str]]) -> None:
        """Name the colours, in the upper right corner."""
        for row, (words, colour) in enumerate(names):
            y = _TOP + 20 + 18 * row
            self._parts.append(
                f'<path class="curve {colour}" d="M{_WIDTH - _RIGHT - 30} {y - 4}h20"/>'
                f'<text x="{_WIDTH - _RIGHT - 36}" y="{y}" text-anchor="end">{escape(words)}</text>'
            )

    def svg(self) -> str:
        """Return the whole chart."""
        return (
            f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{escape(self.title)}">'
            f"{self._grid()}{''.join(self._parts)}{self._names()}</svg>"
        )

    def _grid(self) -> str:
        right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        parts = []
        for value, label in self.across.ticks:
            x = self._x(value)
            parts.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{bottom}"/>')
            parts.append(f'<text x="{x:.1f}" y="{bottom + 17}" text-anchor="middle">{escape(label)}</text>')
        for value, label in self.up.ticks:
            y = self._y(value)
            parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{right}"/>')
            parts.append(f'<text x="{_LEFT - 7}" y="{y + 4:.1f}" text-anchor="end">{escape(label)}</text>')
        frame = f'<rect class="frame" x="{_LEFT}" y="{_TOP}" width="{right - _LEFT}" height="{bottom - _TOP}"/>'
        return "".join(parts) + frame

    def _names(self) -> str:
        middle = (_TOP + _HEIGHT - _BOTTOM) / 2
        return (
            f'<text class="name" x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 10}" text-anchor="middle">'
            f"{escape(self.across.name)}</text>"
            f'<text class="name" transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.up.name)}</text>"
        )

    def _listed(self, points: Iterable[Point]) -> str:
        return " ".join(f"{self._x(x):.1f},{self._y(y):.1f}" for x, y in points)

    def _x(self, value: float) -> float:
        return _LEFT + self.across.place(value) * (_WIDTH - _LEFT - _RIGHT)

    def _y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - self.up.place(value) * (_HEIGHT - _TOP - _BOTTOM)
