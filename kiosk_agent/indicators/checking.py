"""The check of `4auth-kiosk hardware` for lights and sounds."""

import time
from collections.abc import Callable
from typing import Final

from kiosk_agent.events import Step
from kiosk_agent.hardware import Finding, Options
from kiosk_agent.indicators import open_indicators
from kiosk_agent.settings import KioskSettings

_SHOWN_S: Final = 1.5


def check_indicators(
    settings: KioskSettings, options: Options, sleep: Callable[[float], object] = time.sleep
) -> Finding:
    """Show and sound a grant and then a denial, for whoever looks and listens."""
    del options
    if settings.indicators.kind == "none":
        return Finding({"shown": "nothing, there are none"})
    indicators = open_indicators(settings.indicators)
    try:
        for step in (Step.GRANTED, Step.DENIED):
            indicators.show(step)
            sleep(_SHOWN_S)
    finally:
        indicators.close()
    return Finding({"shown": "a grant (green, two short) and a denial (red and blinking, one long)"})
