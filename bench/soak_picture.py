"""Draws what a soak gave: memory and threads over the sessions, one line for each screen, as plain SVG."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bench.soak_figures import MEMORY_MAX_MB, Sample

_WIDTH, _HEIGHT, _LEFT, _GAP = 720, 200, 60, 50
_PARTS: Final = 5
"""Of a scale; its top is a multiple, so that each mark is the number that it says."""

_LINES: Final = ("", "6 4")
"""A whole line and a dashed one: told apart without colour."""

_COLOURS: Final = ("#1f4e9c", "#8a3a00")


def draw(legs: Mapping[str, Sequence[Sample]]) -> str:
    """Return the picture of these samples, by screen."""
    panels = (
        ("resident memory, MB", MEMORY_MAX_MB, lambda sample: sample.rss_mb),
        ("threads", _above(max(one.threads for some in legs.values() for one in some)), lambda one: one.threads),
    )
    height = len(panels) * (_HEIGHT + _GAP) + _GAP
    parts = [_panel(legs, number, *panel) for number, panel in enumerate(panels)]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH + _LEFT + 30} {height}" role="img" '
        f'aria-label="Memory and threads of the agent over {_last(legs)} sessions" font-family="sans-serif" '
        f'font-size="13">\n<rect width="100%" height="100%" fill="#fff"/>\n{"".join(parts)}{_legend(legs)}</svg>\n'
    )


def _panel(
    legs: Mapping[str, Sequence[Sample]], place: int, title: str, top: float, value: Callable[[Sample], float]
) -> str:
    x0, y0 = _LEFT, _GAP + place * (_HEIGHT + _GAP)
    marks = [top * part / _PARTS for part in range(_PARTS + 1)]
    drawn = [f'<text x="{x0}" y="{y0 - 8}" font-weight="bold">{title}</text>\n']
    for mark in marks:
        y = y0 + _HEIGHT * (1 - mark / top)
        drawn.append(f'<line x1="{x0}" x2="{x0 + _WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        drawn.append(f'<text x="{x0 - 8}" y="{y + 4:.1f}" text-anchor="end">{mark:.0f}</text>\n')
    for number, samples in enumerate(legs.values()):
        points = " ".join(
            f"{x0 + _WIDTH * one.sessions / _last(legs):.1f},{y0 + _HEIGHT * (1 - value(one) / top):.1f}"
            for one in samples
        )
        drawn.append(f'<polyline points="{points}" fill="none" {_stroke(number)}/>\n')
    return "".join(drawn)


def _legend(legs: Mapping[str, Sequence[Sample]]) -> str:
    drawn, y = [], 2 * (_HEIGHT + _GAP) + _GAP - 18
    for number, screen in enumerate(legs):
        x = _LEFT + number * 200
        drawn.append(f'<line x1="{x}" x2="{x + 40}" y1="{y}" y2="{y}" {_stroke(number)}/>')
        drawn.append(f'<text x="{x + 48}" y="{y + 4}">{screen}</text>\n')
    end = f'<text x="{_LEFT + _WIDTH}" y="{y + 4}" text-anchor="end">session 0 to {_last(legs)}</text>\n'
    return "".join([*drawn, end])


def _stroke(number: int) -> str:
    dashes = f' stroke-dasharray="{_LINES[number % 2]}"' if _LINES[number % 2] else ""
    return f'stroke="{_COLOURS[number % 2]}" stroke-width="2"{dashes}'


def _above(value: int) -> float:
    return float((value // _PARTS + 1) * _PARTS)


def _last(legs: Mapping[str, Sequence[Sample]]) -> int:
    return max(samples[-1].sessions for samples in legs.values())
