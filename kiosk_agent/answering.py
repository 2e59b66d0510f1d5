"""The session's rules for what camera and server answer. Pure.

What was asked for decides what an answer can mean: a grant of a login opens the door while a login
is checked, and means nothing anywhere else.
"""

from dataclasses import replace
from typing import Final

from auth_contract.actions import Action
from auth_contract.limits import CONFIRM_TRIES
from auth_contract.messages import AttemptReply, FrameMark
from kiosk_agent.effects import Capture, OpenDoor, Report, Submit
from kiosk_agent.entering import look
from kiosk_agent.events import (
    AttemptOpened,
    Captured,
    Cause,
    Changed,
    Ending,
    Entries,
    Event,
    Granted,
    Guided,
    Outcome,
    Pictured,
    Step,
    Turned,
    Unfit,
)
from kiosk_agent.flows import FIELDS, FLOWS, ISSUES_SECRET, PICTURES, RETURNS
from kiosk_agent.phrases import Counted, Phrase
from kiosk_agent.standing import Next, Session, anew, end, sentence

CAPTURES_MAX: Final = 3
"""Rounds of pictures in one session; after the last the session ends."""

_WRONG_CODE: Final = Counted(
    "That was not the code. {count} try is left", "That was not the code. {count} tries are left"
)


def capture(session: Session, event: AttemptOpened) -> Next:
    """The attempt is open: take the pictures."""
    movements = event.attempt.movements
    effect = Capture(session.ticket, session.step is Step.ENROL, movements, event.at_s)
    return replace(session, attempt=event.attempt), (effect,)


def count_picture(session: Session, event: Pictured) -> Next:
    """One picture of an enrolment is taken."""
    return replace(session, pictures=event.taken), ()


def guide(session: Session, event: Guided) -> Next:
    """The recording goes on: what is to be done now, and what is wrong with what is seen."""
    after = replace(session, part=event.part, hint=event.hint, is_good=event.is_good)
    return replace(after, seconds_left=event.seconds_left), ()


def submit_pictures(session: Session, event: Captured) -> Next:
    """The pictures are taken: send all."""
    if session.attempt is None:
        return session, ()
    return _submit(replace(session, captures=session.captures + 1), session.attempt, event.frames, event.marks)


def refuse_pictures(session: Session, event: Unfit) -> Next:
    """The kiosk itself saw that its pictures cannot be judged: the same as when the server says so."""
    counted = replace(session, captures=session.captures + 1)
    return turn(counted, Turned(session.ticket, Ending.CAPTURE_AGAIN, event.message))


def submit_entries(session: Session, event: AttemptOpened) -> Next:
    """The attempt is open, and no pictures are needed: send all."""
    return _submit(replace(session, tries=session.tries + 1), event.attempt, ())


def _submit(
    session: Session, attempt: AttemptReply, frames: tuple[bytes, ...], marks: tuple[FrameMark, ...] = ()
) -> Next:
    submission = Submit(
        ticket=session.ticket,
        action=session.sends,
        attempt=attempt,
        entries=session.entries,
        frames=frames,
        marks=marks,
        change_id=session.secret.change_id if session.secret is not None else "",
    )
    return replace(session, step=Step.CHECKING, attempt=None), (submission,)


def retake(session: Session, _event: Event) -> Next:
    """New pictures, after those before could not be judged."""
    return look(session, FLOWS[session.action][-1])


def grant(session: Session, event: Granted) -> Next:
    """The login is granted: the door opens."""
    if session.sends is not Action.LOGIN:
        return session, ()
    outcome = Outcome(Ending.GRANTED, event.message, username=event.assertion.username, assertion=event.assertion)
    # The screen needs the name, not the token, and only the caller of `login()` gets the token.
    shown = replace(outcome, assertion=None)
    return replace(anew(session, Step.GRANTED), outcome=shown), (OpenDoor(event.assertion), Report(outcome))


def door_failed(session: Session, _event: Event) -> Next:
    """Whoever stands there must know that pulling is no use."""
    return replace(session, problem="The door did not open. Please tell somebody who works here"), ()


def change(session: Session, event: Changed) -> Next:
    """Something else is granted: done, waiting, or a new secret to be confirmed."""
    if session.sends is Action.LOGIN:
        return session, ()
    if event.secret is not None and session.sends in ISSUES_SECRET:
        # From here on the name alone is needed.
        entries = Entries(name=session.entries.name)
        return replace(session, step=Step.QR, entries=entries, secret=event.secret, tries=0), ()
    ending = Ending.CHANGED if event.waits is None else Ending.PENDING
    outcome = Outcome(ending, event.message, username=session.entries.name, waits=event.waits)
    return end(session, Step.DONE if event.waits is None else Step.WAITING, outcome)


def turn(session: Session, event: Turned) -> Next:
    """The server said no, or nothing that can be used."""
    outcome = Outcome(event.ending, event.message, retry_after_s=event.retry_after_s)
    if event.ending is Ending.KIOSK_REFUSED:
        return end(session, Step.OUT_OF_SERVICE, replace(outcome, cause=Cause.REFUSED))
    if session.secret is not None and (problem := _confirm_problem(session, event)):
        return _return(session, Step.QR, problem), ()
    if event.ending is Ending.MALFORMED and event.rule:
        return _turn_malformed(session, event)
    if event.ending is Ending.CAPTURE_AGAIN and session.captures < CAPTURES_MAX and _takes_pictures(session):
        return replace(session, step=Step.CAPTURE_AGAIN, attempt=None, outcome=outcome), ()
    return end(session, Step.LOCKED if event.ending is Ending.LOCKED else Step.DENIED, outcome)


def _takes_pictures(session: Session) -> bool:
    return FLOWS[session.sends][-1] in PICTURES


def _confirm_problem(session: Session, event: Turned) -> str:
    """What is wrong with a first code where another may be tried, or nothing."""
    if event.ending is Ending.UNAVAILABLE:
        return Phrase("{message} Please type the code once more", message=event.message)
    left = CONFIRM_TRIES - session.tries
    if event.ending is Ending.DENIED and left > 0:
        return _WRONG_CODE.of(left)
    return ""


def _turn_malformed(session: Session, event: Turned) -> Next:
    step = RETURNS.get((session.sends, event.member))
    rule = sentence(event.rule).rstrip(".")
    if event.rule.startswith(("is ", "has ")):
        subject = {"username": session.entries.name, "person": session.entries.person}.get(event.member, "This")
        rule = f"{subject} {event.rule}"
    if event.member == "action":
        rule = "This is switched off at this site"
    if step is None:
        return end(session, Step.DENIED, Outcome(event.ending, Phrase("{message}.", message=rule)))
    return _return(session, step, rule), ()


def _return(session: Session, step: Step, problem: str) -> Session:
    """Back to a step: it and what must be fresh is asked for anew, other entries are kept."""
    entries = replace(session.entries, **{FIELDS[step]: "", "code": ""})
    if step is Step.NEW_PASSWORD:
        entries = replace(entries, repeated="")
    return replace(session, step=step, entries=entries, attempt=None, captures=0, problem=problem)


def camera_failed(session: Session, _event: Event) -> Next:
    """The camera gives no picture."""
    return end(session, Step.DENIED, Outcome(Ending.CAMERA_FAULT, "The camera is not working. Please tell the staff."))
