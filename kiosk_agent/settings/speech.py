"""Settings of each speech backend."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from kiosk_agent.settings.section import Section


class NoSpeech(Section):
    """Nothing is said aloud."""

    kind: Literal["none"]


class EspeakSpeech(Section):
    """The synthesiser espeak-ng, in a process of its own."""

    kind: Literal["espeak"]
    program: Path | None = Field(default=None, description="Path of espeak-ng; left out: looked for in PATH")
    device: str = Field(default="", max_length=100, description="Sound device; empty: the machine's default")
    rate: int = Field(default=150, ge=80, le=450, description="Words a minute")
    volume: int = Field(default=100, ge=1, le=200, description="Loudness; 100 is the synthesiser's own")
    speaks_secret: bool = Field(
        default=False, description="Whether a new TOTP secret that is shown in letters is also read aloud"
    )


AnySpeech = Annotated[NoSpeech | EspeakSpeech, Field(discriminator="kind")]
"""The settings of one speech backend, of whatever kind."""
