"""Keypads: a script that waits for its step, and a real pseudo-terminal that echoes nothing."""

import os
import pty
import termios
from pathlib import Path

import pytest

from kiosk_agent.errors import KeypadFault
from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, Step, Typed
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
    with pytest.raises(KeypadFault, match="No such file"):
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
    (b"\x01\x02\t", []),
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
    assert termios.tcgetattr(agent)[3] & termios.ISIG, "control-C still ends the agent"
    os.write(person, b"Secret-Pass\r")
    while keypad.read(0.2) is not None:
        pass
    os.write(agent, b"|")
    assert os.read(person, 100) == b"|", "the secret was not written back"
    keypad.close()
    keypad.close()
    assert termios.tcgetattr(agent) == found


def test_what_was_typed_ahead_is_forgotten_at_rest(terminal) -> None:
    person, agent = terminal
    keypad = TerminalBackend(TerminalKeypad(kind="terminal"), agent)
    os.write(person, b"left over")
    keypad.follow(Step.ATTRACT)
    assert keypad.read(0) is None
    keypad.close()


def test_a_pipe_is_no_terminal() -> None:
    reading, writing = os.pipe()
    with pytest.raises(KeypadFault, match="terminal"):
        TerminalBackend(TerminalKeypad(kind="terminal"), reading)
    os.close(reading)
    os.close(writing)
