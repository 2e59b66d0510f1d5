"""The QR code of a new secret as a picture in a file, for a person whose terminal is too small for it.

It lies in memory where there is a place for that ($XDG_RUNTIME_DIR, /dev/shm), in a folder that its owner
alone can open, and no longer than its step lasts. What a process left that was killed is removed by the next.
"""

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from kiosk_agent.screen.png import png
from kiosk_agent.screen.qr import modules

_PREFIX: Final = "4auth-"
_NAME: Final = "qr.png"
_PIXELS: Final = 8
"""To each side of a module: some 400 in all, which a phone reads off any screen."""


class QrPicture:
    """At most one picture in a folder of its own at this place, which is in memory unless told otherwise."""

    def __init__(self, place: Path | None = None) -> None:
        self._place = place or in_memory()
        self._uri = ""
        self._folder: Path | None = None
        self._remove_of_the_dead()

    def lay(self, uri: str) -> str:
        """Write the code of a URI where it does not lie there yet; return the file's path, empty where it cannot be."""
        if uri != self._uri:
            self.remove()
            self._uri = uri
            try:
                self._write(png(modules(uri), _PIXELS))
            except OSError as error:
                self._discard()
                _log().warning("qr_picture_not_written", place=str(self._place), error=error.strerror)
        return "" if self._folder is None else str(self._folder / _NAME)

    def remove(self) -> None:
        """Let nothing of it lie there."""
        self._uri = ""
        self._discard()

    def _discard(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _write(self, data: bytes) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=self._place))
        descriptor = os.open(self._folder / _NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    def _remove_of_the_dead(self) -> None:
        for folder in self._place.glob(f"{_PREFIX}[0-9]*-*"):
            pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
            with suppress(FileNotFoundError):  # another client that starts may be quicker
                if folder.lstat().st_uid == os.geteuid() and not Path(f"/proc/{pid}").exists():
                    shutil.rmtree(folder, ignore_errors=True)


def in_memory() -> Path:
    """Return a place that is in memory and gone with the machine's power, else the folder for temporary files."""
    for place in (os.environ.get("XDG_RUNTIME_DIR", ""), "/dev/shm"):  # noqa: S108 - a folder of its own is made in it
        if place and os.access(place, os.W_OK | os.X_OK):
            return Path(place)
    return Path(tempfile.gettempdir())


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.screen")
    return logger
