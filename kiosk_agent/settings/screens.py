"""Settings of each screen backend."""

from typing import Literal

from kiosk_agent.settings.section import Section


class TerminalScreen(Section):
    """The terminal, or plain lines where standard output is none."""

    kind: Literal["terminal"]


AnyScreen = TerminalScreen
"""The settings of one screen, of whatever kind."""
