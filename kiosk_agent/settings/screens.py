"""Settings of each screen backend."""

from typing import Literal

from pydantic import Field

from kiosk_agent.phrases import Language
from kiosk_agent.settings.section import Section


class ScreenSection(Section):
    """What every screen is told of the place where it stands."""

    language: Language = Field(default=Language.ENGLISH, description="Spoken until somebody chooses another")
    contact: str = Field(
        default="", max_length=120, description="Whom to ask when the kiosk is out of service, as in: Reception, 100"
    )


class TerminalScreen(ScreenSection):
    """The terminal, or plain lines where standard output is none."""

    kind: Literal["terminal"]


AnyScreen = TerminalScreen
"""The settings of one screen, of whatever kind."""
