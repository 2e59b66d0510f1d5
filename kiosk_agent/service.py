"""The agent as a service: told to end by a signal, and to take its settings anew by SIGHUP.

New settings are taken when nobody stands at the kiosk: every part is closed and made anew, in the same
process. What cannot be read or opened leaves the settings in force that were, and the server hears why.
SIGUSR1 ends the agent when nobody stands there, for what needs a new process: another release, another device key.
"""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog

from auth_client.systemd import Notifier
from kiosk_agent import memory
from kiosk_agent.agent import Running, Until
from kiosk_agent.bootstrap import Services, build
from kiosk_agent.errors import StartRefused
from kiosk_agent.events import Outcome
from kiosk_agent.logs import configure_logging
from kiosk_agent.settings import KioskSettings

_ENDS: Final = (signal.SIGTERM, signal.SIGINT)


def run_once(settings: KioskSettings, until: Until) -> Outcome | None:
    """Run one login, or a menu until one is granted, and return how it ended; None where a signal or a person ended it.

    Raises StartRefused, KeypadFault and ScreenFault.
    """
    services = build(settings)
    try:
        running = Running(services)
        _on(running.agent.stop, *_ENDS, signal.SIGHUP)
        return running.run(until)
    finally:
        services.close()


def serve(settings: KioskSettings, read: Callable[[], KioskSettings], path: Path) -> bool:
    """Run until SIGTERM or SIGINT; on SIGHUP go on with the settings that `read` then finds in the file.

    SIGUSR1 ends it once nobody is served. Where somebody sits at a terminal, SIGHUP ends it, and then the answer is
    False: the terminal has hung up.
    Raises StartRefused where the parts cannot be opened at the start.
    """
    notifier = Notifier()
    services = build(settings)
    ended: list[int] = []
    hung_up: list[int] = []
    while True:
        memory.trim()  # loading the models took twice what they need
        try:
            running = Running(services, notifier)
            has_terminal = _has_terminal(settings)  # asked now: one that has hung up is none any more
            hung_up.clear()
            _on(running.agent.stop, *_ENDS, heard=ended)
            _on(running.agent.leave, signal.SIGUSR1, heard=ended)
            _on(running.agent.stop if has_terminal else running.agent.leave, signal.SIGHUP, heard=hung_up)
            if not ended:  # it may have been asked for while the parts were made anew
                notifier.ready()
                running.run()
        finally:
            services.close()
        if ended or not hung_up or has_terminal:
            notifier.stopping()
            return bool(ended)
        notifier.reloading()
        services, settings = _opened_anew(settings, read, path)


def _opened_anew(
    before: KioskSettings, read: Callable[[], KioskSettings], path: Path
) -> tuple[Services, KioskSettings]:
    """The parts by what the file says now, or by the settings before where that cannot be."""
    try:
        after = read()
        services = build(after)
    except StartRefused as error:
        _log().error("settings_refused", error=str(error))
        services = build(before)
        services.health.last_error = f"the new settings were not taken: {error}"
        return services, before
    configure_logging(after.log_level)
    _log().info("settings_taken", path=str(path))
    return services, after


def _has_terminal(settings: KioskSettings) -> bool:
    """Whether somebody sits at one: a unit's screen may be of that kind too, and writes to the journal."""
    return "terminal" in {settings.keypad.kind, settings.screen.kind} and (os.isatty(0) or os.isatty(1))


def _on(do: Callable[[], None], *numbers: int, heard: list[int] | None = None) -> None:
    """Let these signals do this, and note their numbers; the loop then ends by itself, with its page drawn whole."""

    def hear(number: int, _frame: object) -> None:
        if heard is not None:
            heard.append(number)
        do()

    for number in numbers:
        signal.signal(number, hear)


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.service")
    return logger
