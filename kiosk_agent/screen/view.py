"""What a person is to see at each step: words and an entry, without a word on how it is drawn.

Pure. A view never holds a password or a code, only as many dots; a name and the server's sentences
have every character that could steer a display replaced.
"""

from dataclasses import dataclass
from math import ceil
from typing import Final, Literal

from kiosk_agent.events import Ending, Outcome, Step
from kiosk_agent.session import CAPTURES_MAX, Session

Tone = Literal["plain", "good", "bad", "busy"]


@dataclass(frozen=True, slots=True)
class View:
    """One picture of the screen. `entry` is None where nothing is typed; `seconds_left` where time runs down."""

    title: str
    lines: tuple[str, ...] = ()
    tone: Tone = "plain"
    entry: str | None = None
    problem: str = ""
    seconds_left: int | None = None
    keys: str = ""
    notice: str = ""


_TYPING_KEYS: Final = "Enter: next   Backspace: correct   Esc: cancel"
_MASK: Final = "\u2022"
_SHOWS_SECONDS: Final = frozenset({Step.NAME, Step.PASSWORD, Step.CODE, Step.CAPTURE_AGAIN})

_NEXT_STEP: Final = {
    Ending.DENIED: "Check your name, password and code, and wait for a fresh code before you try again.",
    Ending.CAPTURE_AGAIN: "Stand alone before the camera, in good light, and start again.",
    Ending.START_AGAIN: "Nothing was decided. Please start again.",
    Ending.MALFORMED: "Please start again and check what you type.",
    Ending.UNAVAILABLE: "Nothing was decided. Please try again in a moment.",
    Ending.NOT_PROVEN: "The door stays shut. Please tell the staff.",
    Ending.CAMERA_FAULT: "Use another kiosk, or ask the staff.",
    Ending.TIMED_OUT: "Nobody was let in.",
}
"""What a person can do after each ending that is shown as a refusal."""


def view(session: Session, left_s: float | None = None, *, notice: str = "") -> View:
    """Return what to show of a session with so many seconds left in its step."""
    seconds_left = ceil(left_s) if left_s is not None and session.step in _SHOWS_SECONDS else None
    if session.outcome is not None:
        return _outcome_view(session, session.outcome, seconds_left, notice)
    title, lines, keys = _WORDS[session.step]
    return View(
        title=title,
        lines=tuple(line.format(name=neutral(session.name)) for line in lines),
        tone="busy" if session.step in {Step.FACE, Step.CHECKING} else "plain",
        entry=_entry(session),
        problem=session.problem,
        seconds_left=seconds_left,
        keys=keys,
        notice=notice,
    )


_WORDS: Final[dict[Step, tuple[str, tuple[str, ...], str]]] = {
    Step.ATTRACT: ("Welcome", ("Type your name to log in.",), "Enter: start"),
    Step.NAME: ("Your name", ("Type your name, then Enter.",), _TYPING_KEYS),
    Step.PASSWORD: ("Your password", ("Hello {name}. Type your password, then Enter.",), _TYPING_KEYS),
    Step.CODE: ("Your code", ("Type the six digits that your authenticator app shows now.",), _TYPING_KEYS),
    Step.FACE: ("Look at the camera", ("Stand alone, face the camera and hold still.",), "Esc: cancel"),
    Step.CHECKING: ("One moment", ("Your login is being checked.",), "Esc: cancel"),
    Step.OUT_OF_SERVICE: ("Out of service", ("This kiosk cannot be used right now.",), ""),
}


def _outcome_view(session: Session, outcome: Outcome, seconds_left: int | None, notice: str) -> View:
    message = neutral(outcome.message)
    if session.step is Step.GRANTED:
        title = f"Welcome, {neutral(outcome.username)}"
        return View(title, (message, "The door is open."), "good", keys=_DONE_KEYS, notice=notice)
    if session.step is Step.LOCKED:
        return View("Please wait", (message, _wait(outcome.retry_after_s)), "bad", keys=_DONE_KEYS, notice=notice)
    if session.step is Step.TIMED_OUT:
        return View("Not logged in", (message, _STOP_TYPING), "bad", keys="Enter: start", notice=notice)
    if session.step is Step.OUT_OF_SERVICE:
        return View("Out of service", (message, "This kiosk comes back by itself."), "bad", notice=notice)
    if session.step is Step.CAPTURE_AGAIN:
        left = CAPTURES_MAX - session.captures
        again = f"New pictures follow; {left} {'try is' if left == 1 else 'tries are'} left."
        return View("Once more, please", (message, again), "busy", None, "", seconds_left, _RETAKE_KEYS, notice)
    title = "Access denied" if outcome.ending is Ending.DENIED else "Not logged in"
    advice = _NEXT_STEP[outcome.ending] if outcome.retry_after_s is None else _wait(outcome.retry_after_s)
    return View(title, (message, advice), "bad", keys=_DONE_KEYS, notice=notice)


_DONE_KEYS: Final = "Enter: done"
_STOP_TYPING: Final = "What you type now is ignored. Press Enter to start again."
_RETAKE_KEYS: Final = "Enter: now   Esc: cancel"


def _entry(session: Session) -> str | None:
    if session.step is Step.NAME:
        return neutral(session.name)
    if session.step in {Step.PASSWORD, Step.CODE}:
        return _MASK * len(session.entry)
    return None


def _wait(retry_after_s: int | None) -> str:
    if retry_after_s is None:
        return "Please try again later."
    if retry_after_s < 120:
        return f"Try again in {retry_after_s} seconds."
    return f"Try again in {ceil(retry_after_s / 60)} minutes."


def neutral(text: str) -> str:
    """Return the text with each unprintable character (escapes, line ends, bidi marks) as U+FFFD."""
    return "".join(character if character.isprintable() else "\ufffd" for character in text)
