"""Draws what a run found as PNG: people let in, refusals and waits, with a line for each number of servers."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw, ImageFont

from bench.load.measuring import Step

_DRAWN, _KEPT = 4, 2
"""Pixels for a unit when drawn, and in the file: Pillow draws lines with stairs, which making it smaller takes away."""

_WIDTH, _HEIGHT, _COLUMNS = 440, 260, 3
_LEFT, _TOP, _RIGHT, _BELOW, _FOOT = 52, 44, 16, 46, 50
_PARTS: Final = 5
"""Of a scale at the most, about."""

_COLOURS: Final = ("#1f4e9c", "#a04000", "#1b6e3c", "#6a2c91")
_GRID, _INK = "#dddddd", "#222222"

Point = tuple[float, float]


@dataclass(frozen=True)
class Panel:
    """One of the picture's parts. `lines` are by the number of servers; x grows by doubling, or evenly.

    `at_least` are the points whose true place is above them; their marks are hollow.
    """

    title: str
    below: str
    lines: Mapping[int, Sequence[Point]]
    is_doubling: bool = True
    at_least: frozenset[Point] = frozenset()


def panels(ramp: Sequence[Step], opened: Sequence[Step]) -> list[Panel]:
    """Return the parts of the picture of a run."""
    kiosks = "kiosks at work"
    return [
        Panel("people let in, a second", kiosks, _lines(ramp, _kiosks, lambda step: step.seen.rate)),
        Panel("refused or unanswered, %", kiosks, _lines(ramp, _kiosks, lambda step: 100 * step.seen.refused)),
        Panel(
            "open loop: 95 % are let in within, s",
            "people who come, a second",
            _lines(opened, lambda step: step.offered or 0.0, lambda step: step.seen.p95),
            is_doubling=False,
        ),
        _waits("half are let in within, s", ramp, "p50"),
        _waits("95 % are let in within, s", ramp, "p95"),
        _waits("99 % are let in within, s", ramp, "p99"),
    ]


def draw(parts: Sequence[Panel], told: str) -> bytes:
    """Return the PNG of these parts, with a sentence below them."""
    rows = math.ceil(len(parts) / _COLUMNS)
    size = (_COLUMNS * _WIDTH, rows * _HEIGHT + _FOOT)
    pen = _Pen(Image.new("RGB", (size[0] * _DRAWN, size[1] * _DRAWN), "white"))
    for place, part in enumerate(parts):
        _draw_panel(pen, part, (place % _COLUMNS * _WIDTH, place // _COLUMNS * _HEIGHT))
    _draw_foot(pen, sorted({servers for part in parts for servers in part.lines}), told, rows * _HEIGHT)
    out = io.BytesIO()
    kept = pen.image.resize((size[0] * _KEPT, size[1] * _KEPT), Image.Resampling.BOX)
    kept.save(out, "PNG", optimize=True)
    return out.getvalue()


def marks(top: float) -> list[float]:
    """Return round numbers from 0 to `top` or a little above it, about five."""
    if not top > 0:
        return [0.0, 1.0]
    power = 10.0 ** math.floor(math.log10(top / _PARTS))
    step = next(power * times for times in (1, 2, 5, 10, 20) if power * times * _PARTS >= top)
    return [step * number for number in range(math.ceil(round(top / step, 9)) + 1)]


class _Pen:
    """Draws in units, not pixels."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self._draw = ImageDraw.Draw(image)
        self._fonts = {size: ImageFont.load_default(size * _DRAWN) for size in (11, 13)}

    def line(self, points: Sequence[Point], colour: str, width: float) -> None:
        """Through all points."""
        drawn = [(x * _DRAWN, y * _DRAWN) for x, y in points]
        self._draw.line(drawn, colour, round(width * _DRAWN), joint="curve")

    def mark(self, at: Point, number: int, is_hollow: bool = False) -> None:
        """Of a line's number: told apart without colour."""
        (x, y), colour = at, _COLOURS[(number - 1) % len(_COLOURS)]
        circle, fill = (x * _DRAWN, y * _DRAWN, 4 * _DRAWN), "white" if is_hollow else colour
        if number == 1:
            self._draw.circle(circle[:2], circle[2], fill, colour, _DRAWN)
        else:
            self._draw.regular_polygon(circle, {2: 4, 3: 3}.get(number, number + 1), 0, fill, colour, _DRAWN)

    def text(self, at: Point, text: str, anchor: str = "la", size: int = 11) -> None:
        """At a point, which is the text's `anchor`."""
        self._draw.text((at[0] * _DRAWN, at[1] * _DRAWN), text, _INK, self._fonts[size], anchor)


def _draw_panel(pen: _Pen, part: Panel, corner: Point) -> None:
    left, right = corner[0] + _LEFT, corner[0] + _WIDTH - _RIGHT
    top, bottom = corner[1] + _TOP, corner[1] + _HEIGHT - _BELOW
    every = [point for points in part.lines.values() for point in points]
    across = sorted({x for x, _ in every}) if part.is_doubling else marks(max((x for x, _ in every), default=0))
    up = marks(max((y for _, y in every), default=0))
    place_x = _scale(math.log2 if part.is_doubling else float, across or [1.0], left, right)
    place_y = _scale(float, up, bottom, top)
    pen.text((left, top - 10), part.title, "ls", 13)
    pen.text(((left + right) / 2, bottom + 22), part.below, "ma")
    for y in up:
        pen.line([(left, place_y(y)), (right, place_y(y))], _GRID, 1)
        pen.text((left - 7, place_y(y)), f"{y:g}", "rm")
    for x in across:
        pen.text((place_x(x), bottom + 6), f"{x:g}", "ma")
    for servers, points in part.lines.items():
        placed = [(place_x(x), place_y(y)) for x, y in points]
        pen.line(placed, _COLOURS[(servers - 1) % len(_COLOURS)], 2)
        for place, point in zip(placed, points, strict=True):
            pen.mark(place, servers, point in part.at_least)


def _draw_foot(pen: _Pen, servers: Sequence[int], told: str, top: float) -> None:
    for place, number in enumerate(servers):
        x = _LEFT + place * 110
        pen.line([(x, top + 10), (x + 28, top + 10)], _COLOURS[(number - 1) % len(_COLOURS)], 2)
        pen.mark((x + 14, top + 10), number)
        pen.text((x + 36, top + 10), f"{number} server{'s' if number > 1 else ''}", "lm", 13)
    pen.text((_LEFT + len(servers) * 110, top + 10), "hollow: at least", "lm", 13)
    pen.text((_LEFT, top + 34), told, "lm")


def _scale(
    bend: Callable[[float], float], values: Sequence[float], low: float, high: float
) -> Callable[[float], float]:
    """Return what places a value between two ends."""
    first, last = bend(values[0]), bend(values[-1])
    length = (last - first) or 1.0
    return lambda value: low + (high - low) * (bend(value) - first) / length


def _waits(title: str, ramp: Sequence[Step], name: str) -> Panel:
    def seconds(step: Step) -> float:
        return float(getattr(step.seen, name))

    at_least = frozenset((_kiosks(step), seconds(step)) for step in ramp if name in step.seen.at_least)
    return Panel(title, "kiosks at work", _lines(ramp, _kiosks, seconds), at_least=at_least)


def _kiosks(step: Step) -> float:
    return float(step.kiosks)


def _lines(
    steps: Sequence[Step], across: Callable[[Step], float], up: Callable[[Step], float]
) -> dict[int, list[Point]]:
    """By the number of servers; where nobody was let in there is no wait to draw."""
    found: dict[int, list[Point]] = {step.servers: [] for step in steps}
    for step in steps:
        if not math.isnan(up(step)):
            found[step.servers].append((across(step), up(step)))
    return found
