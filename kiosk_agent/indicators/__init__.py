"""Lights and sounds: a Protocol, a table of backends, and one backend a file."""

from collections.abc import Mapping
from typing import Final, Protocol

from kiosk_agent.events import Step
from kiosk_agent.registry import load_backend
from kiosk_agent.settings.indicators import AnyIndicators


class Indicators(Protocol):
    """Tells by light and sound what the screen tells too. Nothing here blocks, and no fault stops a login."""

    def show(self, step: Step) -> None:
        """Show the light of a step, and give its sound."""

    def click(self) -> None:
        """Let a key be heard."""

    def close(self) -> None:
        """Turn all off."""


BACKENDS: Final[Mapping[str, str]] = {
    "gpio": "kiosk_agent.indicators.gpio:GpioIndicatorsBackend",
    "none": "kiosk_agent.indicators.none:NoIndicatorsBackend",
}


def open_indicators(settings: AnyIndicators) -> Indicators:
    """Return the backend that the settings name; raises BackendRefused."""
    indicators: Indicators = load_backend("indicators", settings.kind, BACKENDS)(settings)
    return indicators
