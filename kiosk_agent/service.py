"""The agent as a service: told to end by a signal, and to take its settings anew by SIGHUP.

New settings are taken when nobody stands at the kiosk: every part is closed and made anew, in the same
process. What cannot be read or opened leaves the settings in force that were, and the server hears why.
"""

import signal
from pathlib import Path

import structlog

from kiosk_agent import memory
from kiosk_agent.agent import Running
from kiosk_agent.bootstrap import Services, build
from kiosk_agent.errors import StartRefused
from kiosk_agent.events import Outcome
from kiosk_agent.logs import configure_logging
from kiosk_agent.settings import KioskSettings, load_settings
from kiosk_agent.systemd import Notifier


def run_once(settings: KioskSettings) -> Outcome | None:
    """Run one login, and return how it ended; raises StartRefused and KeypadFault."""
    services = build(settings)
    try:
        running = Running(services)
        _on_end(running, [])
        return running.run(once=True)
    finally:
        services.close()


def serve(settings: KioskSettings, path: Path) -> None:
    """Run until SIGTERM or SIGINT; on SIGHUP go on with the settings that are then in the file.

    Raises StartRefused where the parts cannot be opened at the start.
    """
    notifier = Notifier()
    services = build(settings)
    ended: list[int] = []
    while True:
        memory.trim()  # loading the models took twice what they need
        try:
            running = Running(services, notifier)
            _on_end(running, ended)
            hung_up = _on_hang_up(running, settings)
            if not ended:  # it may have been asked for while the parts were made anew
                notifier.ready()
                running.run()
        finally:
            services.close()
        if ended or not hung_up:
            notifier.stopping()
            return
        notifier.reloading()
        services, settings = _opened_anew(settings, path)


def _opened_anew(before: KioskSettings, path: Path) -> tuple[Services, KioskSettings]:
    """The parts by what the file says now, or by the settings before where that cannot be."""
    try:
        after = load_settings(path)
        services = build(after)
    except StartRefused as error:
        _log().error("settings_refused", error=str(error))
        services = build(before)
        services.health.last_error = f"the new settings were not taken: {error}"
        return services, before
    configure_logging(after.log_level)
    _log().info("settings_taken", path=str(path))
    return services, after


def _on_end(running: Running, heard: list[int]) -> None:
    """Let SIGTERM and SIGINT stop it, and note the signal's number."""

    def stop(number: int, _frame: object) -> None:
        heard.append(number)
        running.agent.stop()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


def _on_hang_up(running: Running, settings: KioskSettings) -> list[int]:
    """Let SIGHUP ask for the settings anew, unless a terminal is in use: that has hung up, and the agent ends."""
    heard: list[int] = []
    if "terminal" in {settings.keypad.kind, settings.screen.kind}:
        return heard

    def leave(number: int, _frame: object) -> None:
        heard.append(number)
        running.agent.leave()

    signal.signal(signal.SIGHUP, leave)
    return heard


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.service")
    return logger
