"""Somebody who sits at the terminal of a real process: types, and sees what a person would see."""

import codecs
import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import IO, Final

from demo.terminal import Terminal

SEEN_WITHIN_S: Final = 60.0


class NotSeen(Exception):
    """What was waited for did not come; the message is what was seen instead."""


class Seat:
    """A process on a pseudo-terminal of 80 x 24. `seen` is what stands on it, `log` takes its standard error."""

    def __init__(self, command: Sequence[str], log: IO[bytes], environment: Mapping[str, str] | None = None) -> None:
        self._descriptor, terminal = pty.openpty()
        self.seen = Terminal(80, 24)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", self.seen.rows, self.seen.columns, 0, 0))
        self.process = subprocess.Popen(  # noqa: S603 - our own command
            command,
            env={**(os.environ if environment is None else environment), "LANG": "C.UTF-8"},
            stdin=terminal,
            stdout=terminal,
            stderr=log,
        )
        os.close(terminal)
        self._decode = codecs.getincrementaldecoder("utf-8")().decode

    def look_for(self, text: str) -> None:
        """Look until a text is seen; raises NotSeen."""
        self.look_until(lambda: text in "\n".join(self.seen.lines))

    def scan(self) -> str:
        """Hold a phone before the screen until it reads a QR code, and return its text; raises NotSeen."""
        self.look_until(lambda: bool(self.seen.scan()))
        return self.seen.scan()

    def look_until(self, is_seen: Callable[[], bool]) -> None:
        """Look at what is written until it is as it should be; raises NotSeen."""
        ends = time.monotonic() + SEEN_WITHIN_S
        while not is_seen():
            if not select.select([self._descriptor], [], [], max(0.0, ends - time.monotonic()))[0]:
                raise NotSeen("\n".join(self.seen.lines))
            self._read()

    def type(self, keys: str, *, at: str = "") -> None:
        """Type, once the page with this text is seen; raises NotSeen."""
        if at:
            self.look_for(at)
        os.write(self._descriptor, keys.encode())

    def leave(self) -> int:
        """See what is still written, and return the exit code of the process, which must have been told to end."""
        with suppress(OSError):  # how a terminal ends whose other side has gone
            while self._read():
                pass
        os.close(self._descriptor)
        return self.process.wait(30)

    def _read(self) -> bool:
        chunk = os.read(self._descriptor, 65536)
        self.seen.feed(self._decode(chunk))
        return bool(chunk)
