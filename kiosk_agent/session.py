"""The session of one person at the kiosk: (session, event) -> (session, effects).

Pure: no I/O, no clock, no chance; a time-out is an event like any other. `TABLE` is the whole
machine, one for all actions: which entries an action has is read from `flows.FLOWS`. What the table
does not list changes nothing. Entries, attempt and new secret exist only between their arrival and
the end of the session, and every way out goes through `end` or `rest`, which begin from an empty
session. Python cannot overwrite a string, so wiping means that nothing holds it any more; pictures
are never held at all, they pass from `Captured` to `Submit`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, Final

from auth_contract.actions import Action
from kiosk_agent import answering, entering
from kiosk_agent import events as e
from kiosk_agent.answering import CAPTURES_MAX
from kiosk_agent.effects import Report
from kiosk_agent.events import Cause, Ending, Event, Outcome, Step
from kiosk_agent.standing import Next, Session, end, rest

__all__ = ["CAPTURES_MAX", "TABLE", "Session", "advance"]

_LONG: Final = "That took too long."
_LONG_AGAIN: Final = "That took too long. Please start again."


def advance(session: Session, event: Event) -> Next:
    """Return the session after an event, and what is to be done about it, in order."""
    if getattr(event, "ticket", session.ticket) != session.ticket:
        return session, ()
    rule = TABLE.get((session.step, type(event)))
    return (session, ()) if rule is None else rule(session, event)


# --- service, leaving, time


def _go_down(session: Session, event: e.ServiceDown) -> Next:
    outcome = Outcome(event.ending, event.message, cause=event.cause)
    return replace(rest(session), step=Step.OUT_OF_SERVICE, outcome=outcome), ()


def _break_off(session: Session, event: e.ServiceDown) -> Next:
    """Without keys nobody can go on or leave: the session ends at once. Of other causes the errand tells."""
    if event.cause is not Cause.KEYPAD:
        return session, ()
    after, _ = _go_down(session, event)
    return after, (Report(Outcome(event.ending, event.message, action=session.action)),)


def _go_up(session: Session, _event: Event) -> Next:
    return rest(session), ()


def _cancel(session: Session, _event: Event) -> Next:
    return rest(session), (Report(Outcome(Ending.CANCELLED, "Cancelled.", action=session.action)),)


def _cancel_checking(session: Session, event: Event) -> Next:
    """A login that was left opens no door; a change that was left may be made all the same, and that is told."""
    if session.sends is Action.LOGIN:
        return _cancel(session, event)
    return end(session, Step.DENIED, Outcome(Ending.UNCERTAIN, "You left before the answer arrived."))


def _time_out(session: Session, _event: Event) -> Next:
    return end(session, Step.TIMED_OUT, Outcome(Ending.TIMED_OUT, _LONG))


def _ignore_key(session: Session, _event: Event) -> Next:
    """A key that belonged to the entry that timed out: only the wait for silence begins anew."""
    return replace(session, ticket=session.ticket + 1), ()


def _give_up(session: Session, _event: Event) -> Next:
    return end(session, Step.DENIED, Outcome(Ending.TIMED_OUT, _LONG_AGAIN))


def _give_up_checking(session: Session, event: Event) -> Next:
    if session.sends is Action.LOGIN:
        return _give_up(session, event)
    return end(session, Step.DENIED, Outcome(Ending.UNCERTAIN, "The answer did not arrive in time."))


def _dismiss(session: Session, _event: Event) -> Next:
    return rest(session), ()


# --- the machine

Rule = Callable[[Session, Any], Next]

_MENU: Final[dict[type, Rule]] = {
    e.Typed: entering.choose,  # -> the first step of an action, or another menu
    e.Entered: entering.choose_first,
    e.Cancelled: entering.choose_last,  # -> ATTRACT, or from RECOVERY to MENU
    e.MoreTime: entering.extend,
    e.ModeShown: entering.show_mode,
    e.TimedOut: _dismiss,  # -> ATTRACT
    e.ServiceDown: _go_down,  # -> OUT_OF_SERVICE
}

_ENTRY: Final[dict[type, Rule]] = {
    e.Typed: entering.type_key,
    e.Erased: entering.erase,
    e.Cleared: entering.clear,
    e.Entered: entering.accept,  # -> the next step of the flow; before pictures and sending an attempt is opened
    e.Cancelled: _cancel,  # -> ATTRACT
    e.MoreTime: entering.extend,
    e.ModeShown: entering.show_mode,
    e.Concealed: entering.conceal,
    e.TimedOut: _time_out,  # -> TIMED_OUT
    e.ServiceDown: _break_off,  # -> OUT_OF_SERVICE where the keypad is gone
}

_LOOKING: Final[dict[type, Rule]] = {
    e.AttemptOpened: answering.capture,  # takes the pictures
    e.Guided: answering.guide,
    e.Captured: answering.submit_pictures,  # -> CHECKING
    e.Unfit: answering.refuse_pictures,  # -> CAPTURE_AGAIN, or DENIED after the last round
    e.CameraFailed: answering.camera_failed,  # -> DENIED
    e.Turned: answering.turn,  # -> DENIED, or OUT_OF_SERVICE where the kiosk itself is refused
    e.Cancelled: _cancel,  # -> ATTRACT
    e.ModeShown: entering.show_mode,
    e.TimedOut: _give_up,  # -> DENIED
    e.ServiceDown: _break_off,  # -> OUT_OF_SERVICE where the keypad is gone
}

_RESULT: Final[dict[type, Rule]] = {
    e.ModeShown: entering.show_mode,
    e.MoreTime: entering.extend,
    e.Entered: _dismiss,  # -> ATTRACT
    e.Cancelled: _dismiss,  # -> ATTRACT
    e.TimedOut: _dismiss,  # -> ATTRACT
}

_RULES: Final[dict[Step, dict[type, Rule]]] = {
    Step.ATTRACT: {
        e.Typed: entering.begin_typing,  # -> NAME of a login, the character is its first
        e.Begun: entering.begin_asked,  # -> NAME
        e.Entered: entering.open_menu,  # -> MENU
        e.Cleared: entering.open_languages,  # -> LANGUAGE
        e.Cancelled: entering.leave,
        e.ModeShown: entering.show_mode,
        e.ServiceDown: _go_down,  # -> OUT_OF_SERVICE
    },
    Step.LANGUAGE: _MENU,
    Step.MENU: _MENU,
    Step.RECOVERY: _MENU,
    Step.NAME: _ENTRY,
    Step.PERSON: _ENTRY,
    Step.PERMISSION: _ENTRY,
    Step.PASSWORD: _ENTRY,
    Step.NEW_PASSWORD: _ENTRY,
    Step.REPEAT: _ENTRY | {e.Entered: entering.accept_repeat},  # back to NEW_PASSWORD where the two differ
    Step.CODE: _ENTRY,
    Step.FACE: _LOOKING,
    Step.ENROL: _LOOKING | {e.Pictured: answering.count_picture},
    Step.SENDING: {
        e.AttemptOpened: answering.submit_entries,  # -> CHECKING
        e.Turned: answering.turn,  # -> DENIED, OUT_OF_SERVICE, or back to QR
        e.Cancelled: _cancel,  # -> ATTRACT
        e.TimedOut: _give_up,  # -> DENIED
    },
    Step.CHECKING: {
        e.Granted: answering.grant,  # -> GRANTED, opens the door; for a login alone
        e.Changed: answering.change,  # -> QR, DONE or WAITING; for anything but a login
        e.Turned: answering.turn,  # -> DENIED, LOCKED, OUT_OF_SERVICE, CAPTURE_AGAIN, QR, or a malformed entry
        e.Cancelled: _cancel_checking,  # -> ATTRACT, and a grant that comes later opens nothing; or DENIED
        e.TimedOut: _give_up_checking,  # -> DENIED
    },
    Step.QR: _ENTRY
    | {
        e.Typed: entering.type_at_qr,  # S spells the secret out, M asks for more time
        e.Cleared: entering.clear_at_qr,
    },
    Step.CAPTURE_AGAIN: {
        e.Entered: answering.retake,  # -> FACE or ENROL
        e.TimedOut: answering.retake,  # -> FACE or ENROL
        e.Cancelled: _cancel,  # -> ATTRACT
        e.MoreTime: entering.extend,
        e.ServiceDown: _break_off,  # -> OUT_OF_SERVICE where the keypad is gone
    },
    Step.GRANTED: _RESULT | {e.DoorFailed: answering.door_failed},
    Step.DONE: _RESULT,
    Step.WAITING: _RESULT,
    Step.DENIED: _RESULT,
    Step.LOCKED: _RESULT,
    # Whoever still types a password must not see its rest become a name, which is shown in clear.
    Step.TIMED_OUT: {
        e.Typed: _ignore_key,
        e.Erased: _ignore_key,
        e.Cleared: _ignore_key,
        e.Entered: entering.begin_again,  # -> the first step of the same action
        e.Cancelled: _dismiss,  # -> ATTRACT
        e.TimedOut: _dismiss,  # -> ATTRACT, after a while without a key
    },
    Step.OUT_OF_SERVICE: {
        e.ServiceUp: _go_up,  # -> ATTRACT
        e.ServiceDown: _go_down,  # stays, with the newer message
        e.Cancelled: entering.leave,
    },
}

TABLE: Final[Mapping[tuple[Step, type], Rule]] = MappingProxyType(
    {(step, event): rule for step, rules in _RULES.items() for event, rule in rules.items()}
)
"""Every transition there is."""
