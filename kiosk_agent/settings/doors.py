"""Settings of each door backend."""

from typing import Literal

from kiosk_agent.settings.section import Section


class LogDoor(Section):
    """Writes a log line where a relay would close."""

    kind: Literal["log"]


AnyDoor = LogDoor
"""The settings of one door, of whatever kind."""
