"""The keyboard of a terminal. It echoes nothing: what may be seen is shown by the screen.

The terminal is put into character mode without echo and put back whatever happens: by `close`, and
by an exit handler for the case that nobody calls it. In production no key makes a signal, so that
nobody at the door can end the agent (Control-C, Control-\\), stop it (Control-Z) or hold its screen
(Control-S); in development Control-C keeps its meaning.
"""

import atexit
import codecs
import os
import re
import select
import sys
import termios
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from kiosk_agent.errors import BackendRefused, KeypadFault
from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, Key, KeyEvent, MoreTime, Step, Typed
from kiosk_agent.settings import TerminalKeypad

_INPUT, _LOCAL, _CHARACTERS = 0, 3, 6
"""Places in what `termios.tcgetattr` gives."""

_ESCAPE: Final = "\x1b"
_ESCAPE_REST_S: Final = 0.03
"""An arrow or function key sends the rest of its sequence at once; a person is slower."""

_SEQUENCE: Final = re.compile(f"{_ESCAPE}(?:\\[[0-?]*[ -/]*[@-~]|O[ -~])")
"""An arrow or function key (ECMA-48 5.4, and SS3 of the VT220), which no step has a use for."""

_BEGUN: Final = re.compile(f"{_ESCAPE}(?:\\[[0-?]*[ -/]*|O)?\\Z".encode())

_CONTROL: Final[dict[str, KeyEvent]] = {
    "\r": Entered(),
    "\n": Entered(),
    "\x7f": Erased(),
    "\b": Erased(),
    "\x03": Cancelled(),  # Control-C, where it makes no signal
    "\x15": Cleared(),  # Control-U
    "\x04": Cancelled(),  # Control-D
    "\t": MoreTime(),
    _ESCAPE: Cancelled(),
}


class TerminalBackend:
    """Reads keys from a terminal, standard input unless told otherwise."""

    labels: Final[Mapping[Key, str]] = {
        Key.ENTER: "Enter",
        Key.BACKSPACE: "Backspace",
        Key.CLEAR: "Ctrl-U",
        Key.CANCEL: "Esc",
        Key.MORE: "Tab",
    }
    state: Final = ""

    def __init__(self, settings: TerminalKeypad, descriptor: int | None = None, *, is_production: bool = True) -> None:
        try:
            self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
            self._found = termios.tcgetattr(self._descriptor)
            termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, _character_mode(self._found, is_production))
        except (termios.error, OSError, AttributeError) as error:  # without a standard input, sys.stdin is None
            raise BackendRefused(
                'keypad.kind = "terminal" needs standard input to be a terminal; use kind = "scripted" for a pipe'
            ) from error
        self._is_open = True
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._pending: deque[KeyEvent] = deque()
        atexit.register(self.close)

    def read(self, timeout_s: float) -> KeyEvent | None:
        """Return the next key, or None when none came in time; a closed terminal is a KeypadFault."""
        if not self._pending and self._is_ready(timeout_s):
            self._pending.extend(self._keys(self._read_bytes()))
        return self._pending.popleft() if self._pending else None

    def follow(self, step: Step) -> None:
        """Forget what was typed ahead when the kiosk comes to rest: it may be the last person's secret."""
        if step is Step.ATTRACT and self._is_open:
            termios.tcflush(self._descriptor, termios.TCIFLUSH)

    def close(self) -> None:
        """Put the terminal back as it was found."""
        if self._is_open:
            self._is_open = False
            atexit.unregister(self.close)
            with suppress(termios.error):  # a terminal that is gone needs nothing put back
                termios.tcsetattr(self._descriptor, termios.TCSAFLUSH, self._found)

    def _is_ready(self, timeout_s: float) -> bool:
        return bool(select.select([self._descriptor], [], [], timeout_s)[0])

    def _read_bytes(self) -> bytes:
        try:
            data = os.read(self._descriptor, 1024)
            while _BEGUN.search(data) and self._is_ready(_ESCAPE_REST_S) and (rest := os.read(self._descriptor, 1024)):
                data += rest
        except OSError as error:
            raise KeypadFault(f"the terminal cannot be read: {error.strerror}") from error
        if not data:
            raise KeypadFault("the terminal was closed")
        return data

    def _keys(self, data: bytes) -> list[KeyEvent]:
        text = _SEQUENCE.sub("", self._decoder.decode(data))
        events = (_CONTROL.get(character) or _typed(character) for character in text)
        return [event for event in events if event is not None]


def _character_mode(found: list[Any], is_production: bool) -> list[Any]:
    """Return the attributes of a terminal that gives each key at once, without echo."""
    mode = [*found[:6], [*found[6]]]
    mode[_LOCAL] &= ~(termios.ECHO | termios.ICANON)
    mode[_CHARACTERS][termios.VMIN], mode[_CHARACTERS][termios.VTIME] = 1, 0
    if is_production:
        mode[_LOCAL] &= ~(termios.ISIG | termios.IEXTEN)
        # A break on a serial line would be a signal too.
        mode[_INPUT] &= ~(termios.IXON | termios.BRKINT)
    return mode


def _typed(character: str) -> Typed | None:
    return Typed(character) if character.isprintable() else None
