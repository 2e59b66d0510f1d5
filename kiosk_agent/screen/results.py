"""What a person is to see when something has come to its end, or must be done once more. Pure."""

from datetime import datetime
from math import ceil

from auth_contract.actions import Action, Need
from auth_contract.neutral import neutral
from kiosk_agent.answering import CAPTURES_MAX
from kiosk_agent.events import Ending, Outcome, Step, Waits
from kiosk_agent.phrases import Phrase
from kiosk_agent.screen import words
from kiosk_agent.screen.frame import Frame, View
from kiosk_agent.standing import Session


def outcome_view(session: Session, outcome: Outcome, frame: Frame) -> View:
    """Return what to show of a session that has an outcome."""
    if session.step is Step.GRANTED:
        return _granted(session, outcome, frame)
    if session.step is Step.DONE:
        return _done(outcome, frame)
    if session.step is Step.WAITING and outcome.waits is not None:
        return _waiting_view(outcome, outcome.waits, frame)
    if session.step is Step.OUT_OF_SERVICE:
        return _out_of_service(session, outcome, frame)
    if session.step is Step.CAPTURE_AGAIN:
        return _once_more(session, outcome, frame)
    return _refused(session, outcome, frame)


def _granted(session: Session, outcome: Outcome, frame: Frame) -> View:
    title = frame.say("Welcome, {name}", name=neutral(outcome.username))
    if session.problem:  # the door's: it did not open
        problem = frame.hear(session.problem)
        return View(title, (frame.hear(outcome.message),), "bad", problem=problem, keys=frame.keys(words.DONE_KEYS))
    lines = [frame.hear(outcome.message), frame.say("The door is open.")]
    if frame.now is not None:
        lines.append(frame.say("It is {time}.", time=f"{frame.local(frame.now):%H:%M}"))
    return View(title, tuple(lines), "good", keys=frame.keys(words.DONE_KEYS))


def _done(outcome: Outcome, frame: Frame) -> View:
    said = words.DONE[outcome.action]
    lines = (frame.hear(outcome.message), *(frame.say(line) for line in said.lines))
    return View(frame.say(said.title), lines, "good", keys=frame.keys(said.keys), subject=_subject(outcome, frame))


def _waiting_view(outcome: Outcome, waits: Waits, frame: Frame) -> View:
    lines = tuple(frame.say(line) for line in _waiting(outcome.action, waits, frame))
    keys, subject = frame.keys((*words.DONE_KEYS, *words.MORE_KEYS)), _subject(outcome, frame)
    return View(frame.say("Not in force yet"), lines, "busy", keys=keys, subject=subject)


def _out_of_service(session: Session, outcome: Outcome, frame: Frame) -> View:
    said = words.CAUSES[outcome.cause] if outcome.cause is not None else outcome.message
    lines = (frame.hear(said), frame.say("This kiosk comes back by itself."))
    keys = frame.keys(words.EXIT_KEYS) if session.is_client else ()
    return View(frame.say("Out of service"), lines, "bad", keys=keys, contact=neutral(frame.contact))


def _once_more(session: Session, outcome: Outcome, frame: Frame) -> View:
    again = words.MORE_PICTURES.of(CAPTURES_MAX - session.captures)
    lines = (frame.hear(outcome.message), frame.say(again))
    subject = frame.say(words.SUBJECTS.get(session.action, ""))
    return View(frame.say("Once more, please"), lines, "busy", keys=frame.keys(words.RETAKE_KEYS), subject=subject)


def _refused(session: Session, outcome: Outcome, frame: Frame) -> View:
    lines = (frame.hear(outcome.message), frame.say(_advice(session.step, outcome, frame.since_s)))
    keys = words.AGAIN_KEYS if session.step is Step.TIMED_OUT else (*words.DONE_KEYS, *words.MORE_KEYS)
    title, subject = frame.say(_refusal_title(session.step, outcome)), _subject(outcome, frame)
    return View(title, lines, "bad", keys=frame.keys(keys), subject=subject)


def _subject(outcome: Outcome, frame: Frame) -> str:
    return frame.say(words.SUBJECTS.get(outcome.action, ""))


def _refusal_title(step: Step, outcome: Outcome) -> str:
    is_login = outcome.action is Action.LOGIN
    if step is Step.LOCKED:
        return "Please wait"
    if outcome.ending is Ending.DENIED:
        return "Access denied" if is_login else "Request denied"
    if outcome.ending is Ending.UNCERTAIN and not is_login:
        return "Perhaps not done"
    return "Not logged in" if is_login else "Not done"


def _advice(step: Step, outcome: Outcome, since_s: float) -> str:
    if step is Step.TIMED_OUT:
        return words.STOP_TYPING
    if step is Step.LOCKED or outcome.retry_after_s is not None:
        return _wait(outcome.retry_after_s, since_s)
    return words.NEXT_STEP_OF.get(outcome.action, {}).get(outcome.ending) or words.NEXT_STEP[outcome.ending]


def _waiting(action: Action, waits: Waits, frame: Frame) -> tuple[str, ...]:
    until = _clock(frame.local(waits.expires_at))
    lines: list[str] = []
    if Need.CODE in waits.needs:
        lines.append(Phrase(words.WAITS_FOR_CODE, until=until))
    if Need.APPROVAL in waits.needs:
        lines.append(Phrase(words.WAITS_FOR_APPROVAL, until=until))
    if Need.TIME in waits.needs and waits.in_force_at is not None:
        lines.append(Phrase(words.WAITS_FOR_TIME, since=_clock(frame.local(waits.in_force_at))))
    elif Need.TIME in waits.needs:
        lines.append(words.THEN_WAITS)
    if action in words.STAYS:
        is_registration = action is Action.REGISTER
        lines.append(words.STAYS[action])
        lines.append(words.HOW_TO_CANCEL_A_REGISTRATION if is_registration else words.HOW_TO_CANCEL)
    return (*lines, words.SHUT)


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M}, {moment:%Y-%m-%d} ({moment.tzname()})"


def _wait(retry_after_s: int | None, since_s: float) -> str:
    if retry_after_s is None:
        return "Please try again later."
    left_s = ceil(retry_after_s - since_s)
    if left_s <= 0:
        return "You can try again now."
    if left_s < 120:
        return words.WAIT_SECONDS.of(left_s)
    return words.WAIT_MINUTES.of(ceil(left_s / 60))
