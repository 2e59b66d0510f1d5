"""`kiosk_agent.login()`: one login for another Python program."""

from dataclasses import dataclass, field
from pathlib import Path

from kiosk_agent.agent import NO_OUTCOME, Running
from kiosk_agent.bootstrap import build
from kiosk_agent.events import Ending, Outcome
from kiosk_agent.settings import KioskSettings, load_settings


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
    are not fit, and KeypadFault when the keypad fails; anything else is a result that is false.
    """
    if not isinstance(settings, KioskSettings):
        settings = load_settings(Path(settings))
    services = build(settings)
    try:
        outcome = Running(services).run(once=True)
    finally:
        services.close()
    return result_of(outcome or NO_OUTCOME)


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
