"""What a person sees: the page of each step, word for word, and what must never be on one."""

import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kiosk_agent.events import Ending, Outcome, Step
from kiosk_agent.screen.terminal import TerminalBackend
from kiosk_agent.screen.view import View, neutral, view
from kiosk_agent.session import Session
from kiosk_agent.settings import TerminalScreen


class Terminal(io.StringIO):
    """Standard output that is, or is not, a terminal."""

    encoding = "utf-8"

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


def painted(shown: View) -> str:
    terminal = Terminal(is_terminal=True)
    TerminalBackend(TerminalScreen(kind="terminal"), terminal).show(shown)
    return terminal.getvalue()


def said(*views: View) -> str:
    lines = Terminal(is_terminal=False)
    screen = TerminalBackend(TerminalScreen(kind="terminal"), lines)
    for shown in views:
        screen.show(shown)
    screen.close()
    return lines.getvalue()


PASSWORD_PAGE = """\
4Auth                                                  17 s left
----------------------------------------------------------------

\x1b[1m  Your password\x1b[0m

  Hello zo\u00eb. Type your password, then Enter.

  > \u2022\u2022\u2022\u2022_

  ! Please enter your password

----------------------------------------------------------------
  Enter: next   Backspace: correct   Esc: cancel
  Development mode: not for real doors
"""


def test_a_page_word_for_word() -> None:
    session = Session(Step.PASSWORD, 1, name="zo\u00eb", password="abcd", problem="Please enter your password")
    page = painted(view(session, 16.4, notice="Development mode: not for real doors"))
    assert page == "\x1b[2J\x1b[3J\x1b[H" + PASSWORD_PAGE


def ended(step: Step, ending: Ending, message: str, **more) -> Session:
    return Session(step, 1, outcome=Outcome(ending, message, **more))


LINES = [
    (Session(), "[ ] Welcome: Type your name to log in."),
    (Session(Step.NAME, 1), "[ ] Your name: Type your name, then Enter."),
    (Session(Step.CODE, 1), "[ ] Your code: Type the six digits that your authenticator app shows now."),
    (Session(Step.FACE, 1), "[.] Look at the camera: Stand alone, face the camera and hold still."),
    (Session(Step.CHECKING, 1), "[.] One moment: Your login is being checked."),
    (ended(Step.GRANTED, Ending.GRANTED, "Hello.", username="alice"), "[+] Welcome, alice: Hello. The door is open."),
    (
        ended(Step.DENIED, Ending.DENIED, "That did not work."),
        "[!] Access denied: That did not work. Check your name, password and code, and wait for a fresh code before "
        "you try again.",
    ),
    (
        ended(Step.DENIED, Ending.UNAVAILABLE, "Busy.", retry_after_s=2),
        "[!] Not logged in: Busy. Try again in 2 seconds.",
    ),
    (
        ended(Step.LOCKED, Ending.LOCKED, "Too many tries.", retry_after_s=3600),
        "[!] Please wait: Too many tries. Try again in 60 minutes.",
    ),
    (ended(Step.LOCKED, Ending.LOCKED, "Too many tries."), "[!] Please wait: Too many tries. Please try again later."),
    (
        replace(ended(Step.CAPTURE_AGAIN, Ending.CAPTURE_AGAIN, "Too dark."), captures=2),
        "[.] Once more, please: Too dark. New pictures follow; 1 try is left.",
    ),
    (
        ended(Step.TIMED_OUT, Ending.TIMED_OUT, "That took too long."),
        "[!] Not logged in: That took too long. What you type now is ignored. Press Enter to start again.",
    ),
    (
        ended(Step.OUT_OF_SERVICE, Ending.UNAVAILABLE, "Cannot be reached."),
        "[!] Out of service: Cannot be reached. This kiosk comes back by itself.",
    ),
]


@pytest.mark.parametrize(("session", "line"), LINES)
def test_each_step_in_plain_lines(session, line) -> None:
    assert said(view(session)) == line + "\n"


@pytest.mark.parametrize(
    "ending", sorted(set(Ending) - {Ending.GRANTED, Ending.LOCKED, Ending.KIOSK_REFUSED, Ending.CANCELLED})
)
def test_each_refusal_tells_a_next_step(ending) -> None:
    assert all(view(ended(Step.DENIED, ending, "No.")).lines)


def test_plain_lines_say_each_thing_once() -> None:
    session = Session(Step.NAME, 1)
    text = said(view(session, 9.0), view(session, 8.0), view(replace(session, name="a"), 8.0))
    assert text.count("\n") == 1


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\u202eevil", "\x07", "\x9b31m", "\u200b", "\ud800"])
def test_what_steers_a_display_is_neutralised(text) -> None:
    assert neutral(text).isprintable() or "\ufffd" in neutral(text)
    for page in (
        view(Session(Step.NAME, 1, name=text)),
        view(Session(Step.PASSWORD, 1, name=text)),
        view(ended(Step.GRANTED, Ending.GRANTED, text, username=text)),
        view(ended(Step.DENIED, Ending.DENIED, text)),
    ):
        assert text not in said(page)
        assert text not in painted(page).replace("\x1b[2J\x1b[3J\x1b[H", "")


@given(st.text(max_size=72), st.text(max_size=6))
def test_no_view_holds_a_secret(password, code) -> None:
    marked = f"<{password}>"
    for session in (Session(Step.PASSWORD, 1, password=marked), Session(Step.CODE, 1, code=f"<{code}>")):
        shown = view(session, 3.0)
        assert marked not in repr(shown) and f"<{code}>" not in repr(shown)
        assert shown.entry == "\u2022" * len(session.entry)


def test_a_terminal_is_cleared_when_closed() -> None:
    terminal = Terminal(is_terminal=True)
    TerminalBackend(TerminalScreen(kind="terminal"), terminal).close()
    assert terminal.getvalue() == "\x1b[2J\x1b[3J\x1b[H"


def test_a_narrow_encoding_does_not_stop_the_screen() -> None:
    lines = Terminal(is_terminal=False)
    lines.encoding = "ascii"
    TerminalBackend(TerminalScreen(kind="terminal"), lines).show(
        view(ended(Step.GRANTED, Ending.GRANTED, "Hi", username="zo\u00eb"))
    )
    assert "zo?" in lines.getvalue()
