"""The session of one person at the kiosk: (session, event) -> (session, effects).

Pure: no I/O, no clock, no chance; a time-out is an event like any other. `TABLE` is the whole
machine. What it does not list changes nothing. Password, code and attempt exist only between
their entry and the end of the session, and every way out goes through `_end` or `_rest`, which
begin from an empty session. Python cannot overwrite a string, so wiping means that nothing holds
it any more; pictures are never held at all, they pass from `Captured` to `Submit`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

from auth_contract.fields import canonical_password, canonical_username
from auth_contract.limits import PASSWORD_MAX_CHARS, USERNAME_MAX_CHARS
from auth_contract.messages import AttemptReply
from kiosk_agent import events as e
from kiosk_agent.events import Effect, Ending, Event, Outcome, Step

CAPTURES_MAX: Final = 3
"""Rounds of pictures in one session; after the last the session ends."""

_CODE_DIGITS: Final = 6
_LENGTHS: Final = {Step.NAME: USERNAME_MAX_CHARS, Step.PASSWORD: PASSWORD_MAX_CHARS, Step.CODE: _CODE_DIGITS}


@dataclass(frozen=True, slots=True)
class Session:
    """Where the person stands. `problem` says what was wrong with the last entry, never repeating it."""

    step: Step = Step.ATTRACT
    ticket: int = 0
    name: str = ""
    password: str = field(default="", repr=False)
    code: str = field(default="", repr=False)
    attempt: AttemptReply | None = field(default=None, repr=False)
    captures: int = 0
    problem: str = ""
    outcome: Outcome | None = None

    @property
    def entry(self) -> str:
        """What stands in the entry of this step; a secret in the steps PASSWORD and CODE."""
        return {Step.NAME: self.name, Step.PASSWORD: self.password, Step.CODE: self.code}.get(self.step, "")

    @property
    def has_secret(self) -> bool:
        """Whether anything is held that must not outlive the session."""
        return bool(self.password or self.code or self.attempt)


Change = tuple[Session, tuple[Effect, ...]]


def advance(session: Session, event: Event) -> Change:
    """Return the session after an event, and what is to be done about it, in order."""
    if getattr(event, "ticket", session.ticket) != session.ticket:
        return session, ()
    rule = TABLE.get((session.step, type(event)))
    return (session, ()) if rule is None else rule(session, event)


# --- ways out: an empty session under the next ticket


def _rest(session: Session) -> Session:
    return Session(ticket=session.ticket + 1)


def _end(session: Session, step: Step, outcome: Outcome) -> Change:
    return replace(_rest(session), step=step, outcome=outcome), (e.Report(outcome),)


# --- rules


def _begin(session: Session, _event: Event) -> Change:
    return Session(step=Step.NAME, ticket=session.ticket + 1), ()


def _begin_typing(session: Session, event: e.Typed) -> Change:
    return _type(_begin(session, event)[0], event)


def _type(session: Session, event: e.Typed) -> Change:
    longest = _LENGTHS[session.step]
    if len(session.entry) >= longest:
        return replace(session, problem=f"No more than {longest} characters"), ()
    if session.step is Step.CODE and event.character not in "0123456789":
        return replace(session, problem="Digits only"), ()
    return _with_entry(session, session.entry + event.character), ()


def _erase(session: Session, _event: Event) -> Change:
    return _with_entry(session, session.entry[:-1]), ()


def _clear(session: Session, _event: Event) -> Change:
    return _with_entry(session, ""), ()


def _with_entry(session: Session, entry: str) -> Session:
    if session.step is Step.NAME:
        return replace(session, name=entry, problem="")
    if session.step is Step.PASSWORD:
        return replace(session, password=entry, problem="")
    return replace(session, code=entry, problem="")


def _accept_name(session: Session, _event: Event) -> Change:
    try:
        name = canonical_username(session.name.strip())
    except ValueError as error:
        return replace(session, problem=str(error).capitalize()), ()
    return replace(session, step=Step.PASSWORD, name=name, problem=""), ()


def _accept_password(session: Session, _event: Event) -> Change:
    if not session.password:
        return replace(session, problem="Please enter your password"), ()
    try:
        password = canonical_password(session.password)
    except ValueError as error:
        return replace(session, problem=str(error).capitalize()), ()
    return replace(session, step=Step.CODE, password=password, problem=""), ()


def _accept_code(session: Session, _event: Event) -> Change:
    if len(session.code) != _CODE_DIGITS:
        return replace(session, problem=f"The code has {_CODE_DIGITS} digits"), ()
    return _look(session, _event)


def _look(session: Session, _event: Event) -> Change:
    return replace(session, step=Step.FACE, problem=""), (e.OpenAttempt(session.ticket),)


def _capture(session: Session, event: e.AttemptOpened) -> Change:
    return replace(session, attempt=event.attempt), (e.Capture(session.ticket),)


def _submit(session: Session, event: e.Captured) -> Change:
    if session.attempt is None:
        return session, ()
    submission = e.Submit(
        ticket=session.ticket,
        attempt=session.attempt,
        username=session.name,
        password=session.password,
        code=session.code,
        frames=event.frames,
    )
    return replace(session, step=Step.CHECKING, attempt=None, captures=session.captures + 1), (submission,)


def _grant(session: Session, event: e.Granted) -> Change:
    outcome = Outcome(Ending.GRANTED, event.message, username=event.assertion.username, assertion=event.assertion)
    # The screen needs the name, not the token, and only the caller of `login()` gets the token.
    shown = replace(outcome, assertion=None)
    return replace(_rest(session), step=Step.GRANTED, outcome=shown), (e.OpenDoor(event.assertion), e.Report(outcome))


def _turn(session: Session, event: e.Turned) -> Change:
    outcome = Outcome(event.ending, event.message, retry_after_s=event.retry_after_s)
    if event.ending is Ending.CAPTURE_AGAIN and session.captures < CAPTURES_MAX:
        return replace(session, step=Step.CAPTURE_AGAIN, attempt=None, outcome=outcome), ()
    if event.ending is Ending.KIOSK_REFUSED:
        return _end(session, Step.OUT_OF_SERVICE, outcome)
    return _end(session, Step.LOCKED if event.ending is Ending.LOCKED else Step.DENIED, outcome)


def _retake(session: Session, event: Event) -> Change:
    return _look(replace(session, outcome=None), event)


def _camera_failed(session: Session, _event: Event) -> Change:
    return _end(session, Step.DENIED, Outcome(Ending.CAMERA_FAULT, "The camera is not working. Please tell the staff."))


def _go_down(session: Session, event: e.ServiceDown) -> Change:
    return replace(_rest(session), step=Step.OUT_OF_SERVICE, outcome=Outcome(event.ending, event.message)), ()


def _go_up(session: Session, _event: Event) -> Change:
    return _rest(session), ()


def _cancel(session: Session, _event: Event) -> Change:
    return _rest(session), (e.Report(Outcome(Ending.CANCELLED, "Cancelled.")),)


def _time_out(session: Session, _event: Event) -> Change:
    return _end(session, Step.TIMED_OUT, Outcome(Ending.TIMED_OUT, "That took too long."))


def _ignore_key(session: Session, _event: Event) -> Change:
    """A key that belonged to the entry that timed out: only the wait for silence begins anew."""
    return replace(session, ticket=session.ticket + 1), ()


def _give_up(session: Session, _event: Event) -> Change:
    return _end(session, Step.DENIED, Outcome(Ending.TIMED_OUT, "That took too long. Please start again."))


def _dismiss(session: Session, _event: Event) -> Change:
    return _rest(session), ()


# --- the machine

Rule = Callable[[Session, Any], Change]

_TYPING: Final[dict[type, Rule]] = {
    e.Typed: _type,
    e.Erased: _erase,
    e.Cleared: _clear,
    e.Cancelled: _cancel,  # -> ATTRACT
    e.TimedOut: _time_out,  # -> TIMED_OUT
}

_RESULT: Final[dict[type, Rule]] = {
    e.Entered: _dismiss,  # -> ATTRACT
    e.Cancelled: _dismiss,  # -> ATTRACT
    e.TimedOut: _dismiss,  # -> ATTRACT
}

_RULES: Final[dict[Step, dict[type, Rule]]] = {
    Step.ATTRACT: {
        e.Typed: _begin_typing,  # -> NAME, the character is its first
        e.Entered: _begin,  # -> NAME
        e.ServiceDown: _go_down,  # -> OUT_OF_SERVICE
    },
    Step.NAME: _TYPING | {e.Entered: _accept_name},  # -> PASSWORD
    Step.PASSWORD: _TYPING | {e.Entered: _accept_password},  # -> CODE
    Step.CODE: _TYPING | {e.Entered: _accept_code},  # -> FACE, opens the attempt
    Step.FACE: {
        e.AttemptOpened: _capture,  # takes the pictures
        e.Captured: _submit,  # -> CHECKING
        e.CameraFailed: _camera_failed,  # -> DENIED
        e.Turned: _turn,  # -> DENIED, or OUT_OF_SERVICE where the kiosk itself is refused
        e.Cancelled: _cancel,  # -> ATTRACT
        e.TimedOut: _give_up,  # -> DENIED
    },
    Step.CHECKING: {
        e.Granted: _grant,  # -> GRANTED, opens the door
        e.Turned: _turn,  # -> DENIED, LOCKED, OUT_OF_SERVICE, or CAPTURE_AGAIN up to CAPTURES_MAX times
        e.Cancelled: _cancel,  # -> ATTRACT; a grant that comes later opens nothing
        e.TimedOut: _give_up,  # -> DENIED
    },
    Step.CAPTURE_AGAIN: {
        e.Entered: _retake,  # -> FACE
        e.TimedOut: _retake,  # -> FACE
        e.Cancelled: _cancel,  # -> ATTRACT
    },
    Step.GRANTED: _RESULT,
    Step.DENIED: _RESULT,
    Step.LOCKED: _RESULT,
    # Whoever still types a password must not see its rest become a name, which is shown in clear.
    Step.TIMED_OUT: {
        e.Typed: _ignore_key,
        e.Erased: _ignore_key,
        e.Cleared: _ignore_key,
        e.Entered: _begin,  # -> NAME
        e.Cancelled: _dismiss,  # -> ATTRACT
        e.TimedOut: _dismiss,  # -> ATTRACT, after a while without a key
    },
    Step.OUT_OF_SERVICE: {
        e.ServiceUp: _go_up,  # -> ATTRACT
        e.ServiceDown: _go_down,  # stays, with the newer message
    },
}

TABLE: Final[Mapping[tuple[Step, type], Rule]] = MappingProxyType(
    {(step, event): rule for step, rules in _RULES.items() for event, rule in rules.items()}
)
"""Every transition there is."""
