"""The check of `4auth-kiosk hardware` for speech."""

import time
from collections.abc import Callable
from typing import Final

from kiosk_agent.events import Step
from kiosk_agent.hardware import Finding, Options
from kiosk_agent.languages import Speakers
from kiosk_agent.screen.frame import Frame
from kiosk_agent.screen.view import view
from kiosk_agent.session import Session
from kiosk_agent.settings import KioskSettings
from kiosk_agent.speech import open_speech

_SAID_S: Final = 4.0


def check_speech(settings: KioskSettings, options: Options, sleep: Callable[[float], object] = time.sleep) -> Finding:
    """Say the first page of a login in the language of the screen, for whoever listens."""
    del options
    if settings.speech.kind == "none":
        return Finding({"said": "nothing, it is switched off"})
    frame = Frame(speaker=Speakers().of(settings.screen.language))
    rest, page = (view(Session(step), None, frame) for step in (Step.ATTRACT, Step.NAME))
    speech = open_speech(settings.speech)
    try:
        speech.follow(rest)
        speech.follow(page)
        sleep(_SAID_S)
    finally:
        speech.close()
    return Finding({"said": f"{page.title}: {page.lines[0]}"}, (speech.problem,) if speech.problem else ())
