"""What a person sees: the page of each step, word for word, and what must never be on one."""

import errno
import io
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise

import pyotp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_contract.actions import Action, CaptureHint, Movement, Need
from auth_contract.messages import AttemptReply
from auth_contract.neutral import neutral
from demo.terminal import Terminal as Display
from kiosk_agent.errors import ScreenFault
from kiosk_agent.events import Cause, Ending, Entries, Key, NewSecret, Outcome, Step, Waits
from kiosk_agent.hints import HINTS
from kiosk_agent.phrases import Language
from kiosk_agent.screen import words
from kiosk_agent.screen.frame import Frame, View
from kiosk_agent.screen.qr import qr_lines, smallest
from kiosk_agent.screen.terminal import TerminalBackend
from kiosk_agent.screen.view import view
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

  Hello zo\u00eb. Type your password, then press Enter.

  > \u2022\u2022\u2022\u2022_

  ! Please enter your password

----------------------------------------------------------------
  Enter: next  Backspace: correct  Tab: more time  Esc: cancel
  Development mode: not for real doors
"""


def test_a_page_word_for_word() -> None:
    entries = Entries(name="zo\u00eb", password="abcd")
    session = Session(Step.PASSWORD, 1, entries=entries, problem="Please enter your password")
    page = painted(view(session, 16.4, Frame(notice="Development mode: not for real doors")))
    assert page == "\x1b[2J\x1b[3J\x1b[H" + PASSWORD_PAGE


def ended(step: Step, ending: Ending, message: str, **more) -> Session:
    return Session(step, 1, outcome=Outcome(ending, message, **more))


LINES = [
    (Session(), "[ ] Welcome: Type your name to log in, or press Enter for other services."),
    (Session(Step.NAME, 1), "[ ] Your name: Type your name, then press Enter."),
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
    "ending",
    sorted(
        set(Ending)
        - {Ending.GRANTED, Ending.CHANGED, Ending.PENDING, Ending.LOCKED, Ending.KIOSK_REFUSED, Ending.CANCELLED}
    ),
)
@pytest.mark.parametrize("action", sorted(words.SUBJECTS))
def test_each_refusal_tells_a_next_step(action, ending) -> None:
    assert all(view(ended(Step.DENIED, ending, "No.")).lines)
    shown = view(ended(Step.DENIED, ending, "No.", action=action))
    assert all(shown.lines)
    assert "log" not in shown.title.lower() and "let in" not in " ".join(shown.lines), "that is a login's"


def test_plain_lines_say_each_thing_once() -> None:
    session = Session(Step.NAME, 1)
    text = said(view(session, 9.0), view(session, 8.0), view(replace(session, entries=Entries(name="a")), 8.0))
    assert text.count("\n") == 1


@pytest.mark.parametrize("text", ["\x1b[2J", "a\nb", "\u202eevil", "\x07", "\x9b31m", "\u200b", "\ud800"])
def test_what_steers_a_display_is_neutralised(text) -> None:
    assert neutral(text).isprintable() or "\ufffd" in neutral(text)
    for page in (
        view(Session(Step.NAME, 1, entries=Entries(name=text))),
        view(Session(Step.NAME, 1, problem=text)),
        view(Session(Step.PERSON, 1, entries=Entries(person=text))),
        view(Session(Step.PASSWORD, 1, entries=Entries(name=text))),
        view(ended(Step.DONE, Ending.CHANGED, text, action=Action.CANCEL)),
        view(ended(Step.GRANTED, Ending.GRANTED, text, username=text)),
        view(ended(Step.DENIED, Ending.DENIED, text)),
    ):
        assert text not in said(page)
        assert text not in painted(page).replace("\x1b[2J\x1b[3J\x1b[H", "")


@given(st.text(max_size=72))
def test_no_view_holds_a_secret(text) -> None:
    marked = f"<{text}>"
    secrets = Entries("ann", "bob", *[marked] * 5)
    for step in words.STEPS:
        shown = view(Session(step, 1, Action.APPROVE, secrets), 3.0)
        assert marked not in repr(shown)
        if step in {Step.PERMISSION, Step.PASSWORD, Step.NEW_PASSWORD, Step.REPEAT, Step.CODE, Step.QR}:
            assert shown.entry == "\u2022" * len(marked)


def test_of_a_permission_one_sees_how_much_is_typed() -> None:
    session = Session(Step.PERMISSION, 1, Action.REGISTER, Entries(name="ann", permission="0123-4567-8"))
    assert "  > \u2022\u2022\u2022\u2022\u2022\u2022\u2022\u2022\u2022\u2022\u2022_   9 of 16 or 25" in painted(
        view(session)
    )


MENU_PAGE = """\
4Auth                                                  25 s left
----------------------------------------------------------------

\x1b[1m  What would you like to do?\x1b[0m

  1  Log in
  2  Register (with a ticket, or an administrator beside you)
  3  Recover: authenticator app, password, face, this kiosk
  4  Approve a request (supervisors)
  5  Cancel a request of mine
  6  Back

  ! Press 1 to 6

----------------------------------------------------------------
  1 to 6: choose  Enter: 1  Esc: back  Tab: more time
"""


def test_the_menu_word_for_word() -> None:
    page = painted(view(Session(Step.MENU, 1, problem="Press 1 to 6"), 25.0))
    assert page == "\x1b[2J\x1b[3J\x1b[H" + MENU_PAGE


def test_the_recovery_menu() -> None:
    shown = view(Session(Step.RECOVERY, 1), 25.0)
    assert shown.options == (
        "I lost my authenticator app",
        "I forgot my password",
        "My face is not recognised any more",
        "Use this kiosk instead of the one I had",
        "Back",
    )
    assert shown.keys == (("1 to 5", "choose"), ("Enter", "1"), ("Esc", "back"), ("Tab", "more time"))


def test_each_page_says_what_it_is_about() -> None:
    entries = Entries(name="ann")
    page = painted(view(Session(Step.PASSWORD, 1, Action.RECOVER_FACE, entries), 9.0))
    assert "4Auth   Recover the face                                9 s left\n" in page


def test_an_enrolment_asks_for_another_pose_before_each_picture() -> None:
    said_before = [view(Session(Step.ENROL, 1, Action.REGISTER, pictures=taken)).lines[1] for taken in range(8)]
    assert said_before[:3] == [
        "Look straight into it.",
        "Now turn your head a little to the left.",
        "Now a little to the right.",
    ]
    assert all(one != other for one, other in pairwise(said_before))


# --- before the camera


MOVEMENT_PAGE = """\
4Auth                                                   4 s left
----------------------------------------------------------------

\x1b[1;33m  <---  Turn your head to the left\x1b[0m

  To your own left.
  Movement 2 of 3.

  ! It is too dark. Face the light

----------------------------------------------------------------
  Esc: cancel
"""


def recording(part: int, *movements: Movement, step: Step = Step.FACE, hint: CaptureHint | None = None) -> Session:
    """A session in this part of a recording of movements."""
    attempt = AttemptReply(attempt_id="A" * 22, nonce="N" * 22, expires_at=AT, movements=movements)
    return Session(step, 1, attempt=attempt, part=part, hint=hint, seconds_left=4 if hint else None)


def test_a_movement_word_for_word() -> None:
    asked = (Movement.BLINK, Movement.TURN_LEFT, Movement.LOOK_UP)
    assert painted(view(recording(2, *asked, hint=CaptureHint.TOO_DARK))) == "\x1b[2J\x1b[3J\x1b[H" + MOVEMENT_PAGE


@pytest.mark.parametrize("step", [Step.FACE, Step.ENROL])
def test_a_recording_is_announced_led_through_and_ended(step) -> None:
    parts = [view(recording(part, Movement.TURN_LEFT, Movement.BLINK, step=step)) for part in range(4)]
    assert [shown.title for shown in parts] == [
        "Look at the camera",
        "<---  Turn your head to the left",
        ">-<  Shut your eyes for a moment",
        "Look at the camera again",
    ]
    assert [line for shown in parts for line in shown.lines if "ovement" in line] == [
        "Then 2 movements are asked for, one after the other.",
        "Movement 1 of 2.",
        "Movement 2 of 2.",
    ]
    assert {shown.keys for shown in parts} == {(("Esc", "cancel"),)}


def test_each_movement_is_a_figure_and_words_and_no_two_are_alike() -> None:
    titles = [view(recording(1, movement)).title for movement in Movement]
    assert len(set(titles)) == len(Movement)
    for title in titles:
        figure, _, text = title.partition("  ")
        assert figure and text[0].isupper() and len(title) < 64


@pytest.mark.parametrize("step", [Step.FACE, Step.ENROL])
@pytest.mark.parametrize("hint", CaptureHint)
def test_each_hint_is_told_in_words_while_the_person_stands_there(step, hint) -> None:
    shown = view(recording(0, step=step, hint=hint))
    assert shown.problem == HINTS[hint]
    assert f"    {HINTS[hint]}\n" in said(shown), "on a screen without colours as well"
    assert len(set(HINTS.values())) == len(CaptureHint)


def test_one_movement_is_announced_as_one() -> None:
    assert "Then 1 movement is asked for." in view(recording(0, Movement.BLINK)).lines


# --- waiting and done


AT = datetime(2026, 11, 22, 10, 30, tzinfo=UTC)
WAITING = [
    (
        Action.RECOVER_PASSWORD,
        Waits((Need.APPROVAL,), AT),
        "A supervisor has to approve it at another kiosk before 11:30, 2026-11-22 (CET), or it lapses. Until then your "
        "old password counts. To cancel it: Enter, then 5, at any kiosk, or ask an administrator. The door stays "
        "shut: log in to open it.",
    ),
    (
        Action.RECOVER_FACE,
        Waits((Need.APPROVAL, Need.TIME), AT),
        "A supervisor has to approve it at another kiosk before 11:30, 2026-11-22 (CET), or it lapses. After that a "
        "waiting time begins, in which it can still be cancelled. Until then your old face pictures count. To cancel "
        "it: Enter, then 5, at any kiosk, or ask an administrator. The door stays shut: log in to open it.",
    ),
    (
        Action.RECOVER_TOTP,
        Waits((Need.TIME,), AT, AT),
        "It is in force from 11:30, 2026-11-22 (CET) on, unless it is cancelled before. Until then your old "
        "authenticator app counts. To cancel it: Enter, then 5, at any kiosk, or ask an administrator. The door stays "
        "shut: log in to open it.",
    ),
    (
        Action.REGISTER,
        Waits((Need.APPROVAL,), AT),
        "A supervisor has to approve it at another kiosk before 11:30, 2026-11-22 (CET), or it lapses. Until then "
        "nobody can log in with this name. To cancel it, ask an administrator. The door stays shut: log in to open it.",
    ),
    (
        Action.APPROVE,
        Waits((Need.TIME,), AT, AT),
        "It is in force from 11:30, 2026-11-22 (CET) on, unless it is cancelled before. The door stays shut: log in "
        "to open it.",
    ),
]


@pytest.mark.parametrize(("action", "waits", "text"), WAITING)
def test_a_change_that_waits_says_for_what_until_when_and_how_to_cancel(action, waits, text) -> None:
    session = ended(Step.WAITING, Ending.PENDING, "It waits.", username="ann", action=action, waits=waits)
    cet = timezone(timedelta(hours=1), "CET")
    shown = view(session, frame=Frame(local=lambda moment: moment.astimezone(cet)))
    assert (shown.title, " ".join(shown.lines)) == ("Not in force yet", text)


@pytest.mark.parametrize("action", sorted(words.DONE))
def test_what_is_done_is_said_and_that_the_door_stays_shut(action) -> None:
    shown = view(ended(Step.DONE, Ending.CHANGED, "It is done.", username="ann", action=action))
    assert (shown.lines[0], shown.lines[-1], shown.tone) == ("It is done.", words.SHUT, "good")
    assert not any("door is open" in line for line in shown.lines)


# --- the QR code


def uri_of(name: str, site: str = "head-office") -> str:
    return pyotp.TOTP(GROUPS.replace(" ", "")).provisioning_uri(name=name, issuer_name=f"4Auth {site}")


GROUPS = "JBSW Y3DP EHPK 3PXP JBSW Y3DP EHPK 3PXQ"


def at_qr(name: str = "ann", **changes) -> Session:
    secret = NewSecret("C" * 22, uri_of(name), 600.0)
    session = Session(Step.QR, 1, Action.RECOVER_TOTP, Entries(name=name, code="12"), secret=secret)
    return replace(session, **changes)


class Kiosk:
    """A screen, and the terminal on which it is seen; what was written goes through at once."""

    def __init__(self, columns: int = 80, rows: int = 24, *, is_light: bool = False, encoding: str = "utf-8") -> None:
        self.stream = Terminal(is_terminal=True)
        self.stream.encoding = encoding
        self.display = Display(columns, rows, is_light=is_light)
        self.screen = TerminalBackend(TerminalScreen(kind="terminal"), self.stream, lambda: (columns, rows))

    def show(self, *sessions: Session, left_s: float | None = 170.0, notice: str = "") -> str:
        """The page after these, as text; each must fit, so that nothing has scrolled away."""
        for session in sessions:
            self.screen.show(view(session, left_s, Frame(notice=notice)))
            self._pass_on()
            assert not self.display.everything.removesuffix("\n".join(self.display.lines)).strip(), "it has scrolled"
        return "\n".join(self.display.lines)

    def close(self) -> None:
        self.screen.close()
        self._pass_on()

    def _pass_on(self) -> None:
        self.display.feed(self.stream.getvalue())
        self.stream.seek(0)
        self.stream.truncate()


@pytest.mark.parametrize("is_light", [False, True])
@pytest.mark.parametrize(
    ("name", "columns", "rows"),
    [("ann", 80, 24), ("ada.lovelace@example", 80, 24), ("ann", 120, 40), ("n" * 64, 80, 40), ("\u0430" * 64, 120, 40)],
)
def test_a_phone_reads_the_uri_off_the_terminal(name, columns, rows, is_light) -> None:
    kiosk = Kiosk(columns, rows, is_light=is_light)
    kiosk.show(at_qr(name), notice="Development mode: not for real doors")
    assert kiosk.display.scan() == uri_of(name)


QR_TEXT = """\
4Auth
Recover the authenticator app
170 s left

Scan this code

Scan it with your authenticator
app, type the six digits that
the app then shows, and press
Enter.

> \u2022\u2022_
! That was not the code. 4 tries
are left

Enter: send
Delete: secret as text
Tab: more time
Esc: cancel"""


def test_what_stands_beside_the_code() -> None:
    kiosk = Kiosk()
    kiosk.show(at_qr(problem="That was not the code. 4 tries are left"))
    beside = [line[45:].strip() for line in kiosk.display.lines]
    assert "\n".join(beside).rstrip() == QR_TEXT


def test_the_secret_in_letters_is_shown_when_asked_for_and_beside_the_code() -> None:
    kiosk = Kiosk()
    assert GROUPS[:19] not in kiosk.show(at_qr())
    text = kiosk.show(
        at_qr(is_spelt=True, problem="That was not the code. 4 tries are left"), notice="Development mode"
    )
    assert GROUPS[:19] in text and GROUPS[20:] in text and "Esc: cancel" in text
    assert kiosk.display.scan() == uri_of("ann")
    assert GROUPS[:4] not in kiosk.show(at_qr()), "the same key hides it"


@pytest.mark.parametrize(
    "after",
    [
        Session(Step.SENDING, 1, Action.RECOVER_TOTP),
        ended(Step.TIMED_OUT, Ending.TIMED_OUT, "Too long."),
        ended(Step.DENIED, Ending.DENIED, "No."),
        Session(),
        None,
    ],
)
def test_nothing_of_the_code_is_left_on_the_terminal_when_its_step_ends(after) -> None:
    kiosk = Kiosk()
    kiosk.show(at_qr(is_spelt=True), at_qr(extensions=1), at_qr(is_spelt=True, tries=1))
    assert kiosk.display.has_code
    if after is None:
        kiosk.close()
    else:
        kiosk.show(after)
    assert not kiosk.display.has_code, "neither seen nor to be scrolled back to"
    assert GROUPS[:4] not in kiosk.display.everything and GROUPS[:4] not in repr(vars(kiosk.screen))


def test_the_code_stands_still_while_seconds_pass() -> None:
    kiosk = Kiosk()
    kiosk.show(at_qr())
    kiosk.screen.show(view(at_qr(), 169.0))
    assert "\x1b[2J" not in kiosk.stream.getvalue()
    kiosk._pass_on()
    assert "169 s left" in "\n".join(kiosk.display.lines) and "170 s" not in kiosk.display.everything
    assert kiosk.display.scan() == uri_of("ann")


def test_a_page_that_gets_shorter_leaves_no_rest() -> None:
    kiosk = Kiosk()
    short = kiosk.show(Session(Step.PASSWORD, 1, entries=Entries(name="ann")))
    longer = Session(Step.PASSWORD, 1, entries=Entries(name="ann", password="x" * 70), problem="No more " * 12)
    assert kiosk.show(longer, Session(Step.PASSWORD, 1, entries=Entries(name="ann"))) == short


@pytest.mark.parametrize(("columns", "rows", "encoding"), [(80, 20, "utf-8"), (60, 40, "utf-8"), (80, 24, "ascii")])
def test_a_terminal_that_cannot_show_the_code_says_what_to_do(columns, rows, encoding) -> None:
    kiosk = Kiosk(columns, rows, encoding=encoding)
    said_there = " ".join(kiosk.show(at_qr()).split())
    assert f"needs 65 columns and 21 rows; this terminal has {columns} and {rows}" in said_there
    assert "press S for the secret in letters" in said_there and "170 s left" in said_there
    assert not kiosk.display.has_code
    assert GROUPS[:19] in kiosk.show(at_qr(is_spelt=True, problem="That was not the code. 4 tries are left"))


def test_a_pipe_never_gets_the_code_or_the_secret() -> None:
    text = said(view(at_qr(), 170.0), view(at_qr(is_spelt=True), 169.0))
    assert "shown on a terminal only, and this is none" in text
    for part in ("otpauth", GROUPS[:4], GROUPS.replace(" ", "")[:8], "\u2580", "\u2588"):
        assert part not in text


def test_a_view_hides_the_new_secret_in_logs() -> None:
    shown = view(at_qr(is_spelt=True))
    assert (shown.uri, shown.secret) == (uri_of("ann"), GROUPS)
    assert GROUPS[:4] not in repr(shown) and "otpauth" not in repr(shown)


@given(st.integers(20, 130), st.integers(8, 60))
def test_a_code_is_never_larger_than_its_place(columns, rows) -> None:
    lines = qr_lines(uri_of("ann"), columns, rows)
    least = smallest(uri_of("ann"))
    assert (lines is None) == (columns < least[0] or rows < least[1])
    if lines is not None:
        assert len(lines) <= rows and {len(line) for line in lines} == {len(lines[0])} and len(lines[0]) <= columns


CRASHING = """
import sys
from kiosk_agent.screen.terminal import TerminalBackend
from kiosk_agent.screen.frame import View
from kiosk_agent.settings import TerminalScreen

sys.stdout.isatty = lambda: True
screen = TerminalBackend(TerminalScreen(kind="terminal"))
screen.show(View("Scan this code", uri="otpauth://totp/a?secret=JBSWY3DPEHPK3PXP"))
print("| shown", flush=True)
{end}
"""


@pytest.mark.parametrize("end", ["raise RuntimeError", "sys.exit(3)", "sys.stdout.close()"])
def test_a_process_that_ends_without_closing_its_screen_wipes_it(end, project_folder) -> None:
    run = subprocess.run(
        [sys.executable, "-c", CRASHING.format(end=end)],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={"PYTHONPATH": str(project_folder), "PYTHONUTF8": "1"},
        timeout=60,
    )
    display = Display()
    display.feed(run.stdout.partition("| shown")[0])
    assert display.has_code
    display.feed(run.stdout.partition("| shown")[2])
    if "close" in end:
        assert "Traceback" not in run.stderr, "and where that cannot be, nothing is said about it"
    else:
        assert not display.has_code


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


# --- what a page needs


def test_the_last_character_of_a_secret_is_seen_for_a_moment_where_the_settings_say_so() -> None:
    typed = Session(Step.PASSWORD, 1, entries=Entries(name="ann", password="abcd"), is_revealed=True)
    assert view(typed, frame=Frame(reveals=True)).entry == "\u2022\u2022\u2022d"
    assert view(typed, frame=Frame(reveals=False)).entry == "\u2022" * 4
    assert view(replace(typed, is_revealed=False), frame=Frame(reveals=True)).entry == "\u2022" * 4


def test_a_lock_counts_down_and_says_when_it_is_over() -> None:
    locked = ended(Step.LOCKED, Ending.LOCKED, "Too many tries.", retry_after_s=30)
    left = [view(locked, frame=Frame(since_s=since_s)).lines[1] for since_s in (0, 10.2, 29.5, 31)]
    assert left == [
        "Try again in 30 seconds.",
        "Try again in 20 seconds.",
        "Try again in 1 second.",
        "You can try again now.",
    ]


@pytest.mark.parametrize("step", [Step.CODE, Step.QR])
def test_at_a_code_one_sees_how_long_it_holds(step) -> None:
    session = replace(at_qr(), step=step)
    left = [view(session, frame=Frame(now=AT + timedelta(seconds=s))).code_left_s for s in (0, 1, 29, 30)]
    assert left == [30, 29, 1, 30]
    assert view(Session(Step.NAME), frame=Frame(now=AT)).code_left_s is None


def test_a_grant_tells_the_time_of_the_place() -> None:
    cet = timezone(timedelta(hours=1), "CET")
    frame = Frame(now=AT, local=lambda moment: moment.astimezone(cet))
    assert "It is 11:30." in view(ended(Step.GRANTED, Ending.GRANTED, "Hi.", username="ann"), frame=frame).lines


@pytest.mark.parametrize("cause", Cause)
def test_out_of_service_says_what_is_wrong_and_whom_to_ask(cause) -> None:
    frame = Frame(contact="Reception, extension 100")
    shown = view(ended(Step.OUT_OF_SERVICE, Ending.UNAVAILABLE, "Down.", cause=cause), frame=frame)
    assert (shown.lines[0], shown.contact) == (words.CAUSES[cause], "Reception, extension 100")
    assert "Reception, extension 100" in said(shown)
    assert len(set(words.CAUSES.values())) == len(Cause)


@pytest.mark.parametrize(("is_good", "oval"), [(False, "seek"), (True, "good")])
def test_the_oval_tells_whether_a_face_is_seen_as_it_should_be(is_good, oval) -> None:
    assert view(replace(recording(0), is_good=is_good)).oval == oval
    assert view(Session(Step.PASSWORD)).oval == ""


def test_keys_are_called_what_is_printed_on_them_and_those_that_are_not_there_are_not_named() -> None:
    frame = Frame(labels={Key.ENTER: "#", Key.BACKSPACE: "*", Key.CANCEL: "D"})
    shown = view(Session(Step.NAME), frame=frame)
    assert shown.keys == (("#", "next"), ("*", "correct"), ("D", "cancel"))
    assert shown.lines == ("Type your name, then press #.",)


def test_the_language_menu_names_each_language_in_itself() -> None:
    assert view(Session(Step.LANGUAGE)).options == (*(language.own_name for language in Language), "Back")


class Gone(io.StringIO):
    """A terminal whose window was closed."""

    def isatty(self) -> bool:
        return True

    def write(self, text: str) -> int:
        raise OSError(errno.EIO, "Input/output error")


def test_a_terminal_that_is_gone_is_a_fault_and_can_still_be_closed() -> None:
    screen = TerminalBackend(TerminalScreen(kind="terminal"), Gone(), lambda: (80, 24))
    with pytest.raises(ScreenFault, match="cannot be written to"):
        screen.show(view(Session()))
    screen.close()
