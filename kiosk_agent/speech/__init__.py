"""Speech: a Protocol, a table of backends, and one backend a file."""

from collections.abc import Mapping
from typing import Final, Protocol

from kiosk_agent.registry import load_backend
from kiosk_agent.screen.frame import View
from kiosk_agent.settings.speech import AnySpeech


class Speech(Protocol):
    """Says aloud what the screen shows; what is said is decided in `speech.prompt`, and nowhere else."""

    @property
    def problem(self) -> str:
        """What kept the last prompt from being heard, or nothing."""

    def follow(self, view: View) -> None:
        """Take note of what is shown now; called for each view that the screen gets, and returns at once."""

    def close(self) -> None:
        """Fall silent, and let go of the device."""


BACKENDS: Final[Mapping[str, str]] = {
    "espeak": "kiosk_agent.speech.espeak:EspeakBackend",
    "none": "kiosk_agent.speech.silence:SilentBackend",
}


def open_speech(settings: AnySpeech) -> Speech:
    """Return the backend that the settings name; raises BackendRefused where it cannot be had."""
    speech: Speech = load_backend("speech", settings.kind, BACKENDS)(settings)
    return speech
