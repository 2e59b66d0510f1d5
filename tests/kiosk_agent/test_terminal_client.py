"""The terminal client: a menu until somebody is let in or leaves, and the QR code in a file as well."""

import os
import pty
import signal
import stat
import subprocess
import sys
import tempfile
import termios
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path

import cv2
import pytest

from auth_contract.actions import Action
from demo.qr_reader import read_qr_file
from demo.seat import Seat
from demo.terminal import Terminal
from kiosk_agent import events as e
from kiosk_agent.effects import Leave
from kiosk_agent.errors import SettingsRefused
from kiosk_agent.events import Ending, Outcome, Step
from kiosk_agent.phrases import Language
from kiosk_agent.screen.frame import View
from kiosk_agent.screen.png import png
from kiosk_agent.screen.qr_picture import QrPicture, in_memory
from kiosk_agent.screen.terminal import TerminalBackend
from kiosk_agent.screen.view import view
from kiosk_agent.session import Session, advance
from kiosk_agent.settings import TerminalScreen
from kiosk_agent.settings.chosen import at_terminal, with_screen
from tests.kiosk_agent.test_session import AT, MENU_KEYS, play

# --- the menu


MENU_PAGE = [
    "Log in",
    "Register (with a ticket, or an administrator beside you)",
    "Recover: authenticator app, password, face, this kiosk",
    "Approve a request (supervisors)",
    "Cancel a request of mine",
    "Exit",
]
RECOVERY_PAGE = [
    "I lost my authenticator app",
    "I forgot my password",
    "My face is not recognised any more",
    "Use this kiosk instead of the one I had",
    "Back",
]
HOME = Session(ticket=7, is_client=True)
DOWN = replace(HOME, step=Step.OUT_OF_SERVICE, outcome=Outcome(Ending.UNAVAILABLE, "Down."))


def test_the_menu_is_there_at_once_and_says_how_to_leave() -> None:
    shown = view(HOME)
    assert (list(shown.options), shown.seconds_left) == (MENU_PAGE, None)
    assert ("Esc", "exit") in shown.keys
    assert list(view(play(HOME, e.Typed("3"))[0]).options) == RECOVERY_PAGE
    assert "Exit" not in view(Session(Step.MENU, 1)).options, "nobody leaves a kiosk"


@pytest.mark.parametrize("action", MENU_KEYS)
def test_each_line_begins_its_action(action: Action) -> None:
    session, effects = play(HOME, *map(e.Typed, MENU_KEYS[action]))
    assert (session.step, session.action, effects) == (Step.NAME, action, [])


LEFT_BY = [(HOME, e.Cancelled()), (HOME, e.Typed("6")), (DOWN, e.Cancelled())]


@pytest.mark.parametrize(("session", "key"), LEFT_BY)
def test_exit_and_esc_leave_it_also_out_of_service(session: Session, key: e.Event) -> None:
    assert advance(session, key)[1] == (Leave(),)
    assert advance(replace(session, is_client=False), e.Cancelled())[1] == ()


def test_a_letter_is_no_choice_and_enter_is_the_first() -> None:
    after, effects = advance(HOME, e.Typed("a"))
    assert (after.step, after.problem, effects) == (Step.ATTRACT, "Press 1 to 6", ())
    assert advance(HOME, e.Entered())[0].step is Step.NAME


@pytest.mark.parametrize("step", [step for step in Step if step not in {Step.ATTRACT, Step.OUT_OF_SERVICE}])
def test_esc_anywhere_else_comes_back_to_the_menu_and_ends_nothing(step: Step) -> None:
    session, effects = play(replace(AT[step], is_client=True), e.Cancelled())
    assert session == Session(ticket=session.ticket, is_client=True)
    assert Leave() not in effects


def test_a_language_holds_until_the_person_leaves() -> None:
    session, _ = play(HOME, e.Cleared(), e.Typed("3"))
    assert (session.step, session.language) == (Step.ATTRACT, Language.GERMAN)
    session, _ = play(session, e.Entered(), e.Typed("a"), e.Cancelled())
    assert (session.step, session.language) == (Step.ATTRACT, Language.GERMAN)


def test_out_of_service_says_how_to_leave_where_one_can() -> None:
    assert view(DOWN).keys == (("Esc", "exit"),)
    assert view(replace(DOWN, is_client=False)).keys == ()


# --- the option


PAGE = {"kind": "page", "port": 8400, "language": "de", "contact": "Reception", "preview_fps": 5.0}


def test_a_screen_of_another_kind_keeps_language_and_contact_alone(make_settings) -> None:
    screen = with_screen(make_settings(screen=PAGE), "terminal").screen
    assert screen == TerminalScreen(kind="terminal", language=Language.GERMAN, contact="Reception")


def test_one_of_the_same_kind_stays_as_it_is(make_settings) -> None:
    settings = make_settings(screen=PAGE)
    assert with_screen(settings, "page") == settings


def test_one_without_defaults_is_refused_by_its_field(make_settings) -> None:
    with pytest.raises(SettingsRefused, match=r"--screen page: screen.page.port: Field required"):
        with_screen(make_settings(), "page")


def test_what_a_kind_may_be_is_asked_again(make_settings) -> None:
    """A page in production needs a file for its address, whoever chose it."""
    safe = {"environment": "production", "mac_override": None, "keypad": {"kind": "terminal"}}
    settings = make_settings(**safe, camera={"kind": "opencv", "device": 0}, screen={"kind": "terminal"})
    with pytest.raises(SettingsRefused):
        with_screen(settings, "page")


@pytest.mark.parametrize("keypad", ["scripted", "usb", "terminal"])
@pytest.mark.parametrize("screen", [PAGE, {"kind": "terminal"}])
def test_a_client_is_at_a_terminal_whatever_the_settings_say(keypad, screen, make_settings, members) -> None:
    given = members["keypad"] if keypad == "scripted" else {"kind": keypad}
    settings = at_terminal(make_settings(keypad=given, screen=screen))
    assert (settings.screen.kind, settings.screen.qr_picture, settings.keypad.kind) == ("terminal", True, "terminal")


def test_who_wants_no_picture_gets_none(make_settings) -> None:
    settings = make_settings(screen={"kind": "terminal", "qr_picture": False})
    assert not at_terminal(settings).screen.qr_picture
    assert not make_settings().screen.qr_picture, "and a kiosk writes none unless told to"


# --- the picture


URI = "otpauth://totp/4Auth%20lab:alice?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=4Auth%20lab"


class Paper(StringIO):
    """What is written to a terminal, or to none."""

    encoding = "utf-8"

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize("scale", [1, 3, 8])
def test_a_picture_is_what_it_was_made_of(scale: int, tmp_path: Path) -> None:
    dark = [[True, False, True], [False, False, True]]
    (tmp_path / "a.png").write_bytes(png(dark, scale))
    pixels = cv2.imread(str(tmp_path / "a.png"), cv2.IMREAD_GRAYSCALE)
    assert pixels.shape == (2 * scale, 3 * scale)
    assert [[pixels[y * scale, x * scale] == 0 for x in range(3)] for y in range(2)] == dark
    assert (pixels.reshape(2, scale, 3, scale).std(axis=(1, 3)) == 0).all()


def test_a_phone_reads_the_picture_and_its_owner_alone_opens_it(tmp_path: Path) -> None:
    picture = QrPicture(tmp_path)
    umask = os.umask(0)
    try:
        path = Path(picture.lay(URI))
    finally:
        os.umask(umask)
    assert read_qr_file(path) == URI
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    assert path.parent.parent == tmp_path


def test_it_is_written_once_and_another_code_takes_its_place(tmp_path: Path) -> None:
    picture = QrPicture(tmp_path)
    path = Path(picture.lay(URI))
    written = path.stat().st_ino
    assert Path(picture.lay(URI)).stat().st_ino == written
    other = Path(picture.lay(URI.replace("alice", "bob")))
    assert "bob" in read_qr_file(other)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [other]
    picture.remove()
    picture.remove()
    assert list(tmp_path.iterdir()) == []
    assert "JBSW" not in repr(vars(picture))


def test_where_nothing_can_be_written_there_is_no_picture_and_the_kiosk_goes_on(tmp_path: Path) -> None:
    picture = QrPicture(tmp_path / "none")
    assert picture.lay(URI) == ""
    picture.remove()


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for pid in (gone.pid, os.getpid()):
        (tmp_path / f"4auth-{pid}-abcdefgh").mkdir()
        (tmp_path / f"4auth-{pid}-abcdefgh" / "qr.png").write_bytes(b"a code")
    (tmp_path / "4auth-notes").mkdir()
    (tmp_path / f"4auth-{gone.pid}-x").symlink_to(tmp_path / "4auth-notes")
    QrPicture(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {f"4auth-{os.getpid()}-abcdefgh", "4auth-notes", f"4auth-{gone.pid}-x"}


def test_it_lies_in_memory_where_there_is_a_place_for_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert in_memory() == tmp_path
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "none"))
    assert in_memory() in {Path("/dev/shm"), Path(tempfile.gettempdir())}  # noqa: S108 - nothing is written there


@pytest.mark.parametrize("is_terminal", [True, False])
def test_a_screen_that_is_no_terminal_writes_none(is_terminal: bool, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    stream = Paper(is_terminal=is_terminal)
    screen = TerminalBackend(TerminalScreen(kind="terminal", qr_picture=True), stream, lambda: (80, 20))
    screen.show(View("Scan this code", uri=URI))
    assert len(list(tmp_path.iterdir())) == is_terminal
    assert ("As a picture: " in stream.getvalue()) == is_terminal
    screen.show(View("Welcome"))
    assert list(tmp_path.iterdir()) == []
    screen.show(View("Scan this code", uri=URI))
    screen.close()
    assert list(tmp_path.iterdir()) == []


# --- the command


class Recorded(Terminal):
    """A terminal, and all that was ever written to it."""

    written = ""

    def feed(self, text: str) -> None:
        self.written += text
        super().feed(text)


class Client(Seat):
    """A person at the terminal of a client, and what lies in memory meanwhile."""

    def __init__(self, command, log, environment) -> None:
        super().__init__(command, log, environment)
        self.seen = Recorded(80, 24)
        self.memory = Path(environment["XDG_RUNTIME_DIR"])

    @property
    def pictures(self) -> list[Path]:
        return sorted(path for path in self.memory.rglob("*") if path.is_file())

    def log_in(self) -> None:
        self.type("1", at="6  Exit")
        self.type("alice\r", at="Your name")
        self.type("Secret-Pass\r", at="Your password")
        self.type("424242\r", at="Your code")

    def ask_for_a_new_secret(self) -> None:
        self.type("3", at="6  Exit")
        self.type("1", at="What did you lose?")
        self.type("alice\r", at="Your name")
        self.type("Secret-Pass\r", at="Your password")
        self.look_for("Scan this code")

    def leave_blank(self) -> int:
        """See it to its end, which leaves nothing on the terminal; return the exit code."""
        code = self.leave()
        assert "".join(self.seen.lines).strip() == "" and not self.seen.has_code
        return code


@pytest.fixture
def memory(environment, tmp_path) -> Path:
    """The place where the picture of a process may lie."""
    place = tmp_path / "memory"
    place.mkdir(mode=0o700)
    environment["XDG_RUNTIME_DIR"] = str(place)
    return place


@pytest.fixture
def sit(write, environment, memory, tmp_path):
    """Sits a person down at a client of this server, by the command unless told otherwise."""
    seats = []

    def sit_down(*, program=None, options=("--screen", "terminal"), **changes) -> Client:
        # The settings are those of a kiosk with a page and a keypad of its own, which a client takes the place of.
        page = {"kind": "page", "port": 0, "url_file": str(tmp_path / "url")}
        path = write(**{"screen": page, "session": {"result_s": 1.0}, **changes})
        command = program or [sys.executable, "-m", "kiosk_agent", *options, "--settings"]
        with (tmp_path / "log").open("wb") as log:
            seats.append(Client([*command, path], log, environment))
        return seats[-1]

    yield sit_down
    for seat in seats:
        seat.process.kill()
        seat.process.wait()


def test_it_ends_with_0_as_soon_as_a_login_is_granted_and_no_sooner(sit, server) -> None:
    denied = server.refusal("denied")
    server.answer("/v1/login", denied, lambda request: server.grant(request.json["username"]))
    seat = sit()
    seat.log_in()
    seat.look_for("Access denied")
    seat.type("5", at="6  Exit")
    seat.type("alice\r", at="Your name")
    seat.type("Secret-Pass\r", at="Your password")
    seat.type("424242\r", at="Your code")
    seat.look_for("Request cancelled")
    seat.log_in()
    seat.look_for("granted: Welcome.")
    assert seat.leave() == 0
    assert len(server.at("/v1/login")) == 2
    assert server.contract_faults == []


@pytest.mark.parametrize("key", ["6", "\x1b"])
def test_it_ends_with_1_when_the_person_leaves(sit, key) -> None:
    seat = sit()
    seat.type("3", at="6  Exit")
    seat.type("5", at="What did you lose?")
    seat.type(key, at="6  Exit")
    assert seat.leave_blank() == 1


def test_a_change_that_is_made_is_no_login(sit, server) -> None:
    seat = sit(capture={"enrol_frames": 3, "enrol_interval_s": 0})
    seat.type("2", at="6  Exit")
    seat.type("alice\r", at="New name")
    seat.type("0123-4567-89ab-cdef\r", at="Permission")
    seat.type("Newer-Pass\r", at="New password")
    seat.type("Newer-Pass\r", at="again")
    assert seat.scan() == server.uri("alice")
    seat.type(f"{server.first_code()}\r")
    seat.look_for("Registered")
    seat.type("6", at="6  Exit")
    assert seat.leave_blank() == 1


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 1), ("SIGINT", 1), ("SIGHUP", 1)])
def test_a_signal_ends_it_without_a_login_a_code_a_picture_or_a_changed_terminal(name, code, sit) -> None:
    seat = sit()
    seat.ask_for_a_new_secret()
    assert len(seat.pictures) == 1
    seat.process.send_signal(getattr(signal, name))
    assert (seat.leave_blank(), seat.pictures) == (code, [])


def test_the_code_is_a_picture_while_it_is_shown_and_its_path_is_told(sit, server) -> None:
    seat = sit()
    seat.ask_for_a_new_secret()
    seat.look_for("As a picture: ")
    [path] = seat.pictures
    assert read_qr_file(path) == server.uri("alice") == seat.scan()
    told = "".join(line[len(line) - len(line.lstrip("\u2588\u2580\u2584 ")) :] for line in seat.seen.lines)
    assert str(path) in told.replace(" ", "")
    assert (stat.S_IMODE(path.stat().st_mode), stat.S_IMODE(path.parent.stat().st_mode)) == (0o600, 0o700)
    seat.type(f"{server.first_code()}\r")
    seat.look_for("New authenticator in force")
    assert list(seat.memory.iterdir()) == []
    seat.ask_for_a_new_secret()
    seat.type("\x1b", at="As a picture: ")
    seat.look_for("6  Exit")
    assert list(seat.memory.iterdir()) == []
    seat.type("6")
    assert seat.leave_blank() == 1


def test_who_is_killed_leaves_one_that_the_next_client_removes(sit) -> None:
    seat = sit()
    seat.ask_for_a_new_secret()
    seat.process.kill()
    seat.leave()
    assert len(seat.pictures) == 1, "nothing can be done in a process that is killed"
    seat = sit()
    seat.look_for("6  Exit")
    assert seat.pictures == []


def test_a_terminal_that_is_gone_ends_it_and_leaves_nothing(sit, tmp_path) -> None:
    seat = sit()
    seat.ask_for_a_new_secret()
    os.close(seat._descriptor)
    assert seat.process.wait(30) == 1
    assert list(seat.memory.iterdir()) == []
    assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("options", [("--screen", "terminal"), ()])
def test_a_line_that_hangs_up_ends_client_and_kiosk(options, sit, tmp_path) -> None:
    """Where the terminal is the process's own, the kernel says so by SIGHUP while nothing can be written any more."""
    own = ["setsid", "--ctty", sys.executable, "-m", "kiosk_agent", *options, "--settings"]
    seat = sit(program=own, screen={"kind": "terminal"}, keypad={"kind": "terminal"})
    seat.type("" if options else "\r", at="6  Exit" if options else "Welcome")
    seat.type("1", at="What would you like to do?")
    seat.look_for("Your name")
    os.close(seat._descriptor)
    assert seat.process.wait(30) == 1
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_an_agent_whose_settings_name_a_terminal_has_no_way_out_and_writes_nothing(sit) -> None:
    seat = sit(options=(), screen={"kind": "terminal"}, keypad={"kind": "terminal"})
    seat.type("\x1b\r", at="Welcome")
    seat.look_for("6  Back")
    seat.type("3")
    seat.type("1", at="What did you lose?")
    seat.type("alice\r", at="Your name")
    seat.type("Secret-Pass\r", at="Your password")
    seat.look_for("Scan this code")
    assert list(seat.memory.iterdir()) == []
    seat.process.send_signal(signal.SIGTERM)
    assert seat.leave_blank() == 0


def test_one_login_can_be_asked_for_at_the_terminal_too(sit) -> None:
    seat = sit(options=("--screen", "terminal", "--once"))
    seat.type("alice\r", at="Your name")
    seat.type("\x1b", at="Your password")
    assert seat.leave() == 1


def test_what_is_logged_is_kept_off_the_page(sit, tmp_path) -> None:
    shell = ["sh", "-c", 'exec "$0" "$@" 2>&1']
    seat = sit(program=[*shell, sys.executable, "-m", "kiosk_agent", "--screen", "terminal", "--settings"])
    seat.log_in()
    seat.look_for("granted: Welcome.")
    assert seat.leave() == 0
    assert "development_mode" not in seat.seen.written and "session_ended" not in seat.seen.written
    seat = sit()
    seat.type("6", at="6  Exit")
    seat.leave()
    assert "development_mode" in (tmp_path / "log").read_text(), "and goes where it is sent"


def test_into_a_pipe_go_plain_lines_and_neither_code_nor_picture(write, environment, memory) -> None:
    person, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "kiosk_agent", "--screen", "terminal", "--settings", write()],
        env=environment,
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    shown = ""
    for title, keys in (
        ("What would you like to do?", "3"),
        ("What did you lose?", "1"),
        ("Your name", "alice\r"),
        ("Your password", "Secret-Pass\r"),
        ("Scan this code", ""),
    ):
        while title not in shown:
            shown += process.stdout.readline()
        os.write(person, keys.encode())
    assert list(memory.iterdir()) == []
    os.write(person, b"\x1b")
    while shown.count("What would you like to do?") < 2:
        shown += process.stdout.readline()
    os.write(person, b"6")
    assert process.wait(30) == 1
    shown += process.stdout.read()
    process.stdout.close()
    assert "6  Exit" in shown and "shown on a terminal only" in shown
    for secret in ("JBSW", "otpauth", "Secret-Pass", "As a picture", "\u2588"):
        assert secret not in shown
    os.close(person)
    os.close(terminal)


# --- for Python programs


PROGRAM = """
import sys
import kiosk_agent

result = kiosk_agent.terminal_client(sys.argv[1])
print("let in:" if result else "not let in:", result.reason, result.username, bool(result.assertion))
"""


def test_a_program_is_told_who_was_let_in(sit) -> None:
    seat = sit(program=[sys.executable, "-c", PROGRAM])
    seat.log_in()
    seat.look_for("let in: granted alice True")
    assert seat.leave() == 0
    assert "development_mode" not in seat.seen.written, "and nothing that it did not ask for is printed"


def test_a_program_is_told_that_the_person_left(sit) -> None:
    seat = sit(program=[sys.executable, "-c", PROGRAM])
    seat.type("6", at="6  Exit")
    seat.look_for("not let in: cancelled  False")
    assert seat.leave() == 0


@pytest.fixture
def hangs_up() -> Iterator[None]:
    """Programs that are started are ended by SIGHUP, also where these tests are run by nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_that_ends_the_program_puts_the_terminal_back_first(name, sit, hangs_up) -> None:
    seat = sit(program=[sys.executable, "-c", PROGRAM])
    seat.ask_for_a_new_secret()
    assert not termios.tcgetattr(seat._descriptor)[3] & termios.ECHO
    assert len(seat.pictures) == 1
    number = getattr(signal, name)
    seat.process.send_signal(number)
    assert seat.process.wait(30) == -number
    assert termios.tcgetattr(seat._descriptor)[3] & termios.ECHO
    assert list(seat.memory.iterdir()) == []
    assert seat.leave_blank() == -number
