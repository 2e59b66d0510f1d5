"""No lights and no sounds."""

from kiosk_agent.events import Step
from kiosk_agent.settings.indicators import NoIndicators


class NoIndicatorsBackend:
    """Does nothing."""

    def __init__(self, settings: NoIndicators) -> None:
        del settings

    def show(self, step: Step) -> None:
        """Dark."""

    def click(self) -> None:
        """Silent."""

    def close(self) -> None:
        """Nothing to turn off."""
