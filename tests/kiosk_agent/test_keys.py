"""Reading the keypad through its faults: told each time, over when it is over, and nothing of a person left."""

from threading import Event as Flag

import pytest

from kiosk_agent.errors import KeypadFault
from kiosk_agent.events import Cause, Ending, Entered, ServiceDown, ServiceUp, Typed
from kiosk_agent.health import Health
from kiosk_agent.keys import FAULT, KeyReader

DOWN = ServiceDown(Ending.KEYPAD_FAULT, FAULT, Cause.KEYPAD)


class Flag0(Flag):
    """Set after so many reads; waiting for it takes no time."""

    def wait(self, timeout=None) -> bool:
        return self.is_set()


class Keypad:
    """Gives what it was told, key or fault, and then stops the reader."""

    def __init__(self, *turns) -> None:
        self.turns = list(turns)
        self.state = ""
        self.stopped = Flag0()

    def read(self, timeout_s):
        turn = self.turns.pop(0)
        if not self.turns:
            self.stopped.set()
        if isinstance(turn, str):
            raise KeypadFault(turn)
        return turn


def run(keypad, give_up=None):
    health, events = Health(lambda: 0.0, server_fault=None), []
    KeyReader(keypad, health, events.append).run(keypad.stopped, give_up)
    return health, events


def test_a_keypad_that_fails_is_read_on() -> None:
    health, events = run(Keypad(Typed("a"), "gone", "gone", None, Entered()))
    assert events == [Typed("a"), DOWN, DOWN, ServiceUp(), Entered()]
    assert health.keypad_fault is None


def test_a_fault_is_part_of_the_health() -> None:
    health, _ = run(Keypad("the keypad was unplugged"))
    assert (health.keypad_fault, health.faults["keypad"]) == ("the keypad was unplugged",) * 2


def test_a_stuck_key_is_told_and_the_kiosk_serves() -> None:
    keypad = Keypad(None, Typed("a"))
    keypad.state = "key 5 of the keypad is stuck"
    health, events = run(keypad)
    assert (health.keypad_fault, events) == ("key 5 of the keypad is stuck", [Typed("a")])


def test_one_login_ends_with_the_first_fault() -> None:
    heard = []
    _, events = run(Keypad("gone", Typed("a")), heard.append)
    assert [str(error) for error in heard] == ["gone"] and events == []


def test_that_the_server_is_there_is_no_news_while_there_is_no_keypad() -> None:
    health, events = Health(lambda: 0.0, server_fault="the server is away"), []
    keypad = Keypad("gone", None)
    reader = KeyReader(keypad, health, events.append)
    with pytest.raises(KeypadFault):
        reader.read()
    reader.pass_on(ServiceUp())
    reader.pass_on(DOWN)
    reader.read()
    assert events == [DOWN], "and that there is a keypad is none while there is no server"
    reader.pass_on(ServiceUp())
    assert events == [DOWN, ServiceUp()]


@pytest.mark.parametrize("at", [0, 3])
def test_each_fault_is_logged_once(at, capfd) -> None:
    import structlog

    with structlog.testing.capture_logs() as logs:
        run(Keypad(*[None] * at, "gone", "gone", "gone", None))
    assert [entry["event"] for entry in logs] == ["keypad_fault", "keypad_works"]
