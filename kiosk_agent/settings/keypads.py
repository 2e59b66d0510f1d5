"""Settings of each keypad backend."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from kiosk_agent.settings.section import Section


class ScriptedKeypad(Section):
    """Keys from a file instead of a keypad; for development only."""

    kind: Literal["scripted"]
    script: Path = Field(description="File of JSON lines, or - for standard input; see keypad/scripted.py")


class TerminalKeypad(Section):
    """The keyboard of the terminal in which the agent runs; nothing typed is echoed."""

    kind: Literal["terminal"]


AnyKeypad = Annotated[ScriptedKeypad | TerminalKeypad, Field(discriminator="kind")]
"""The settings of one keypad, of whatever kind."""
