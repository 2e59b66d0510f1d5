"""What can happen to a session, and what a session can ask for, as frozen data.

Pure. Secrets and pictures have `repr=False`, so that an event in a log or a traceback shows none.
Everything that was asked for outside the machine carries the session's `ticket`; an answer with an
older ticket belongs to a session that has ended, and is ignored.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from auth_contract.messages import AttemptReply


class Step(StrEnum):
    """Where a session stands."""

    ATTRACT = "attract"
    NAME = "name"
    PASSWORD = "password"  # noqa: S105 - the step's name
    CODE = "code"
    FACE = "face"
    CHECKING = "checking"
    GRANTED = "granted"
    DENIED = "denied"
    LOCKED = "locked"
    CAPTURE_AGAIN = "capture_again"
    TIMED_OUT = "timed_out"
    OUT_OF_SERVICE = "out_of_service"


class Ending(StrEnum):
    """How a session ended: the server's reasons in its own words, and what only a kiosk can know."""

    GRANTED = "granted"
    DENIED = "denied"
    LOCKED = "locked"
    CAPTURE_AGAIN = "capture_again"
    START_AGAIN = "start_again"
    MALFORMED = "malformed"
    KIOSK_REFUSED = "kiosk_refused"
    UNAVAILABLE = "unavailable"
    NOT_PROVEN = "not_proven"
    CAMERA_FAULT = "camera_fault"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"


@dataclass(frozen=True, slots=True)
class VerifiedAssertion:
    """A granted login whose proof held; only `assertion.AssertionVerifier` makes one."""

    username: str
    jti: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended, for the person (`message`) and for the caller of `login()`."""

    ending: Ending
    message: str
    username: str = ""
    retry_after_s: int | None = None
    assertion: VerifiedAssertion | None = None


# --- events from the keypad


@dataclass(frozen=True, slots=True)
class Typed:
    """One printable character."""

    character: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Erased:
    """Backspace."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """The whole entry is to be emptied."""


@dataclass(frozen=True, slots=True)
class Entered:
    """The entry is complete."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The person wants no more."""


KeyEvent = Typed | Erased | Cleared | Entered | Cancelled

# --- events from the clock, the camera and the server


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The step, or the wait for a key in it, has lasted too long."""


@dataclass(frozen=True, slots=True)
class AttemptOpened:
    """The server opened an attempt."""

    ticket: int
    attempt: AttemptReply = field(repr=False)


@dataclass(frozen=True, slots=True)
class Captured:
    """The camera gave its pictures, JPEG."""

    ticket: int
    frames: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class CameraFailed:
    """The camera gave no picture."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Granted:
    """The server granted the login, and its assertion was verified."""

    ticket: int
    assertion: VerifiedAssertion
    message: str


@dataclass(frozen=True, slots=True)
class Turned:
    """The attempt came to nothing: `ending` is anything but GRANTED; `message` holds the hint, if there is one."""

    ticket: int
    ending: Ending
    message: str
    retry_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class ServiceDown:
    """The server cannot be used; `ending` is UNAVAILABLE or KIOSK_REFUSED."""

    ending: Ending
    message: str


@dataclass(frozen=True, slots=True)
class ServiceUp:
    """The server answers again."""


Event = KeyEvent | TimedOut | AttemptOpened | Captured | CameraFailed | Granted | Turned | ServiceDown | ServiceUp

# --- effects


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """Ask the server for an attempt."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Capture:
    """Take the pictures of one attempt."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Submit:
    """Send all factors, once."""

    ticket: int
    attempt: AttemptReply = field(repr=False)
    username: str
    password: str = field(repr=False)
    code: str = field(repr=False)
    frames: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """Let the person in; there is no way to ask for this without a verified assertion."""

    assertion: VerifiedAssertion


@dataclass(frozen=True, slots=True)
class Report:
    """The session has its outcome."""

    outcome: Outcome


Effect = OpenAttempt | Capture | Submit | OpenDoor | Report
