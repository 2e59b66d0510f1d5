"""What a session can ask for, as frozen data: nothing here is done, it is only said.

Pure. Secrets and pictures have `repr=False`. Each effect that takes time carries the session's
`ticket`, and so does the event that answers it.
"""

from dataclasses import dataclass, field

from auth_contract.actions import Action, Movement
from auth_contract.messages import AttemptReply, FrameMark
from kiosk_agent.events import Entries, Outcome, VerifiedAssertion


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """Ask the server for an attempt at an action by somebody of this name."""

    ticket: int
    action: Action
    name: str = ""


@dataclass(frozen=True, slots=True)
class Capture:
    """Take the pictures of one attempt: for a comparison, or for an enrolment, in which the pose changes.

    Where there are `movements`, a recording in which they are made, timed from `opened_s` by the monotonic clock.
    """

    ticket: int
    is_enrolment: bool = False
    movements: tuple[Movement, ...] = ()
    opened_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Submit:
    """Send all that an action asks for, once. `change_id` is a confirmation's."""

    ticket: int
    action: Action
    attempt: AttemptReply = field(repr=False)
    entries: Entries
    frames: tuple[bytes, ...] = field(default=(), repr=False)
    marks: tuple[FrameMark, ...] = ()
    change_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """Let the person in; there is no way to ask for this without a verified assertion."""

    assertion: VerifiedAssertion


@dataclass(frozen=True, slots=True)
class Report:
    """The session has its outcome."""

    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Leave:
    """The person at a terminal client wants to go: it is to end."""


Effect = OpenAttempt | Capture | Submit | OpenDoor | Report | Leave
