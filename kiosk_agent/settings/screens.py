"""Settings of each screen backend."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from kiosk_agent.phrases import Language
from kiosk_agent.settings.section import Section


class ScreenSection(Section):
    """What every screen is told of the place where it stands."""

    language: Language = Field(default=Language.ENGLISH, description="Spoken until somebody chooses another")
    contact: str = Field(
        default="", max_length=120, description="Whom to ask when the kiosk is out of service, as in: Reception, 100"
    )


class PageScreen(ScreenSection):
    """A page on this machine alone, for a browser in kiosk mode."""

    kind: Literal["page"]
    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: int = Field(ge=0, le=65535, description="0 takes any that is free")
    url_file: Path | None = Field(default=None, description="Where the address with its token is written, mode 0600")
    preview_fps: float = Field(default=10.0, ge=1, le=30, description="Pictures a second of what the camera sees")
    touch: Literal["off", "ordered", "scrambled"] = Field(default="off", description="Keys on the screen itself")
    keyboard: bool = Field(default=False, description="Take the browser's own keys; for development only")


class TerminalScreen(ScreenSection):
    """The terminal, or plain lines where standard output is none."""

    kind: Literal["terminal"]
    qr_picture: bool = Field(
        default=False, description="Lay the QR code of a new secret down as a picture too, while it is shown"
    )


AnyScreen = Annotated[TerminalScreen | PageScreen, Field(discriminator="kind")]
"""The settings of one screen, of whatever kind."""
