"""The screen in a terminal: a framed page that is painted over, or plain lines where there is none.

Only fixed escape sequences of this file ever reach the terminal; `view.neutral` has taken them out
of everything else. A page that shows a new secret is wiped, with what a terminal keeps of earlier
lines, when its step ends, when the screen is closed, and when the process ends without closing it;
in a pipe or a file it is never written at all. The picture of it, where the settings ask for one, goes
with the page.
"""

import atexit
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from itertools import zip_longest
from typing import Final, TextIO

from auth_contract.neutral import neutral
from kiosk_agent.camera.driver import Image
from kiosk_agent.errors import ScreenFault
from kiosk_agent.events import KeyEvent
from kiosk_agent.languages import Speakers
from kiosk_agent.phrases import Phrase
from kiosk_agent.screen.columns import width_of, wrap
from kiosk_agent.screen.frame import View
from kiosk_agent.screen.qr import INK, qr_lines, smallest
from kiosk_agent.screen.qr_picture import QrPicture
from kiosk_agent.settings import TerminalScreen

_WIDTH: Final = 64
_BESIDE_MIN: Final = 22
"""Columns that the text beside a QR code takes at least."""

_CLEAR: Final = "\x1b[2J\x1b[3J\x1b[H"
_HOME: Final = "\x1b[H"
_REST_OF_LINE: Final = "\x1b[K"
_REST_OF_PAGE: Final = "\x1b[J"
_TONES: Final = {"plain": "\x1b[1m", "good": "\x1b[1;32m", "bad": "\x1b[1;31m", "busy": "\x1b[1;33m"}
_LIGHT_ON_DARK: Final = "\x1b[37;97;40m"
"""White on black; where a terminal knows no bright colours the second number means nothing to it."""

_RESET: Final = "\x1b[0m"
_USUAL_SIZE: Final = (80, 24)
_SPEAKERS: Final = Speakers()

Size = Callable[[], tuple[int, int]]
"""Gives columns and rows."""


class TerminalBackend:
    """Paints views on a terminal, standard output unless told otherwise; `size` is asked before each page."""

    def __init__(self, settings: TerminalScreen, stream: TextIO | None = None, size: Size | None = None) -> None:
        self._stream = sys.stdout if stream is None else stream
        self._is_terminal = self._stream.isatty()
        self._size = size or self._ask_size
        self._last = ""
        self._page: object = None
        self._code: tuple[object, tuple[str, ...] | None] | None = None
        self._picture = QrPicture() if settings.qr_picture and self._is_terminal else None
        if self._is_terminal:
            atexit.register(self.close)

    def show(self, view: View) -> None:
        """Paint the view where it differs from what stands there."""
        if not self._is_terminal:
            return self._say(_line(view))
        columns, rows = self._size()
        code = self._code_of(view, columns, rows)
        picture = self._lay_picture(view)
        text = _page(view, (columns, rows), picture) if code is None else _page_beside(view, code, columns, picture)
        page = (view.title, view.subject, bool(view.uri), bool(view.secret), columns, rows)
        # Within a page only what differs is painted: a QR code that blinks each second is hard to scan.
        self._say(text, _CLEAR + text if page != self._page else _over(text))
        self._page = page

    def connect(self, put: Callable[[KeyEvent], None], latest: Callable[[], Image | None]) -> None:
        """A terminal has no keys of its own that are not a keypad's, and shows no pictures."""

    def close(self) -> None:
        """Clear a terminal."""
        self._last, self._code, self._page = "", None, None
        if self._picture is not None:
            self._picture.remove()
        if self._is_terminal:
            atexit.unregister(self.close)
            with suppress(OSError, ValueError):  # a terminal that is gone shows nothing any more
                self._write(_CLEAR)

    def _say(self, text: str, written: str | None = None) -> None:
        if text == self._last:
            return
        self._last = text
        try:
            self._write(text if written is None else written)
        except OSError as error:
            # Whoever closed the window hears nothing any more; the log does.
            raise ScreenFault(f"the terminal cannot be written to: {error.strerror or error}") from error

    def _code_of(self, view: View, columns: int, rows: int) -> tuple[str, ...] | None:
        """The lines of the view's QR code, made once; None where it has none, or it does not fit."""
        if not view.uri or not self._can_draw():
            self._code = None
            return None
        key = (view.uri, columns, rows)
        if self._code is None or self._code[0] != key:
            self._code = (key, qr_lines(view.uri, columns - 2 - _BESIDE_MIN, rows))
        return self._code[1]

    def _lay_picture(self, view: View) -> str:
        """What is said of the code's picture, which lies there as long as the view has a code; mostly nothing."""
        if self._picture is None:
            return ""
        if not view.uri:
            self._picture.remove()
            return ""
        path = self._picture.lay(view.uri)
        return _said(view, Phrase(_AS_PICTURE, path=neutral(path))) if path else ""

    def _can_draw(self) -> bool:
        try:
            INK.encode(self._encoding)
        except UnicodeEncodeError:
            return False
        return True

    @property
    def _encoding(self) -> str:
        return self._stream.encoding or "utf-8"

    def _ask_size(self) -> tuple[int, int]:
        try:
            size = os.get_terminal_size(self._stream.fileno())
        except OSError:  # also of a stream without a descriptor
            return _USUAL_SIZE
        return (size.columns, size.lines) if size.columns and size.lines else _USUAL_SIZE

    def _write(self, text: str) -> None:
        self._stream.write(text.encode(self._encoding, "replace").decode(self._encoding))
        self._stream.flush()


def _page(view: View, size: tuple[int, int], picture: str) -> str:
    width = min(_WIDTH, size[0])
    rule = "-" * width
    head = f"4Auth   {view.subject}" if view.subject else "4Auth"
    left = _left(view)
    gap = " " * (width - width_of(head) - width_of(left))
    rows = [f"{head}{gap}{left}", rule, "", _title(view, "  "), ""]
    for line in (*view.lines, *_missing_code(view, size), picture):
        rows += wrap(line, width, "  ", "  ")
    for line in _numbered(view):
        rows += wrap(line, width, "  ", "     ")
    if view.secret:
        rows += ["", *(f"  {line}" for line in _spelt(view.secret))]
    if view.entry is not None:
        rows += ["", _entry(view)]
    if view.problem:
        rows += ["", *wrap(view.problem, width, "  ! ", "    ")]
    rows += ["", rule]
    for line in (_keys(view), _contact(view), view.notice):
        rows += wrap(line, width, "  ", "  ")
    if len(rows) >= size[1]:  # rather close together than scrolled away
        rows = [row for row in rows if row]
    return "\n".join(rows) + "\n"


def _page_beside(view: View, code: tuple[str, ...], columns: int, picture: str) -> str:
    """The QR code, and beside it what there is to say; its last line has no end, so that nothing scrolls."""
    # One column stays free: after the last one some terminals go to the next line, and some do not.
    width = columns - len(code[0]) - 3
    beside = ["4Auth", *wrap(view.subject, width), _left(view), "", _title(view), ""]
    for line in view.lines:
        beside += wrap(line, width)
    beside += ["", _entry(view).strip()]
    if view.problem:
        beside += wrap(f"! {view.problem}", width)
    if view.secret:
        beside += ["", *_spelt(view.secret)]
    if picture:
        beside += ["", *wrap(picture, width)]
    beside += ["", *_key_words(view)]
    if view.notice:
        beside += wrap(view.notice, width)
    if len(beside) > len(code):  # blank lines go first
        beside = [line for line in beside if line]
    drawn = (f"{_LIGHT_ON_DARK}{line}{_RESET}" for line in code)
    blank = " " * len(code[0])
    pairs = zip_longest(drawn, beside)
    return "\n".join(f"{line or blank}  {text or ''}" for line, text in pairs)


def _over(text: str) -> str:
    return _HOME + text.replace("\n", f"{_REST_OF_LINE}\n") + _REST_OF_LINE + _REST_OF_PAGE


def _title(view: View, indent: str = "") -> str:
    return f"{_TONES[view.tone]}{indent}{view.title}{_RESET}"


def _left(view: View) -> str:
    return "" if view.seconds_left is None else _said(view, Phrase("{seconds} s left", seconds=view.seconds_left))


def _said(view: View, text: str) -> str:
    """What the terminal itself has to say, in the language of the view."""
    return _SPEAKERS.of(view.language).say(text)


def _entry(view: View) -> str:
    aside = "   ".join(text for text in (view.mode, view.aside) if text)
    return f"  > {view.entry or ''}_" + (f"   {aside}" if aside else "")


def _numbered(view: View) -> list[str]:
    return [f"{place}  {option}" for place, option in enumerate(view.options, 1)]


def _key_words(view: View) -> list[str]:
    return [f"{label}: {what}" for label, what in view.keys]


def _keys(view: View) -> str:
    return "  ".join(_key_words(view))


def _contact(view: View) -> str:
    return f"\u2192 {view.contact}" if view.contact else ""


def _spelt(secret: str) -> list[str]:
    return wrap(secret, 20)


def _missing_code(view: View, size: tuple[int, int]) -> list[str]:
    if not view.uri:
        return []
    columns, rows = smallest(view.uri)
    needed = columns + 2 + _BESIDE_MIN
    return [_said(view, Phrase(_TOO_SMALL, columns=needed, rows=rows, width=size[0], height=size[1]))]


def _line(view: View) -> str:
    """One line for each thing said; nothing for each key or second, so that a log stays short."""
    mark = {"plain": " ", "good": "+", "bad": "!", "busy": "."}[view.tone]
    lines = (*view.lines, *_numbered(view), _contact(view), *((_said(view, _NO_TERMINAL),) if view.uri else ()))
    said = [f"[{mark}] {view.title}: {' '.join(line for line in lines if line)}"]
    if view.problem:
        said.append(f"    {view.problem}")
    return "\n".join(said) + "\n"


_TOO_SMALL: Final = (
    "The QR code needs {columns} columns and {rows} rows; this terminal has {width} and {height}, or cannot draw it. "
    "Make its window larger or its letters smaller, or press S for the secret in letters."
)
_AS_PICTURE: Final = "As a picture: {path}"
_NO_TERMINAL: Final = "The QR code and its secret are shown on a terminal only, and this is none."
