"""What a person is to see at each step: words and an entry, without a word on how it is drawn.

Pure. A view never holds a password, a code or a permission, only as many dots; names and the
server's sentences have every character that could steer a display replaced. A new TOTP secret is
in `uri`, to be drawn as a QR code, and in `secret` only when the person asked for it in letters.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from math import ceil
from typing import Final, Literal
from urllib.parse import parse_qs, urlsplit

from auth_contract.actions import Action, Need
from auth_contract.limits import ADMIN_SECRET_CHARS, TICKET_CHARS
from kiosk_agent.events import Ending, Outcome, Step, Waits
from kiosk_agent.flows import FIELDS, MENUS, PICTURES
from kiosk_agent.hints import HINTS
from kiosk_agent.screen import words
from kiosk_agent.session import CAPTURES_MAX, Session

Tone = Literal["plain", "good", "bad", "busy"]


@dataclass(frozen=True, slots=True)
class View:
    """One picture of the screen. `entry` is None where nothing is typed; `seconds_left` where time runs down.

    `subject` is what all of it is about, `aside` stands beside the entry.
    """

    title: str
    lines: tuple[str, ...] = ()
    tone: Tone = "plain"
    entry: str | None = None
    problem: str = ""
    seconds_left: int | None = None
    keys: str = ""
    notice: str = ""
    subject: str = ""
    aside: str = ""
    uri: str = field(default="", repr=False)
    secret: str = field(default="", repr=False)


_MASK: Final = "\u2022"
_SHOWS_SECONDS: Final = frozenset((*FIELDS, *MENUS, Step.CAPTURE_AGAIN))
_IN_CLEAR: Final = frozenset({Step.NAME, Step.PERSON})
_BUSY: Final = frozenset({Step.FACE, Step.ENROL, Step.SENDING, Step.CHECKING})

Local = Callable[[datetime], datetime]
"""From a moment to the same moment in the kiosk's time zone."""


def view(
    session: Session, left_s: float | None = None, *, notice: str = "", local: Local = lambda moment: moment
) -> View:
    """Return what to show of a session with so many seconds left in its step."""
    seconds_left = ceil(left_s) if left_s is not None and session.step in _SHOWS_SECONDS else None
    if session.outcome is not None:
        return _outcome_view(session, session.outcome, _Frame(seconds_left, notice, local))
    if session.step in PICTURES:
        return _capture_view(session, notice)
    said = words.STEPS_OF.get((session.step, session.action), words.STEPS[session.step])
    return View(
        title=said.title,
        lines=_lines(session, said),
        tone="busy" if session.step in _BUSY else "plain",
        entry=_entry(session),
        problem=neutral(session.problem),
        seconds_left=seconds_left,
        keys=said.keys.format(first=1, last=len(MENUS.get(session.step, ()))),
        notice=notice,
        subject=words.SUBJECTS.get(session.action, ""),
        aside=_aside(session),
        uri=session.secret.uri if session.step is Step.QR and session.secret is not None else "",
        secret=_secret(session),
    )


def _lines(session: Session, said: words.Words) -> tuple[str, ...]:
    if session.step in MENUS:
        return tuple(f"{place}  {words.OPTIONS[option]}" for place, option in enumerate(MENUS[session.step], 1))
    return tuple(line.format(name=neutral(session.entries.name)) for line in said.lines)


def _capture_view(session: Session, notice: str) -> View:
    """Before the camera: what to do now, and what is wrong with the picture that was just seen."""
    said = words.STEPS[session.step]
    pose = words.POSES[session.pictures % len(words.POSES)]
    title, lines = said.title, tuple(line.format(pose=pose) for line in said.lines)
    movements = session.attempt.movements if session.attempt is not None else ()
    count = len(movements)
    if movements and session.part == 0:
        follow = words.MOVEMENTS_FOLLOW if count > 1 else words.MOVEMENT_FOLLOWS
        title, lines = words.STEPS[Step.FACE].title, (*words.STEPS[Step.FACE].lines, follow.format(count=count))
    elif movements and session.part <= count:
        asked = words.MOVEMENTS[movements[session.part - 1]]
        counted = words.MOVEMENT_COUNT.format(number=session.part, count=count)
        title, lines = asked.title, (*asked.lines, counted)
    elif movements:
        title, lines = words.LOOK_BACK.title, words.LOOK_BACK.lines
    problem = HINTS[session.hint] if session.hint is not None else ""
    subject = words.SUBJECTS.get(session.action, "")
    return View(title, lines, "busy", None, problem, session.seconds_left, said.keys, notice, subject)


def _entry(session: Session) -> str | None:
    if session.step in _IN_CLEAR:
        return neutral(session.entry)
    return _MASK * len(session.entry) if session.step in FIELDS else None


def _aside(session: Session) -> str:
    """How much of a permission is typed, as it is masked and long."""
    if session.step is not Step.PERMISSION:
        return ""
    typed = sum(character not in "- " for character in session.entry)
    return f"{typed} of {TICKET_CHARS} or {ADMIN_SECRET_CHARS}"


def _secret(session: Session) -> str:
    """The secret in groups of four, for people whose app has no camera; only when they asked for it."""
    if session.secret is None or session.step is not Step.QR or not session.is_spelt:
        return ""
    text = parse_qs(urlsplit(session.secret.uri).query).get("secret", [""])[0]
    return " ".join(neutral(text[place : place + 4]) for place in range(0, len(text), 4))


# --- results


@dataclass(frozen=True, slots=True)
class _Frame:
    seconds_left: int | None
    notice: str
    local: Local


def _outcome_view(session: Session, outcome: Outcome, frame: _Frame) -> View:
    message, notice = neutral(outcome.message), frame.notice
    subject = words.SUBJECTS.get(outcome.action, "")
    if session.step is Step.GRANTED:
        title = f"Welcome, {neutral(outcome.username)}"
        return View(title, (message, "The door is open."), "good", keys=words.DONE_KEYS, notice=notice)
    if session.step is Step.DONE:
        said = words.DONE[outcome.action]
        return View(said.title, (message, *said.lines), "good", keys=said.keys, notice=notice, subject=subject)
    if session.step is Step.WAITING and outcome.waits is not None:
        lines = _waiting(outcome.action, outcome.waits, frame.local)
        return View("Not in force yet", lines, "busy", keys=words.DONE_KEYS, notice=notice, subject=subject)
    if session.step is Step.OUT_OF_SERVICE:
        return View("Out of service", (message, "This kiosk comes back by itself."), "bad", notice=notice)
    if session.step is Step.CAPTURE_AGAIN:
        left = CAPTURES_MAX - session.captures
        again = f"New pictures follow; {left} {'try is' if left == 1 else 'tries are'} left."
        keys, seconds_left = words.RETAKE_KEYS, frame.seconds_left
        subject = words.SUBJECTS.get(session.action, "")
        return View("Once more, please", (message, again), "busy", None, "", seconds_left, keys, notice, subject)
    lines = (message, _advice(session.step, outcome))
    keys = "Enter: start" if session.step is Step.TIMED_OUT else words.DONE_KEYS
    return View(_refusal_title(session.step, outcome), lines, "bad", keys=keys, notice=notice, subject=subject)


def _refusal_title(step: Step, outcome: Outcome) -> str:
    is_login = outcome.action is Action.LOGIN
    if step is Step.LOCKED:
        return "Please wait"
    if outcome.ending is Ending.DENIED:
        return "Access denied" if is_login else "Request denied"
    if outcome.ending is Ending.UNCERTAIN and not is_login:
        return "Perhaps not done"
    return "Not logged in" if is_login else "Not done"


def _advice(step: Step, outcome: Outcome) -> str:
    if step is Step.TIMED_OUT:
        return words.STOP_TYPING
    if step is Step.LOCKED or outcome.retry_after_s is not None:
        return _wait(outcome.retry_after_s)
    return words.NEXT_STEP_OF.get(outcome.action, {}).get(outcome.ending) or words.NEXT_STEP[outcome.ending]


def _waiting(action: Action, waits: Waits, local: Local) -> tuple[str, ...]:
    until = _clock(local(waits.expires_at))
    lines = []
    if Need.CODE in waits.needs:
        lines.append(f"A first code of the new authenticator entry is to be typed where it was asked for, by {until}.")
    if Need.APPROVAL in waits.needs:
        lines.append(f"A supervisor has to approve it at another kiosk by {until}, or it lapses.")
    if Need.TIME in waits.needs and waits.in_force_at is not None:
        lines.append(f"It is in force from {_clock(local(waits.in_force_at))} on, unless it is cancelled before.")
    elif Need.TIME in waits.needs:
        lines.append("After that a waiting time begins, in which it can still be cancelled.")
    if action in words.STAYS:
        is_registration = action is Action.REGISTER
        lines.append(words.STAYS[action])
        lines.append(words.HOW_TO_CANCEL_A_REGISTRATION if is_registration else words.HOW_TO_CANCEL)
    return (*lines, words.SHUT)


def _clock(moment: datetime) -> str:
    return f"{moment:%H:%M on %Y-%m-%d} ({moment.tzname()})"


def _wait(retry_after_s: int | None) -> str:
    if retry_after_s is None:
        return "Please try again later."
    if retry_after_s < 120:
        return f"Try again in {retry_after_s} seconds."
    return f"Try again in {ceil(retry_after_s / 60)} minutes."


def neutral(text: str) -> str:
    """Return the text with each unprintable character (escapes, line ends, bidi marks) as U+FFFD."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
