"""No speech, for kiosks without a loudspeaker or headphones."""

from typing import Final

from kiosk_agent.screen.frame import View
from kiosk_agent.settings.speech import NoSpeech


class SilentBackend:
    """Says nothing."""

    problem: Final = ""

    def __init__(self, settings: NoSpeech) -> None:
        """Take the settings as every backend does; there are none."""

    def follow(self, view: View) -> None:
        """Nothing is said."""

    def close(self) -> None:
        """Nothing to let go of."""
