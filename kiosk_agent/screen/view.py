"""What a person is to see at each step: words and an entry, without a word on how it is drawn.

Pure. A view never holds a password, a code or a permission, only as many dots, and for a moment the
last character; names and the server's sentences have every character that could steer a display
replaced. A new TOTP secret is in `uri`, to be drawn as a QR code, and in `secret` only when the
person asked for it in letters. All of it is in the language of the frame's speaker.
"""

from dataclasses import replace
from math import ceil
from typing import Final
from urllib.parse import parse_qs, urlsplit

from auth_contract.actions import Movement
from auth_contract.limits import ADMIN_SECRET_CHARS, TICKET_CHARS
from auth_contract.neutral import neutral
from kiosk_agent.events import Key, Step
from kiosk_agent.flows import FIELDS, MENUS, PICTURES, Option
from kiosk_agent.hints import HINTS
from kiosk_agent.phrases import Language, Phrase
from kiosk_agent.screen import words
from kiosk_agent.screen.frame import Frame, View
from kiosk_agent.screen.results import outcome_view
from kiosk_agent.session import Session

CODE_PERIOD_S: Final = 30
"""How long an authenticator app shows one code (RFC 6238, 5.2)."""

_MASK: Final = "\u2022"
_SHOWS_SECONDS: Final = frozenset((*FIELDS, *MENUS, Step.CAPTURE_AGAIN))
_IN_CLEAR: Final = frozenset({Step.NAME, Step.PERSON})
_BUSY: Final = frozenset({Step.FACE, Step.ENROL, Step.SENDING, Step.CHECKING})
_CODES: Final = frozenset({Step.CODE, Step.QR})


def view(session: Session, left_s: float | None = None, frame: Frame | None = None) -> View:
    """Return what to show of a session with so many seconds left in its step."""
    frame = frame or Frame()
    if session.outcome is not None:
        shown = outcome_view(session, session.outcome, frame)
    elif session.step in PICTURES:
        shown = _capture_view(session, frame)
    else:
        shown = _step_view(session, frame)
    if left_s is not None and session.step in _SHOWS_SECONDS:
        shown = replace(shown, seconds_left=ceil(left_s))
    chrome = {name: frame.say(text, count="{count}") for name, text in words.PAGE.items()}
    shown = replace(shown, step=session.step, language=frame.speaker.language, chrome=chrome)
    return replace(shown, notice=frame.say(frame.notice))


def _step_view(session: Session, frame: Frame) -> View:
    step = Step.MENU if session.is_at_home else session.step
    said = words.STEPS_OF.get((step, session.action), words.STEPS[step])
    return View(
        title=frame.say(said.title),
        lines=tuple(frame.say(line, name=neutral(session.entries.name)) for line in said.lines),
        tone="busy" if session.step in _BUSY else "plain",
        entry=_entry(session, frame),
        problem=frame.hear(session.problem),
        keys=frame.keys(_keys(session, frame) or said.keys),
        subject=frame.say(words.SUBJECTS.get(session.action, "")),
        aside=_aside(session, frame),
        uri=session.secret.uri if session.step is Step.QR and session.secret is not None else "",
        secret=_secret(session),
        options=tuple(_option(option, session, frame) for option in session.options),
        mode=session.mode if session.step in FIELDS and session.step not in _CODES else "",
        code_left_s=_code_left_s(frame) if session.step in _CODES else None,
    )


def _keys(session: Session, frame: Frame) -> words.Keys:
    """The keys of a menu, and those at rest: whoever cannot read the screen finds their language by its own name."""
    if session.step is not Step.ATTRACT:
        return (*_menu_keys(session, words.BACK), *words.MORE_KEYS) if session.options else ()
    names = ", ".join(language.own_name for language in Language if language is not frame.speaker.language)
    languages = (Key.CLEAR, Phrase(words.LANGUAGES, message=words.LANGUAGE, names=names))
    return (*(_menu_keys(session, words.EXIT) if session.is_at_home else ((Key.ENTER, words.MENU),)), languages)


def _menu_keys(session: Session, way_out: str) -> words.Keys:
    choices = Phrase(words.CHOICES, first=1, last=len(session.options))
    return ((choices, words.CHOOSE), (Key.ENTER, "1"), (Key.CANCEL, way_out))


def _option(option: Option, session: Session, frame: Frame) -> str:
    if option is Step.ATTRACT and session.is_at_home:
        return frame.say(words.LEAVE)
    return option.own_name if isinstance(option, Language) else frame.say(words.OPTIONS[option])


def _code_left_s(frame: Frame) -> int | None:
    return None if frame.now is None else CODE_PERIOD_S - int(frame.now.timestamp()) % CODE_PERIOD_S


def _capture_view(session: Session, frame: Frame) -> View:
    """Before the camera: what to do now, and what is wrong with the picture that was just seen."""
    movements = session.attempt.movements if session.attempt is not None else ()
    count = len(movements)
    said, more = words.STEPS[session.step], ""
    movement: Movement | None = None
    progress: tuple[int, int] | None = None
    if movements and session.part == 0:
        said, more = words.STEPS[Step.FACE], words.MOVEMENTS_FOLLOW.of(count)
    elif movements and session.part <= count:
        movement, progress = movements[session.part - 1], (session.part, count)
        said = words.MOVEMENTS[movement]
        more = Phrase(words.MOVEMENT_COUNT, number=session.part, count=count)
    elif movements:
        said = words.LOOK_BACK
    pose = frame.say(words.POSES[session.pictures % len(words.POSES)])
    lines = tuple(frame.say(line, pose=pose) for line in (*said.lines, more) if line)
    return View(
        title=frame.say(said.title),
        lines=lines,
        tone="busy",
        problem=frame.say(HINTS[session.hint]) if session.hint is not None else "",
        seconds_left=session.seconds_left,
        keys=frame.keys(words.LEAVING_KEYS),
        subject=frame.say(words.SUBJECTS.get(session.action, "")),
        movement=movement,
        oval="good" if session.is_good else "seek",
        progress=progress,
    )


def _entry(session: Session, frame: Frame) -> str | None:
    """What stands in the entry: names in clear, all else as dots, the last character for a moment."""
    if session.step in _IN_CLEAR:
        return neutral(session.entry)
    if session.step not in FIELDS:
        return None
    hidden = _MASK * len(session.entry)
    return hidden[:-1] + neutral(session.entry[-1:]) if session.is_revealed and frame.reveals else hidden


def _aside(session: Session, frame: Frame) -> str:
    """How much of a permission is typed, as it is masked and long."""
    if session.step is not Step.PERMISSION:
        return ""
    typed = sum(character not in "- " for character in session.entry)
    shown = Phrase(words.TYPED, typed=typed, ticket=TICKET_CHARS, secret=ADMIN_SECRET_CHARS)
    return frame.say(shown)


def _secret(session: Session) -> str:
    """The secret in groups of four, for people whose app has no camera; only when they asked for it."""
    if session.secret is None or session.step is not Step.QR or not session.is_spelt:
        return ""
    text = parse_qs(urlsplit(session.secret.uri).query).get("secret", [""])[0]
    return " ".join(neutral(text[place : place + 4]) for place in range(0, len(text), 4))
