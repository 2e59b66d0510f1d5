"""`kiosk_agent.login()` and `terminal_client()`: a login for another Python program."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kiosk_agent.agent import NO_OUTCOME, Running, Until
from kiosk_agent.bootstrap import build
from kiosk_agent.events import Ending, Outcome
from kiosk_agent.logs import kept_off_a_page
from kiosk_agent.settings import KioskSettings, load_settings
from kiosk_agent.settings.chosen import at_terminal
from kiosk_agent.signals import put_back_first

LEFT: Final = Outcome(Ending.CANCELLED, "The person left without a login.")
"""What `terminal_client()` returns of whoever chose to exit."""


@dataclass(frozen=True, slots=True)
class LoginResult:
    """How one login ended; true only when the server granted it and its assertion was verified.

    `assertion` is the 60 s EdDSA JWT, for the caller to hand on to what must believe it; empty
    without a grant. `message` is the sentence that the person read.
    """

    is_granted: bool
    username: str
    assertion: str = field(repr=False)
    reason: Ending
    message: str

    def __bool__(self) -> bool:
        return self.is_granted


def login(settings: KioskSettings | Path | str) -> LoginResult:
    """Run one login with the configured camera, keypad, screen and door.

    Takes settings, or the path of their TOML file. Raises StartRefused when they or this machine
    are not fit, KeypadFault when the keypad fails, and ScreenFault when the terminal is gone; anything else is a
    result that is false.
    """
    return _run(_read(settings), Until.ENDED, NO_OUTCOME)


def terminal_client(settings: KioskSettings | Path | str) -> LoginResult:
    """Show the menu in this program's terminal until a person has logged in, or leaves.

    It is what `4auth-kiosk --screen terminal` runs: log in, register, recover, exit, with the
    terminal as screen and keypad whatever the settings say. The result is true as soon as a
    login is granted, and false when the person leaves without one. Takes and raises what `login` does.
    """
    with kept_off_a_page():
        return _run(at_terminal(_read(settings)), Until.GRANTED, LEFT)


def _read(settings: KioskSettings | Path | str) -> KioskSettings:
    return settings if isinstance(settings, KioskSettings) else load_settings(Path(settings))


def _run(settings: KioskSettings, until: Until, without: Outcome) -> LoginResult:
    with ExitStack() as opened:
        services = build(settings)
        running = Running(services)
        opened.enter_context(put_back_first(running.agent.stop))
        opened.callback(services.close)
        outcome = running.run(until)
    return result_of(outcome or without)


def result_of(outcome: Outcome) -> LoginResult:
    """Return a session's outcome as a caller sees it."""
    proof = outcome.assertion
    return LoginResult(
        is_granted=outcome.ending is Ending.GRANTED and proof is not None,
        username=proof.username if proof is not None else "",
        assertion=proof.token if proof is not None else "",
        reason=outcome.ending,
        message=outcome.message,
    )
