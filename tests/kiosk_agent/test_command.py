"""The command `4auth-kiosk` as a process: exit codes, what it prints, and how it ends."""

import json
import os
import pty
import resource
import signal
import socket
import stat
import subprocess
import sys
import termios
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from demo.seat import Seat
from demo.site import free_port
from kiosk_agent.__main__ import main
from tests.kiosk_agent.conftest import LINES


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "kiosk_agent", *arguments]


def test_check_config_says_good_or_what_is_wrong(write, capsys) -> None:
    path = write()
    assert main(["--settings", path, "--check-config"]) == 0
    out = capsys.readouterr()
    assert out.out == f"{path}: good\n"
    assert "development mode: mac_override" in out.err
    path = write(before='colour = "red"', kiosk_id="Front Door")
    assert main(["--settings", path, "--check-config"]) == 78
    out = capsys.readouterr()
    assert f"{path}: kiosk_id = 'Front Door': " in out.err
    assert f"{path}: colour = 'red': Extra inputs are not permitted" in out.err


def test_check_config_looks_at_key_and_interface_and_makes_no_key(write, capsys, members) -> None:
    key = Path(members["key_file"])
    path = write()
    assert main(["--settings", path, "--check-config"]) == 0
    assert f"key_file {key}: none yet, the first start makes it" in capsys.readouterr().err
    assert not key.parent.exists()
    del members["mac_override"]
    assert main(["--settings", write(interface="none0"), "--check-config"]) == 78
    assert "interface 'none0' has no usable MAC; this machine has " in capsys.readouterr().err
    key.parent.mkdir(mode=0o700)
    key.write_text("nonsense")
    key.chmod(0o600)
    assert main(["--settings", path, "--check-config"]) == 78
    assert f"key_file {key}: is no PEM private key" in capsys.readouterr().err


@pytest.mark.parametrize("once", [["--once"], []])
def test_a_terminal_keypad_without_a_terminal_refuses_the_start(once, write, environment) -> None:
    run = subprocess.run(
        command(*once, "--settings", write(keypad={"kind": "terminal"})),
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 78, run.stderr
    assert 'keypad.kind = "terminal" needs standard input to be a terminal' in run.stderr


def test_help_lists_the_exit_codes(capsys) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    codes = capsys.readouterr().out.partition("exit codes:")[2].splitlines()
    assert [line.split()[0] for line in codes if line.strip()] == ["0", "1", "2", "78"]


def test_a_start_with_bad_settings_exits_78_too(write, capsys) -> None:
    assert main(["--settings", write(environment="production")]) == 78
    assert 'needs environment = "development"' in capsys.readouterr().err


def test_dump_config_shows_the_settings_in_effect(write, capsys) -> None:
    assert main(["--settings", write(), "--dump-config"]) == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["capture"]["frames"], shown["session"]["idle_s"]) == (3, 25.0)


def test_identity_prints_what_the_server_registers(write, capsys, members) -> None:
    path = write()
    assert main(["identity", "--json", "--settings", path]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["kiosk_id"], facts["mac"], len(facts["public_key"])) == ("front-door", "00:1b:21:0a:0b:0c", 43)
    assert stat.S_IMODE(Path(members["key_file"]).stat().st_mode) == 0o600
    assert main(["--settings", path, "identity"]) == 0
    text = capsys.readouterr().out
    assert facts["public_key"] in text and "mac_override" in text


def test_help_has_examples(capsys) -> None:
    for arguments in (["--help"], ["identity", "--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
        assert "4auth-kiosk identity --json" in capsys.readouterr().out


@pytest.mark.parametrize(("reason", "code"), [(None, 0), ("denied", 1)])
def test_once_exits_by_the_outcome(reason, code, write, server, environment) -> None:
    if reason is not None:
        server.answer("/v1/login", server.refusal(reason))
    run = subprocess.run(
        command("--once", "--settings", write()), env=environment, capture_output=True, text=True, timeout=60
    )
    assert run.returncode == code, run.stderr
    assert ("Welcome, alice" in run.stdout) == (code == 0)
    events = [json.loads(line)["event"] for line in run.stderr.splitlines()]
    assert "session_ended" in events
    for secret in ("Secret-Pass", "424242", "eyJ", "/9j/"):
        assert secret not in run.stdout + run.stderr


def test_once_with_keys_from_standard_input(write, environment) -> None:
    path = write(keypad={"kind": "scripted", "script": "-"})
    run = subprocess.run(
        command("--once", "--settings", path),
        env=environment,
        input="\n".join(map(json.dumps, LINES)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert run.returncode == 0, run.stderr


def test_the_kernel_may_write_no_core_file(write, environment) -> None:
    hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
    if hard == 0:
        pytest.skip("this machine allows no core files at all")
    path = write(lines=[])
    process = subprocess.Popen(
        command("--settings", path),
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CORE, (hard, hard)),
    )
    assert process.stdout is not None
    assert b"Welcome" in process.stdout.readline()
    limit = resource.prlimit(process.pid, resource.RLIMIT_CORE)[0]
    process.terminate()
    assert process.wait(30) == 0
    process.stdout.close()
    assert limit == 0


def get(port: int, path: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_a_running_kiosk_answers_probes_and_ends_on_sigterm(write, server, environment) -> None:
    port = free_port()
    path = write(lines=[LINES[0] | {"step": "attract"}, *LINES[1:]], health={"port": port})
    process = subprocess.Popen(
        command("--settings", path), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "Welcome, alice" in line:
            break
    assert get(port, "/livez") == (200, '{"alive": true}')
    assert get(port, "/readyz") == (200, '{"ready": true, "faults": {}}')
    assert 'fourauth_kiosk_sessions_total{ending="granted"} 1.0' in get(port, "/metrics")[1]
    assert get(port, "/elsewhere")[0] == 404
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    process.stdout.close()
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_a_health_port_that_is_taken_refuses_the_start(write, environment) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = subprocess.run(
            command("--settings", write(health={"port": port})),
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert run.returncode == 78
    assert f"health.port {port} on 127.0.0.1: Address already in use" in run.stderr


def test_a_person_at_a_terminal_logs_in_and_the_terminal_is_put_back(write, environment) -> None:
    """The real keypad and screen on a pseudo-terminal; what is typed is never written back."""
    person, terminal = pty.openpty()
    found = termios.tcgetattr(terminal)
    process = subprocess.Popen(
        command("--once", "--settings", write(keypad={"kind": "terminal"})),
        env=environment | {"LANG": "C.UTF-8"},
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.PIPE,
    )
    seen = b""
    for title, keys in ((b"Your name", b"alice\r"), (b"Your password", b"Secret-Pass\r"), (b"Your code", b"424242\r")):
        while title not in seen:
            seen += os.read(person, 4096)
        os.write(person, keys)
    while b"granted: Welcome." not in seen:
        seen += os.read(person, 4096)
    assert process.wait(30) == 0
    assert b"Secret-Pass" not in seen and b"424242" not in seen
    assert termios.tcgetattr(terminal) == found
    assert process.stderr is not None
    process.stderr.close()
    os.close(person)
    os.close(terminal)


def test_sigterm_puts_the_terminal_back(write, environment) -> None:
    person, terminal = pty.openpty()
    found = termios.tcgetattr(terminal)
    process = subprocess.Popen(
        command("--settings", write(keypad={"kind": "terminal"})),
        env=environment,
        stdin=terminal,
        stdout=terminal,
        stderr=subprocess.DEVNULL,
    )
    seen = b""
    while b"Welcome" not in seen:
        seen += os.read(person, 4096)
    assert termios.tcgetattr(terminal) != found
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    assert termios.tcgetattr(terminal) == found
    os.close(person)
    os.close(terminal)


@pytest.fixture
def at_terminal(write, environment, tmp_path):
    """Sits a person down at a kiosk of this server."""
    seats = []

    def sit_down() -> Seat:
        path = write(keypad={"kind": "terminal"}, session={"result_s": 1.0})
        with (tmp_path / "log").open("wb") as log:
            seats.append(Seat(command("--settings", path), log, environment))
        return seats[-1]

    yield sit_down
    for seat in seats:
        seat.process.kill()
        seat.process.wait()


def to_the_code(seat: Seat) -> str:
    """Ask for a new authenticator entry, and return what a phone reads off the screen."""
    seat.type("\r", at="Welcome")
    seat.type("3", at="What would you like to do?")
    seat.type("1", at="What did you lose?")
    seat.type("alice\r", at="Your name")
    seat.type("Secret-Pass\r", at="Your password")
    seat.look_for("Scan this code")
    return seat.scan()


def test_a_person_at_a_terminal_scans_a_new_secret_and_proves_it(at_terminal, server, tmp_path) -> None:
    """Real keypad, screen and threads: the code is seen once, and then it is nowhere."""
    seat = at_terminal()
    assert to_the_code(seat) == server.uri("alice")
    assert "JBSW" not in seat.seen.everything
    seat.type("s")
    seat.look_for("JBSW Y3DP EHPK 3PXP")
    seat.type(f"{server.first_code()}\r")
    seat.look_for("New authenticator in force")
    assert not seat.seen.has_code
    assert "JBSW" not in seat.seen.everything
    seat.look_for("Welcome")
    seat.process.send_signal(signal.SIGTERM)
    assert seat.leave() == 0
    logged = (tmp_path / "log").read_text()
    for secret in ("Secret-Pass", "JBSW", "otpauth", "eyJ", "/9j/"):
        assert secret not in logged
    assert [json.loads(line)["event"] for line in logged.splitlines()].count("session_ended") == 1
    assert server.contract_faults == []


@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 0), ("SIGINT", 0), ("SIGHUP", 1)])
def test_a_signal_wipes_the_code_from_the_terminal(name, code, at_terminal) -> None:
    seat = at_terminal()
    to_the_code(seat)
    assert seat.seen.has_code
    seat.process.send_signal(getattr(signal, name))
    assert (seat.leave(), seat.seen.has_code) == (code, False)
    assert "".join(seat.seen.lines) == "", "and nothing half drawn"


def test_a_scripted_session_in_a_pipe_never_prints_the_secret(write, environment, server) -> None:
    lines = [
        {"step": "attract", "keys": ["enter"]},
        {"step": "menu", "text": "2", "enter": False},
        {"step": "name", "text": "alice"},
        {"step": "permission", "text": "0123-4567-89ab-cdef"},
        {"step": "new_password", "text": "Newer-Pass"},
        {"step": "repeat", "text": "Newer-Pass"},
        {"step": "qr", "text": "s", "enter": False},
        {"step": "qr", "keys": ["cancel"]},
    ]
    path = write(lines=lines, capture={"enrol_frames": 3, "enrol_interval_s": 0})
    process = subprocess.Popen(
        command("--settings", path), env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None and process.stderr is not None
    shown = ""
    for line in process.stdout:
        shown += line
        if "Welcome" in line and "Scan this code" in shown:
            break
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    shown += process.stdout.read() + process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    assert "The QR code and its secret are shown on a terminal only" in shown
    for secret in ("Newer-Pass", "0123-4567", "JBSW", "otpauth", "\u2588", "\u2580"):
        assert secret not in shown


# --- new settings while it runs


class Page:
    """The agent with its page, and whoever looks at it over HTTP."""

    def __init__(self, path: str, environment: dict[str, str], url_file: Path) -> None:
        self.url_file = url_file
        self.log: list[str] = []
        self.process = subprocess.Popen(
            command("--settings", path), env=environment, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
        )
        threading.Thread(target=self._listen, daemon=True).start()

    def shown(self, is_it: Callable[[dict], bool]) -> dict:
        """The first view that is so; the page may come and go meanwhile."""
        ends = time.monotonic() + 20
        while time.monotonic() < ends:
            try:
                http = requests.Session()
                url = self.url_file.read_text().strip()
                http.get(url, timeout=5)
                with http.get(url.split("/enter")[0] + "/events", stream=True, timeout=2) as events:
                    for line in events.iter_lines(chunk_size=1):
                        if line.startswith(b"data: ") and is_it(view := json.loads(line[6:])):
                            return view
            except (OSError, requests.RequestException):
                time.sleep(0.05)
        raise AssertionError("".join(self.log))

    def _listen(self) -> None:
        for line in self.process.stderr or ():
            self.log.append(line)


@pytest.fixture
def page(write, environment, tmp_path):
    """Starts it; writes its settings with changes."""
    started = []

    def settings(lines=(), **screen) -> str:
        screen = {"kind": "page", "port": 0, "url_file": str(tmp_path / "url"), **screen}
        keypad = {"kind": "scripted", "script": str(tmp_path / "script")}
        return write(lines=list(lines), keypad=keypad, screen=screen, session={"idle_s": 5.0})

    def start(**screen) -> Page:
        started.append(Page(settings(**screen), environment, tmp_path / "url"))
        return started[-1]

    start.settings = settings
    yield start
    for one in started:
        one.process.terminate()
        one.process.wait(20)
        one.process.stderr.close()


def test_sighup_takes_the_settings_anew(page) -> None:
    kiosk = page(language="en")
    assert kiosk.shown(lambda view: view["step"] == "attract")["title"] == "Welcome"
    page.settings(language="de")
    kiosk.process.send_signal(signal.SIGHUP)
    assert kiosk.shown(lambda view: view["lang"] == "de")["step"] == "attract"
    assert kiosk.process.poll() is None, "in the same process"


def test_sighup_takes_them_anew_too_where_the_screen_is_written_to_a_journal(write, environment, tmp_path) -> None:
    """As under systemd, where a screen of kind `terminal` has none."""
    path = write(lines=[], keypad={"kind": "scripted", "script": str(tmp_path / "script")})
    process = subprocess.Popen(
        command("--settings", path),
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    assert "Welcome" in process.stdout.readline()
    process.send_signal(signal.SIGHUP)
    assert "Welcome" in process.stdout.readline()
    process.terminate()
    assert process.wait(30) == 0
    process.stdout.close()


def test_sighup_with_bad_settings_leaves_those_that_were_and_tells_the_server(page, server, tmp_path) -> None:
    kiosk = page(language="fr")
    kiosk.shown(lambda view: view["step"] == "attract")
    (tmp_path / "kiosk.toml").write_text("this is no TOML")
    kiosk.process.send_signal(signal.SIGHUP)
    ends = time.monotonic() + 20
    while not any("the new settings were not taken" in str(beat.json) for beat in server.at("/v1/heartbeat")):
        assert time.monotonic() < ends, "".join(kiosk.log)
        time.sleep(0.05)
    assert kiosk.shown(lambda view: view["step"] == "attract")["lang"] == "fr"
    assert any("settings_refused" in line for line in kiosk.log)


def test_sigusr1_ends_it_when_nobody_stands_there(page) -> None:
    kiosk = page(lines=[{"step": "attract", "text": "alice"}])
    kiosk.shown(lambda view: view["step"] == "password")
    kiosk.process.send_signal(signal.SIGUSR1)
    kiosk.shown(lambda view: view["step"] == "password")
    assert kiosk.process.wait(30) == 0, "".join(kiosk.log)
    assert any('"ending": "timed_out"' in line or "timed_out" in line for line in kiosk.log), "after her session"


def test_an_end_that_is_asked_for_in_the_midst_of_a_reload_is_not_missed(page, environment, tmp_path) -> None:
    environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(environment["NOTIFY_SOCKET"])
        manager.settimeout(20)
        kiosk = page()
        assert manager.recv(4096) == b"READY=1"
        kiosk.process.send_signal(signal.SIGHUP)
        assert manager.recv(4096).startswith(b"RELOADING=1\n")
        kiosk.process.send_signal(signal.SIGTERM)
        assert kiosk.process.wait(20) == 0, "".join(kiosk.log)
        said = manager.recv(4096)
        if said == b"READY=1":  # the reload was over before the signal came
            said = manager.recv(4096)
        assert said == b"STOPPING=1"
