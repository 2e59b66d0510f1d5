"""What a session can ask for, as frozen data: nothing here is done, it is only said.

Pure. Secrets and pictures have `repr=False`. Each effect that takes time carries the session's
`ticket`, and so does the event that answers it.
"""

from dataclasses import dataclass, field

from auth_contract.actions import Action
from auth_contract.messages import AttemptReply
from kiosk_agent.events import Entries, Outcome, VerifiedAssertion


@dataclass(frozen=True, slots=True)
class OpenAttempt:
    """Ask the server for an attempt at an action."""

    ticket: int
    action: Action


@dataclass(frozen=True, slots=True)
class Capture:
    """Take the pictures of one attempt: for a comparison, or for an enrolment, in which the pose changes."""

    ticket: int
    is_enrolment: bool = False


@dataclass(frozen=True, slots=True)
class Submit:
    """Send all that an action asks for, once. `change_id` is a confirmation's."""

    ticket: int
    action: Action
    attempt: AttemptReply = field(repr=False)
    entries: Entries
    frames: tuple[bytes, ...] = field(default=(), repr=False)
    change_id: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class OpenDoor:
    """Let the person in; there is no way to ask for this without a verified assertion."""

    assertion: VerifiedAssertion


@dataclass(frozen=True, slots=True)
class Report:
    """The session has its outcome."""

    outcome: Outcome


Effect = OpenAttempt | Capture | Submit | OpenDoor | Report
