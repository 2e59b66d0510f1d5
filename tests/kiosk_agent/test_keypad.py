"""Keypads: a script that waits for its step, and a real pseudo-terminal that echoes nothing."""

import os
import pty
import select
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from kiosk_agent.bootstrap import build
from kiosk_agent.errors import BackendRefused, KeypadFault
from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, MoreTime, Step, Typed
from kiosk_agent.keypad import open_keypad
from kiosk_agent.keypad.terminal import TerminalBackend
from kiosk_agent.settings import ScriptedKeypad, TerminalKeypad


def scripted(folder: Path, *lines: str):
    path = folder / "script"
    path.write_text("\n".join(lines))
    return open_keypad(ScriptedKeypad(kind="scripted", script=path))


def drain(keypad) -> list:
    keys = []
    while (key := keypad.read(0)) is not None:
        keys.append(key)
    return keys


def test_a_script_types_text_and_keys(tmp_path) -> None:
    keypad = scripted(
        tmp_path, '{"text": "a\u00e9"}', '{"text": "1", "enter": false, "keys": ["backspace", "clear", "cancel"]}'
    )
    expected = [Typed("a"), Typed("\u00e9"), Entered(), Typed("1"), Erased(), Cleared(), Cancelled()]
    assert drain(keypad) == expected
    keypad.close()


def test_a_line_waits_for_its_step(tmp_path) -> None:
    keypad = scripted(tmp_path, '{"step": "name", "text": "a"}', '{"step": "code", "text": "1"}')
    keypad.follow(Step.ATTRACT)
    assert drain(keypad) == []
    keypad.follow(Step.NAME)
    assert drain(keypad) == [Typed("a"), Entered()]
    assert drain(keypad) == []
    keypad.follow(Step.CODE)
    assert drain(keypad) == [Typed("1"), Entered()]
    keypad.close()
    assert keypad.read(0) is None


@pytest.mark.parametrize("step", list(Step))
def test_a_line_can_wait_for_any_step(step, tmp_path) -> None:
    keypad = scripted(tmp_path, f'{{"step": "{step.value}", "text": "1", "enter": false}}')
    keypad.follow(step)
    assert drain(keypad) == [Typed("1")]
    keypad.close()


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("not json", "line 1: line: Invalid JSON"),
        ('{"text": 1}', "line 1: text"),
        ('{"step": "nowhere", "text": "Secret-Pass"}', "line 1: step"),
        ('{"keys": ["f1"]}', "line 1: keys"),
        ('{"txt": "Secret-Pass"}', "line 1: txt"),
    ],
)
def test_a_bad_line_is_named_without_its_secret(line, rule, tmp_path) -> None:
    keypad = scripted(tmp_path, line)
    with pytest.raises(KeypadFault, match=rule) as caught:
        keypad.read(0)
    assert "Secret-Pass" not in str(caught.value)
    keypad.close()


def test_a_missing_script(tmp_path) -> None:
    with pytest.raises(BackendRefused, match="No such file"):
        open_keypad(ScriptedKeypad(kind="scripted", script=tmp_path / "none"))


def test_a_script_from_standard_input_comes_when_it_comes(monkeypatch) -> None:
    reading, writing = os.pipe()
    monkeypatch.setattr("kiosk_agent.keypad.scripted.os.dup", lambda _descriptor: reading)
    keypad = open_keypad(ScriptedKeypad(kind="scripted", script=Path("-")))
    assert keypad.read(0) is None
    os.write(writing, b'{"text": "ab"}\n{"text"')
    assert drain(keypad) == [Typed("a"), Typed("b"), Entered()]
    os.write(writing, b': "c", "enter": false}\n')
    assert drain(keypad) == [Typed("c")]
    os.close(writing)
    assert keypad.read(0) is None
    keypad.close()


def test_lines_that_come_at_once_are_all_typed(monkeypatch) -> None:
    """Nothing may wait in a buffer of which select() does not know; the last line has no end."""
    reading, writing = os.pipe()
    monkeypatch.setattr("kiosk_agent.keypad.scripted.os.dup", lambda _descriptor: reading)
    keypad = open_keypad(ScriptedKeypad(kind="scripted", script=Path("-")))
    lines = [
        b'{"step": "name", "text": "a"}',
        b'{"step": "password", "text": "b"}',
        b'{"keys": ["cancel"]}',
        b'{"text"',
    ]
    os.write(writing, b"\n".join(lines))
    keypad.follow(Step.NAME)
    assert drain(keypad) == [Typed("a"), Entered()]
    keypad.follow(Step.PASSWORD)
    assert drain(keypad) == [Typed("b"), Entered(), Cancelled()]
    os.write(writing, b': "c"}')
    os.close(writing)
    assert drain(keypad) == [Typed("c"), Entered()]
    keypad.close()


@pytest.fixture
def terminal():
    """A pseudo-terminal: what a person types, and what the agent sees."""
    person, agent = pty.openpty()
    yield person, agent
    os.close(person)
    os.close(agent)


KEYS = [
    (b"a", [Typed("a")]),
    ("\u00e9".encode(), [Typed("\u00e9")]),
    (b"Ab 1\r", [Typed("A"), Typed("b"), Typed(" "), Typed("1"), Entered()]),
    (b"\n", [Entered()]),
    (b"\x7f", [Erased()]),
    (b"\b", [Erased()]),
    (b"\x15", [Cleared()]),
    (b"\x04", [Cancelled()]),
    (b"\x1b", [Cancelled()]),
    (b"\x1b[A", []),
    (b"\x1bOP", []),
    (b"\x1b[15~", []),
    (b"a\x1b[Ab", [Typed("a"), Typed("b")]),
    (b"\x1bOPc\x1b", [Typed("c"), Cancelled()]),
    (b"\x01\x02", []),
    (b"\t", [MoreTime()]),
    (b"\xff", [Typed("\ufffd")]),
]


@pytest.mark.parametrize(("typed", "expected"), KEYS)
def test_each_key_of_a_terminal(typed, expected, terminal) -> None:
    person, agent = terminal
    keypad = TerminalBackend(TerminalKeypad(kind="terminal"), agent)
    os.write(person, typed)
    seen = []
    while (key := keypad.read(0.2 if not seen and expected else 0)) is not None:
        seen.append(key)
    assert seen == expected
    keypad.close()


def test_a_letter_in_two_pieces_is_one_key(terminal) -> None:
    person, agent = terminal
    keypad = TerminalBackend(TerminalKeypad(kind="terminal"), agent)
    first, second = "\u00e9".encode()[:1], "\u00e9".encode()[1:]
    os.write(person, first)
    assert keypad.read(0.2) is None
    os.write(person, second)
    assert keypad.read(0.2) == Typed("\u00e9")
    keypad.close()


def test_nothing_typed_is_echoed_and_the_terminal_is_put_back(terminal) -> None:
    person, agent = terminal
    found = termios.tcgetattr(agent)
    keypad = TerminalBackend(TerminalKeypad(kind="terminal"), agent)
    assert not termios.tcgetattr(agent)[3] & (termios.ECHO | termios.ICANON)
    os.write(person, b"Secret-Pass\r")
    while keypad.read(0.2) is not None:
        pass
    os.write(agent, b"|")
    assert os.read(person, 100) == b"|", "the secret was not written back"
    keypad.close()
    keypad.close()
    assert termios.tcgetattr(agent) == found


SIGNAL_KEYS = {
    "Control-C": (b"\x03", f"signal {signal.SIGINT}"),
    "Control-\\": (b"\x1c", f"signal {signal.SIGQUIT}"),
    "Control-Z": (b"\x1a", f"stopped {signal.SIGTSTP}"),
}
OTHER_KEYS = {"Control-S": b"\x13", "Control-Q": b"\x11", "Control-V": b"\x16", "Control-O": b"\x0f"}

AGENT = """
import os, signal, sys
from kiosk_agent.events import Entered
from kiosk_agent.keypad.terminal import TerminalBackend
from kiosk_agent.settings import TerminalKeypad

signal.signal(signal.SIGTTOU, signal.SIG_IGN)
os.setpgid(0, 0)
os.tcsetpgrp(0, os.getpid())
keypad = TerminalBackend(TerminalKeypad(kind="terminal"), is_production=sys.argv[1] == "production")
print("ready", flush=True)
keys = []
while keys[-1:] != [Entered()]:
    if (key := keypad.read(0.2)) is not None:
        keys.append(key)
        print("got a key", flush=True)
print("typed:", *(getattr(key, "character", type(key).__name__) for key in keys), flush=True)
"""
SHELL = """
import fcntl, os, signal, subprocess, sys, termios

for number in (signal.SIGINT, signal.SIGQUIT):  # whoever runs the tests in the background ignores them
    signal.signal(number, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
agent = subprocess.Popen([sys.executable, "-c", *sys.argv[1:]])
status = os.waitpid(agent.pid, os.WUNTRACED)[1]
if os.WIFSTOPPED(status):
    print("agent stopped", os.WSTOPSIG(status), flush=True)
    agent.kill()
elif os.WIFSIGNALED(status):
    print("agent signal", os.WTERMSIG(status), flush=True)
else:
    print("agent exit", os.WEXITSTATUS(status), flush=True)
"""


@pytest.fixture
def type_at(terminal, project_folder, tmp_path):
    """Types keys at the controlling terminal of a shell whose job reads them; returns all that was written there."""
    person, agent = terminal

    def type_keys(environment: str, keys: bytes) -> str:
        shell = subprocess.Popen(
            [sys.executable, "-c", SHELL, AGENT, environment],
            stdin=agent,
            stdout=agent,
            stderr=agent,
            cwd=tmp_path,
            env={"PYTHONPATH": str(project_folder), "PATH": os.environ["PATH"]},
            start_new_session=True,
        )
        seen = b""
        while b"agent " not in seen or not seen.endswith(b"\n"):
            ready = select.select([person], [], [], 20)[0]
            if not ready:
                shell.kill()
                os.write(person, b"\x11\r")
                pytest.fail(f"nothing came after {seen!r}")
            seen += os.read(person, 1024)
            if b"ready" in seen and keys:
                os.write(person, keys)
                keys = b""
        assert shell.wait(20) == 0
        return seen.decode()

    return type_keys


@pytest.mark.parametrize("name", [*SIGNAL_KEYS, *OTHER_KEYS])
def test_no_key_ends_stops_or_silences_a_production_kiosk(name, type_at) -> None:
    key = SIGNAL_KEYS[name][0] if name in SIGNAL_KEYS else OTHER_KEYS[name]
    seen = type_at("production", key + b"a\r")
    assert f"typed:{' Cancelled' if name == 'Control-C' else ''} a Entered" in seen
    assert "agent exit 0" in seen


@pytest.mark.parametrize("name", SIGNAL_KEYS)
def test_in_development_such_a_key_keeps_its_meaning(name, type_at) -> None:
    key, end = SIGNAL_KEYS[name]
    assert f"agent {end}" in type_at("development", key)


@pytest.mark.parametrize("is_production", [True, False])
def test_the_terminal_makes_signals_in_development_alone_and_again_afterwards(is_production, terminal) -> None:
    _, agent = terminal
    found = termios.tcgetattr(agent)
    keypad = TerminalBackend(TerminalKeypad(kind="terminal"), agent, is_production=is_production)
    input_mode, _, _, local_mode, *_ = termios.tcgetattr(agent)
    assert bool(local_mode & (termios.ISIG | termios.IEXTEN)) is not is_production
    assert bool(input_mode & termios.IXON) is not is_production
    keypad.close()
    assert termios.tcgetattr(agent) == found


@pytest.mark.parametrize("environment", ["production", "development"])
def test_the_agent_opens_the_keypad_that_its_environment_asks_for(
    environment, terminal, make_settings, around, monkeypatch
) -> None:
    _, agent = terminal
    # No machine that runs tests is fit for production.
    monkeypatch.setattr("kiosk_agent.bootstrap.check_fit_for_production", lambda _nic, _settings: None)
    settings = make_settings(keypad={"kind": "terminal"}).model_copy(update={"environment": environment})
    with open(agent, closefd=False) as keyboard:
        monkeypatch.setattr("sys.stdin", keyboard)
        services = build(settings, around)
    assert bool(termios.tcgetattr(agent)[3] & termios.ISIG) == (environment == "development")
    services.close()
    assert termios.tcgetattr(agent)[3] & termios.ISIG


def test_what_was_typed_ahead_is_forgotten_at_rest(terminal) -> None:
    person, agent = terminal
    keypad = TerminalBackend(TerminalKeypad(kind="terminal"), agent)
    os.write(person, b"left over")
    keypad.follow(Step.ATTRACT)
    assert keypad.read(0) is None
    keypad.close()


def test_a_pipe_is_no_terminal() -> None:
    reading, writing = os.pipe()
    with pytest.raises(BackendRefused, match="terminal"):
        TerminalBackend(TerminalKeypad(kind="terminal"), reading)
    os.close(reading)
    os.close(writing)
