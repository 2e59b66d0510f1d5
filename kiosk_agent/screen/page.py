"""The screen as a local page for a browser in kiosk mode: what is shown, and the server that shows it.

The loop only lays down the newest view; browsers fetch it in threads of their own, so that a slow or
dead one holds nobody up. Of a session nothing is kept but the view that is shown now.
"""

import os
import secrets
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import BoundedSemaphore, Condition, Thread
from typing import Any, Final

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

from kiosk_agent.camera.driver import Image
from kiosk_agent.errors import StartRefused
from kiosk_agent.events import KeyEvent
from kiosk_agent.screen.frame import View
from kiosk_agent.screen.page_app import create_app
from kiosk_agent.screen.page_view import members
from kiosk_agent.screen.touch import TouchPad
from kiosk_agent.settings.screens import PageScreen

_THREADS_MAX: Final = 24
"""Connections at once: a page has four, and a program on this machine must not take all memory."""

_SILENCE_MAX_S: Final = 10
"""For a head that does not come, or a browser that takes nothing."""


class Shown:
    """The newest view and who waits for the next. `latest` gives what the camera sees, `put` takes keys."""

    def __init__(self, settings: PageScreen, pad: TouchPad | None = None) -> None:
        self.settings = settings
        self.token: Final = secrets.token_urlsafe(24)
        self.pad = pad
        self._changed = Condition()
        self._view = View("")
        self._number = 0
        self._is_closed = False
        self.watchers = 0
        self.put: Callable[[KeyEvent], None] = lambda _key: None
        self.latest: Callable[[], Image | None] = lambda: None

    @property
    def view(self) -> View:
        """What is shown now."""
        return self._view

    def show(self, view: View) -> None:
        """Lay down the next view."""
        with self._changed:
            if view != self._view:
                self._view, self._number = view, self._number + 1
                self._changed.notify_all()

    def close(self) -> None:
        """Let everybody go who waits, with nothing shown."""
        with self._changed:
            self._view, self._is_closed = View(""), True
            self._number += 1
            self._changed.notify_all()

    def after(self, number: int, timeout_s: float) -> tuple[int, dict[str, Any] | None]:
        """Wait for a view after this number; return its number and members, or None where none came in time."""
        with self._changed:
            self.watchers += 1
            self._changed.wait_for(lambda: self._number != number or self._is_closed, timeout_s)
            self.watchers -= 1
            if self._is_closed:
                return -1, None
            if self._number == number:
                return number, None
            view, number = self._view, self._number
        return number, members(view, self.pad, has_keyboard=self.settings.keyboard)

    def picture(self) -> Image | None:
        """What the camera sees, while a person stands before it."""
        return self.latest() if self._view.oval else None


class _Handler(WSGIRequestHandler):
    timeout = _SILENCE_MAX_S
    server_version = "4auth"
    sys_version = ""

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Say nothing: an address holds a token."""

    def log(self, type: str, message: str, *args: object) -> None:
        """Say nothing of browsers that went away."""


class _Server(ThreadedWSGIServer):
    daemon_threads = True

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._free = BoundedSemaphore(_THREADS_MAX)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            return self.shutdown_request(request)
        return super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()


class PageBackend:
    """Serves the page until it is closed."""

    def __init__(self, settings: PageScreen) -> None:
        """Listen, and write the address; raises StartRefused where that cannot be."""
        self._settings = settings
        pad = None if settings.touch == "off" else TouchPad(is_scrambled=settings.touch == "scrambled")
        self.shown = Shown(settings, pad)
        try:
            self._server = _Server(settings.host, settings.port, create_app(self.shown), _Handler)
        except (OSError, SystemExit) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is in use"
            raise StartRefused(f"screen.port {settings.port} on {settings.host}: {reason}") from error
        self.port: Final = int(self._server.server_port)
        self._write_url()
        Thread(target=self._server.serve_forever, name="page", daemon=True).start()

    @property
    def url(self) -> str:
        """The address by which a browser gets in; a secret of this machine."""
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        return f"http://{host}:{self.port}/enter?token={self.shown.token}"

    def show(self, view: View) -> None:
        """Show this, in place of what was shown."""
        if self.shown.pad is not None:
            self.shown.pad.follow(view.step)
        self.shown.show(view)

    def connect(self, put: Callable[[KeyEvent], None], latest: Callable[[], Image | None]) -> None:
        """Hand over what is pressed on the page, and show what the camera sees to who stands before it."""
        self.shown.put, self.shown.latest = put, latest

    def close(self) -> None:
        """Show nothing, and answer no more."""
        self.shown.close()
        self._server.shutdown()
        self._server.server_close()
        if self._settings.url_file is not None:
            self._settings.url_file.unlink(missing_ok=True)

    def _write_url(self) -> None:
        path = self._settings.url_file
        if path is None:
            return
        try:
            _write_whole(path, self.url + "\n")
        except OSError as error:
            self._server.server_close()
            problem = f"screen.url_file {path}: {error.strerror}; name a folder that the agent may write"
            raise StartRefused(problem) from error


def _write_whole(path: Path, text: str) -> None:
    """Write a file that only its owner reads, whole or not at all."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        os.write(descriptor, text.encode())
        os.close(descriptor)
        Path(name).replace(path)
    except OSError:
        with suppress(OSError):
            Path(name).unlink()
        raise
