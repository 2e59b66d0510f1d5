"""What can happen to a session, and what it is made of, as frozen data.

Pure. Secrets and pictures have `repr=False`, so that an event in a log or a traceback shows none.
Everything that was asked for outside the machine carries the session's `ticket`; an answer with an
older ticket belongs to a session that has ended, and is ignored.
"""

from dataclasses import dataclass, field
from datetime import datetime

from auth_contract.actions import Action, CaptureHint, Need
from auth_contract.messages import AttemptReply, FrameMark
from kiosk_agent.vocabulary import Cause as Cause
from kiosk_agent.vocabulary import Ending as Ending
from kiosk_agent.vocabulary import Key as Key
from kiosk_agent.vocabulary import Step as Step


@dataclass(frozen=True, slots=True)
class VerifiedAssertion:
    """A granted login whose proof held; only `assertion.AssertionVerifier` makes one."""

    username: str
    jti: str
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Entries:
    """What a person has entered; only the two names may be shown."""

    name: str = ""
    person: str = ""
    permission: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    new_password: str = field(default="", repr=False)
    repeated: str = field(default="", repr=False)
    code: str = field(default="", repr=False)

    @property
    def has_secret(self) -> bool:
        """Whether anything but a name was entered."""
        return bool(self.permission or self.password or self.new_password or self.repeated or self.code)


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A new TOTP secret that waits for its first code, for `lifetime_s` seconds from its arrival."""

    change_id: str = field(repr=False)
    uri: str = field(repr=False)
    lifetime_s: float


@dataclass(frozen=True, slots=True)
class Waits:
    """What a change that is not in force yet waits for, until when, and, once known, from when it holds."""

    needs: tuple[Need, ...]
    expires_at: datetime
    in_force_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a session ended, for the person (`message`) and for the caller of `login()`."""

    ending: Ending
    message: str
    username: str = ""
    retry_after_s: int | None = None
    assertion: VerifiedAssertion | None = None
    action: Action = Action.LOGIN
    waits: Waits | None = None
    cause: Cause | None = None


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


@dataclass(frozen=True, slots=True)
class MoreTime:
    """The person needs longer for this step."""


@dataclass(frozen=True, slots=True)
class ModeShown:
    """What the keys of a number pad type from now on: "abc", "ABC", "123" or "#+="; empty where there are no modes."""

    mode: str


KeyEvent = Typed | Erased | Cleared | Entered | Cancelled | MoreTime | ModeShown

# --- events from the program, the clock, the camera and the server


@dataclass(frozen=True, slots=True)
class Begun:
    """Somebody's session at an action begins without the menu."""

    action: Action


@dataclass(frozen=True, slots=True)
class TimedOut:
    """The step, or the wait for a key in it, has lasted too long."""


@dataclass(frozen=True, slots=True)
class Concealed:
    """The last character typed was shown long enough."""


@dataclass(frozen=True, slots=True)
class AttemptOpened:
    """The server opened an attempt; its answer came at `at_s` by the monotonic clock."""

    ticket: int
    attempt: AttemptReply = field(repr=False)
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Pictured:
    """So many pictures of an enrolment are taken; the next one follows."""

    ticket: int
    taken: int


@dataclass(frozen=True, slots=True)
class Guided:
    """Where a recording stands: its part, what is wrong with the last picture, the seconds left for a movement.

    `is_good` tells that the last picture was measured and is as it should be.
    """

    ticket: int
    part: int
    hint: CaptureHint | None = None
    seconds_left: int | None = None
    is_good: bool = False


@dataclass(frozen=True, slots=True)
class Captured:
    """The camera gave its pictures, JPEG; a recording with movements has a mark for each."""

    ticket: int
    frames: tuple[bytes, ...] = field(repr=False)
    marks: tuple[FrameMark, ...] = ()


@dataclass(frozen=True, slots=True)
class Unfit:
    """No picture could be had that the server could judge; nothing is sent."""

    ticket: int
    hint: CaptureHint
    message: str


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
class DoorFailed:
    """The login is granted, and the door did not open."""

    ticket: int


@dataclass(frozen=True, slots=True)
class Changed:
    """The server granted an action that is no login: it is done, or `waits` says for what, or a first code is next."""

    ticket: int
    message: str
    waits: Waits | None = None
    secret: NewSecret | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Turned:
    """The attempt came to nothing: `ending` is none of GRANTED, CHANGED, PENDING.

    `message` holds the hint, if there is one; `member` and `rule` say what of a malformed message is wrong.
    """

    ticket: int
    ending: Ending
    message: str
    retry_after_s: int | None = None
    member: str = ""
    rule: str = ""


@dataclass(frozen=True, slots=True)
class ServiceDown:
    """The kiosk cannot serve; `ending` is UNAVAILABLE, KIOSK_REFUSED, CAMERA_FAULT or KEYPAD_FAULT."""

    ending: Ending
    message: str
    cause: Cause = Cause.SERVER


@dataclass(frozen=True, slots=True)
class ServiceUp:
    """Nothing stands in the way any more."""


Event = (
    KeyEvent
    | Begun
    | TimedOut
    | Concealed
    | AttemptOpened
    | Pictured
    | Guided
    | Captured
    | Unfit
    | CameraFailed
    | Granted
    | DoorFailed
    | Changed
    | Turned
    | ServiceDown
    | ServiceUp
)
