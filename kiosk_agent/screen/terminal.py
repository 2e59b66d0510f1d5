"""The screen in a terminal: a framed page that is painted over, or plain lines where there is none.

Only fixed escape sequences of this file ever reach the terminal; `view.neutral` has taken them out
of everything else.
"""

import sys
from textwrap import wrap
from typing import Final, TextIO

from kiosk_agent.screen.view import View
from kiosk_agent.settings import TerminalScreen

_WIDTH: Final = 64
_CLEAR: Final = "\x1b[2J\x1b[3J\x1b[H"
_TONES: Final = {"plain": "\x1b[1m", "good": "\x1b[1;32m", "bad": "\x1b[1;31m", "busy": "\x1b[1;33m"}
_RESET: Final = "\x1b[0m"


class TerminalBackend:
    """Paints views on a terminal, standard output unless told otherwise."""

    def __init__(self, settings: TerminalScreen, stream: TextIO | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._last = ""

    def show(self, view: View) -> None:
        """Paint the view where it differs from what stands there."""
        text = _page(view) if self._is_terminal else _line(view)
        if text != self._last:
            self._last = text
            self._write(_CLEAR + text if self._is_terminal else text)

    def close(self) -> None:
        """Clear a terminal."""
        if self._is_terminal:
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        encoding = self._stream.encoding or "utf-8"
        self._stream.write(text.encode(encoding, "replace").decode(encoding))
        self._stream.flush()


def _page(view: View) -> str:
    rule = "-" * _WIDTH
    left = "" if view.seconds_left is None else f"{view.seconds_left} s left"
    rows = [f"4Auth{left:>{_WIDTH - 5}}", rule, "", f"{_TONES[view.tone]}  {view.title}{_RESET}", ""]
    for line in view.lines:
        rows += wrap(line, _WIDTH, initial_indent="  ", subsequent_indent="  ")
    if view.entry is not None:
        rows += ["", f"  > {view.entry}_"]
    if view.problem:
        rows += ["", *wrap(view.problem, _WIDTH, initial_indent="  ! ", subsequent_indent="    ")]
    rows += ["", rule, f"  {view.keys}"]
    if view.notice:
        rows.append(f"  {view.notice}")
    return "\n".join(rows) + "\n"


def _line(view: View) -> str:
    """One line for each thing said; nothing for each key or second, so that a log stays short."""
    mark = {"plain": " ", "good": "+", "bad": "!", "busy": "."}[view.tone]
    said = [f"[{mark}] {view.title}: {' '.join(view.lines)}"]
    if view.problem:
        said.append(f"    {view.problem}")
    return "\n".join(said) + "\n"
