"""Draw what a person sees at the kiosk: python scripts/kiosk_picture.py docs/kiosk.svg

The agent's own screen paints its own views; only the colours of its escape sequences are turned
into SVG here.
"""

import io
import re
import sys
from html import escape
from pathlib import Path

from kiosk_agent.events import Ending, Entries, Outcome, Step
from kiosk_agent.screen.terminal import TerminalBackend
from kiosk_agent.screen.view import view
from kiosk_agent.session import Session
from kiosk_agent.settings import TerminalScreen

_COLUMNS, _ROWS, _CELL, _LINE, _GAP = 68, 12, 7.3, 17, 16
_COLOURS = {"1": "#f5f5f5", "1;32": "#6ee787", "1;31": "#ff7b72", "1;33": "#f2cc60", "0": "#c9d1d9"}
_ESCAPE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])")

_SESSIONS = (
    (Session(step=Step.PASSWORD, entries=Entries(name="ada", password="x" * 13)), 21.0),
    (Session(step=Step.CODE, entries=Entries(name="ada", code="x" * 4)), 17.0),
    (Session(step=Step.GRANTED, outcome=Outcome(Ending.GRANTED, "Access granted.", "ada")), None),
    (
        Session(
            step=Step.DENIED,
            outcome=Outcome(Ending.DENIED, "That did not work."),
        ),
        None,
    ),
)


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def main(target: Path) -> None:
    """Write the picture: four screens, two by two."""
    width, height = _COLUMNS * _CELL, _ROWS * _LINE
    panels = []
    for number, (session, left_s) in enumerate(_SESSIONS):
        x = _GAP + number % 2 * (width + _GAP)
        y = _GAP + number // 2 * (height + _GAP)
        panels.append(f'<g transform="translate({x:.0f} {y:.0f})">{_panel(session, left_s, width, height)}</g>')
    total = (2 * width + 3 * _GAP, 2 * height + 3 * _GAP)
    target.write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total[0]:.0f} {total[1]:.0f}" '
        f'font-family="DejaVu Sans Mono, Menlo, Consolas, monospace" font-size="12">\n'
        f'<rect width="100%" height="100%" fill="#30363d"/>\n' + "\n".join(panels) + "\n</svg>\n",
        encoding="utf-8",
    )


def _panel(session: Session, left_s: float | None, width: float, height: float) -> str:
    terminal = _Terminal()
    TerminalBackend(TerminalScreen(kind="terminal"), terminal).show(view(session, left_s))
    rows = [f'<rect width="{width:.0f}" height="{height:.0f}" rx="6" fill="#0d1117"/>']
    text = _ESCAPE.sub(lambda found: found.group(0) if found.group(2) == "m" else "", terminal.getvalue())
    for number, line in enumerate(text.splitlines(), 1):
        rows.append(f'<text x="14" y="{number * _LINE + 4}" xml:space="preserve">{_spans(line)}</text>')
    return "\n".join(rows)


def _spans(line: str) -> str:
    """One line's text in the colours that its escape sequences set."""
    spans, colour, start = [], _COLOURS["0"], 0
    for found in [*_ESCAPE.finditer(line), None]:
        end = found.start() if found else len(line)
        if line[start:end]:
            spans.append(f'<tspan fill="{colour}">{escape(line[start:end])}</tspan>')
        if found:
            colour, start = _COLOURS.get(found.group(1), colour), found.end()
    return "".join(spans)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
