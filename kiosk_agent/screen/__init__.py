"""The screen: a Protocol, a table of backends, and one backend a file."""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from kiosk_agent.camera.driver import Image
from kiosk_agent.events import KeyEvent
from kiosk_agent.registry import load_backend
from kiosk_agent.screen.frame import View
from kiosk_agent.settings.screens import AnyScreen


class Screen(Protocol):
    """Shows views; what a view says is decided in `screen.view`, and nowhere else."""

    def show(self, view: View) -> None:
        """Show this, in place of what was shown; called again each second while time runs down."""

    def connect(self, put: Callable[[KeyEvent], None], latest: Callable[[], Image | None]) -> None:
        """Learn where keys go that are on the screen itself, and what the camera sees, for a preview."""

    def close(self) -> None:
        """Leave nothing of the last person on display."""


BACKENDS: Final[Mapping[str, str]] = {
    "page": "kiosk_agent.screen.page:PageBackend",
    "terminal": "kiosk_agent.screen.terminal:TerminalBackend",
}


def open_screen(settings: AnyScreen) -> Screen:
    """Return the backend that the settings name; raises BackendRefused."""
    screen: Screen = load_backend("screen", settings.kind, BACKENDS)(settings)
    return screen
