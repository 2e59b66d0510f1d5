"""A keypad that types what a file says, one JSON object a line, each line read when its turn comes.

    {"step": "attract", "text": "alice"}       types alice and Enter once the kiosk is at rest
    {"step": "password", "text": "..."}        the same at a later step
    {"text": "123456", "enter": false}         at once, and without Enter
    {"step": "checking", "keys": ["cancel"]}   presses keys: enter, cancel, backspace, clear, more

With `script = "-"` the lines come from standard input, so that another program can type when it
likes. At the end of the file the keypad is silent, as a keypad is that nobody touches.
"""

import os
import select
from collections import deque
from collections.abc import Mapping
from threading import Condition, Event
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from kiosk_agent.errors import BackendRefused, KeypadFault
from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, Key, KeyEvent, MoreTime, Step, Typed
from kiosk_agent.settings import ScriptedKeypad

_KEYS: Final[dict[str, KeyEvent]] = {
    "enter": Entered(),
    "cancel": Cancelled(),
    "backspace": Erased(),
    "clear": Cleared(),
    "more": MoreTime(),
}


class ScriptLine(BaseModel):
    """One line of a script."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    step: Step | None = None
    text: str | None = Field(default=None, max_length=200, repr=False)
    enter: bool = True
    keys: tuple[Literal["enter", "cancel", "backspace", "clear", "more"], ...] = ()

    def presses(self) -> list[KeyEvent]:
        """The keys in order: the text, Enter after it unless told otherwise, then `keys`."""
        typed: list[KeyEvent] = [Typed(character) for character in self.text or ""]
        entered: list[KeyEvent] = [Entered()] if self.text is not None and self.enter else []
        return typed + entered + [_KEYS[key] for key in self.keys]


class ScriptedBackend:
    """Types a script, each line when the session has come to its step."""

    labels: Final[Mapping[Key, str]] = {
        Key.ENTER: "Enter",
        Key.BACKSPACE: "Backspace",
        Key.CLEAR: "Delete",
        Key.CANCEL: "Esc",
        Key.MORE: "Tab",
    }
    state: Final = ""

    def __init__(self, settings: ScriptedKeypad, *, is_production: bool = False) -> None:
        # The settings refuse a script in production, and a script has no key that could end the agent.
        del is_production
        self._name = str(settings.script)
        self._lines = _Lines(self._name)
        self._at: Step | None = None
        self._moved = Condition()
        self._line: ScriptLine | None = None
        self._pending: deque[KeyEvent] = deque()
        self._number = 0

    def follow(self, step: Step) -> None:
        """Let lines that wait for this step be typed."""
        with self._moved:
            self._at = step
            self._moved.notify_all()

    def read(self, timeout_s: float) -> KeyEvent | None:
        """Return the next key of the script when its step has come, or None."""
        if not self._pending:
            self._line = self._line or self._next_line(timeout_s)
            if self._line is not None and self._wait_for(self._line.step, timeout_s):
                self._pending.extend(self._line.presses())
                self._line = None
        return self._pending.popleft() if self._pending else None

    def close(self) -> None:
        """Type no more."""
        self._lines.close()

    def _wait_for(self, step: Step | None, timeout_s: float) -> bool:
        with self._moved:
            return self._moved.wait_for(lambda: step is None or self._at == step, timeout_s)

    def _next_line(self, timeout_s: float) -> ScriptLine | None:
        text = self._lines.read(timeout_s)
        if text is None:
            return None
        self._number += 1
        if not text.strip():
            return None
        try:
            return ScriptLine.model_validate_json(text)
        except ValidationError as error:
            faults = error.errors(include_input=False, include_url=False, include_context=False)
            rules = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'line'}: {fault['msg']}" for fault in faults)
            raise KeypadFault(f"keypad.script {self._name} line {self._number}: {rules}") from None


class _Lines:
    """Lines of a file or of standard input, with a time-out where they come through a pipe."""

    def __init__(self, name: str) -> None:
        try:
            self._descriptor = os.dup(0) if name == "-" else os.open(name, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise BackendRefused(f"keypad.script {name}: {error.strerror}") from error
        self._text = b""
        self._is_over = False
        self._closed = Event()

    def read(self, timeout_s: float) -> bytes | None:
        """Return the next line; None when none came in time, and after the last."""
        while b"\n" not in self._text and not self._is_over and not self._closed.is_set():
            if not select.select([self._descriptor], [], [], timeout_s)[0]:
                return None
            chunk = os.read(self._descriptor, 4096)
            self._text += chunk
            self._is_over = not chunk
        line, _, self._text = self._text.partition(b"\n")
        if not line and self._is_over:
            self._closed.wait(timeout_s)  # be silent: else an ended script would keep a processor busy
            return None
        return line

    def close(self) -> None:
        """Close the file; a reader that waits finds out at its time-out."""
        if not self._closed.is_set():
            self._closed.set()
            self._is_over = True
            os.close(self._descriptor)
