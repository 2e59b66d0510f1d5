"""USB keyboards and number pads: devices behind pipes that are plugged, grabbed and unplugged, and a real one."""

import os
import select
import string

import pytest
from evdev import ecodes
from pydantic import ValidationError

from kiosk_agent.errors import KeypadFault
from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, Key, ModeShown, MoreTime, Step, Typed
from kiosk_agent.keypad.backoff import LAST_S, Backoff
from kiosk_agent.keypad.keymap import DOWN, REPEATED, UP, US, Keyboard
from kiosk_agent.keypad.usb import UsbBackend
from kiosk_agent.settings.keypads import UsbKeypad
from tests.kiosk_agent.pads import InputEvent, Machine

FULL = [code for code in range(1, 120)]
NUMBERS = [getattr(ecodes, f"KEY_KP{digit}") for digit in range(10)]
MOUSE = [ecodes.BTN_LEFT]
BOARD = "/dev/input/by-id/usb-Acme-event-kbd"


def settings(**changes) -> UsbKeypad:
    return UsbKeypad.model_validate({"kind": "usb"} | changes)


def key(name: str, *values: int) -> list[InputEvent]:
    return [InputEvent(ecodes.EV_KEY, getattr(ecodes, f"KEY_{name}"), value) for value in values or (DOWN, UP)]


def shifted(name: str) -> list[InputEvent]:
    return [*key("LEFTSHIFT", DOWN), *key(name), *key("LEFTSHIFT", UP)]


@pytest.fixture
def machine():
    machine = Machine()
    yield machine
    for device in machine.opened:
        device.close()


@pytest.fixture
def plugged(machine, clock):
    """Opens a keypad on a machine with one keyboard, or with what is named."""
    opened = []

    def make(*, codes=FULL, **changes) -> UsbBackend:
        machine.plug(BOARD, "Acme Keyboard", codes)
        opened.append(UsbBackend(settings(**changes), devices=machine, monotonic=clock.monotonic, wait=clock.sleep))
        return opened[-1]

    yield make
    for keypad in opened:
        keypad.close()


def drain(keypad) -> list:
    events = []
    while (event := keypad.read(0)) is not None:
        events.append(event)
    return events


def text(*events) -> list[Typed]:
    return [Typed(character) for character in "".join(events)]


# --- keys


KEYS = [
    (key("A"), text("a")),
    (shifted("A"), text("A")),
    ([*key("CAPSLOCK"), *key("A"), *key("1"), *key("CAPSLOCK"), *key("A")], text("A1a")),
    ([*key("CAPSLOCK"), *shifted("A"), *shifted("1")], text("a!")),
    (shifted("2"), text("@")),
    (key("SPACE"), text(" ")),
    (key("KP7"), text("7")),
    (key("KPDOT"), text(".")),
    (key("ENTER"), [Entered()]),
    (key("KPENTER"), [Entered()]),
    (key("BACKSPACE"), [Erased()]),
    (key("DELETE"), [Cleared()]),
    (key("ESC"), [Cancelled()]),
    (key("TAB"), [MoreTime()]),
    (key("F1"), [MoreTime()]),
    (key("F12"), [MoreTime()]),
    (key("A", DOWN, REPEATED, REPEATED, UP), text("a")),
    (key("ENTER", DOWN, REPEATED, UP), [Entered()]),
    (key("BACKSPACE", DOWN, REPEATED, REPEATED, UP), [Erased()] * 3),
    ([*key("LEFTCTRL", DOWN), *key("C"), *key("LEFTCTRL", UP), *key("C")], text("c")),
    ([*key("LEFTCTRL", DOWN), *key("LEFTALT", DOWN), *key("DELETE")], []),
    (key("VOLUMEUP"), []),
    ([*key("LEFTSHIFT", DOWN), InputEvent(ecodes.EV_SYN, 3, 0), *key("A")], text("a")),
    ([InputEvent(ecodes.EV_MSC, 4, 30), InputEvent(ecodes.EV_SYN, 0, 0)], []),
]


@pytest.mark.parametrize(("sent", "expected"), KEYS)
def test_each_key_of_a_keyboard(sent, expected, plugged, machine) -> None:
    keypad = plugged()
    machine.opened[-1].send(*sent)
    assert drain(keypad) == expected


def test_a_keyboard_types_every_printable_character() -> None:
    typed = {character for characters in US.values() for character in characters}
    assert typed == set(string.ascii_letters + string.digits + string.punctuation + " ")


def test_every_name_of_a_key_is_one_of_the_kernels() -> None:
    assert all(hasattr(ecodes, name) for name in US)


def test_a_repeat_after_the_keyboard_was_lost_types_nothing() -> None:
    keyboard = Keyboard()
    keyboard.feed("KEY_LEFTSHIFT", DOWN, 0)
    keyboard.reset()
    assert keyboard.feed("KEY_A", DOWN, 0) == [Typed("a")]


PAD_KEYS = [
    (key("KP5"), [Typed("5")]),
    (key("5"), [Typed("5")]),
    (key("KPENTER"), [Entered()]),
    (key("KPDOT"), [Erased()]),
    (key("KPDOT", DOWN, REPEATED, UP), [Erased(), Erased()]),
    (key("KPSLASH"), [Cleared()]),
    (key("KPASTERISK"), [MoreTime()]),
    (key("KPMINUS"), [Cancelled()]),
    (key("KP5", DOWN, REPEATED, UP), [Typed("5")]),
    (key("A"), []),
]


@pytest.mark.parametrize(("sent", "expected"), PAD_KEYS)
def test_each_key_of_a_number_pad(sent, expected, plugged, machine) -> None:
    keypad = plugged(codes=NUMBERS, layout="numpad")
    keypad.follow(Step.CODE)
    machine.opened[-1].send(*sent)
    assert drain(keypad) == [ModeShown("123"), *expected]


def test_a_number_pad_writes_letters(plugged, machine) -> None:
    keypad = plugged(codes=NUMBERS, layout="numpad")
    keypad.follow(Step.NAME)
    machine.opened[-1].send(*key("KP2"), *key("KP2"), *key("KPPLUS"), *key("KP2"))
    assert drain(keypad) == [ModeShown("abc"), Typed("a"), Erased(), Typed("b"), ModeShown("ABC"), Typed("A")]


def test_what_the_keys_are_called(plugged) -> None:
    assert plugged().labels[Key.CANCEL] == "Esc"
    names = plugged(layout="numpad", name="nothing").labels
    assert names == {
        Key.ENTER: "Enter",
        Key.BACKSPACE: "Backspace",
        Key.CLEAR: "/",
        Key.MORE: "*",
        Key.CANCEL: "-",
        Key.MODE: "+",
    }


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"name": "("}, "not a regular expression"),
        ({"name": "a", "device": "/dev/input/event0"}, "only one of them"),
        ({"roles": {"KEY_A": "enter"}}, 'only for layout = "numpad"'),
        ({"layout": "numpad", "roles": {"KEY_A": "enter"}}, "no key is left for backspace"),
        ({"layout": "numpad", "roles": {"A": "enter"}}, "should match pattern"),
        ({"layout": "fr"}, "'us' or 'numpad'"),
    ],
)
def test_settings_that_are_refused(changes, rule) -> None:
    with pytest.raises(ValidationError, match=rule):
        settings(**changes)


# --- finding it


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "/dev/input/event2"),
        ({"name": "(?i)pad"}, "/dev/input/event3"),
        ({"device": "/dev/input/event1"}, "/dev/input/event1"),
    ],
)
def test_which_device_it_is(changes, expected, machine, clock) -> None:
    machine.plug("/dev/input/event0", "Acme Mouse", MOUSE)
    machine.plug("/dev/input/event1", "Power Button", [ecodes.KEY_POWER, ecodes.KEY_1])
    machine.plug("/dev/input/event2", "Acme Keyboard", FULL)
    machine.plug("/dev/input/event3", "Acme PAD", NUMBERS)
    keypad = UsbBackend(settings(**changes), devices=machine, monotonic=clock.monotonic, wait=clock.sleep)
    assert keypad.device.startswith(expected) and keypad.state == ""
    assert machine.grabbed == {expected}
    assert [device.path for device in machine.opened if not device.is_closed] == [expected]
    keypad.close()
    keypad.close()
    assert machine.grabbed == set(), "other programs hear it again"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({}, "there is no input device with digit keys"),
        ({"name": "Acme"}, "there is no input device whose name has 'Acme'"),
        ({"device": "/dev/input/event9"}, "No such file or directory"),
    ],
)
def test_a_keypad_that_is_not_there_yet(changes, problem, machine, clock) -> None:
    keypad = UsbBackend(settings(**changes), devices=machine, monotonic=clock.monotonic, wait=clock.sleep)
    assert problem in keypad.state
    with pytest.raises(KeypadFault, match="cannot be opened"):
        keypad.read(0)
    keypad.close()


def test_a_keypad_that_another_program_holds(machine, clock) -> None:
    machine.plug(BOARD, "Acme Keyboard", FULL)
    machine.grabbed.add(BOARD)
    keypad = UsbBackend(settings(), devices=machine, monotonic=clock.monotonic, wait=clock.sleep)
    assert "another program holds it" in keypad.state
    assert all(device.is_closed for device in machine.opened)
    machine.grabbed.clear()
    clock.sleep(LAST_S)
    assert keypad.read(0) is None
    assert (keypad.state, machine.grabbed) == ("", {BOARD})
    keypad.close()


# --- losing it


def test_a_keypad_that_is_unplugged_and_plugged_in_again(plugged, machine, clock) -> None:
    keypad = plugged()
    machine.opened[-1].send(*key("LEFTSHIFT", DOWN), *key("A"))
    assert drain(keypad) == text("A")
    machine.unplug(BOARD)
    with pytest.raises(KeypadFault, match="it was unplugged"):
        keypad.read(0)
    assert "unplugged" in keypad.state
    for _ in range(600):
        with pytest.raises(KeypadFault):
            keypad.read(0.2)
    assert machine.tries < 40, "it looks for it less and less often"
    assert clock.moved_s > 100, "each try waited"
    back_s = clock.moved_s
    machine.plug(BOARD, "Acme Keyboard", FULL)
    while keypad.state:
        try:
            keypad.read(0.2)
        except KeypadFault:
            assert clock.moved_s - back_s < 10
    machine.opened[-1].send(*key("A"))
    assert drain(keypad) == text("a"), "Shift is not down any more"
    assert len([device for device in machine.opened if not device.is_closed]) == 1


def test_what_was_typed_before_it_was_lost_is_gone(plugged, machine) -> None:
    keypad = plugged()
    machine.opened[-1].send(*key("A"), *key("B"))
    assert keypad.read(0) == Typed("a")
    machine.unplug(BOARD)
    assert keypad.read(0) == Typed("b"), "it came in time"
    with pytest.raises(KeypadFault):
        keypad.read(0)


def test_the_waits_grow_to_their_longest() -> None:
    backoff, now_s, waits = Backoff(), 0.0, []
    for _ in range(6):
        backoff.failed(now_s)
        waits.append(backoff.left_s(now_s))
        now_s += waits[-1]
        assert backoff.left_s(now_s) == 0
    assert waits == [0.5, 1, 2, 4, 4, 4]
    backoff.worked()
    backoff.failed(now_s)
    assert backoff.left_s(now_s) == 0.5


@pytest.mark.hardware
def test_a_real_input_device() -> None:
    """Through the kernel: uinput makes a keyboard, evdev reads it, and nobody else does."""
    if not os.access("/dev/uinput", os.W_OK):
        pytest.skip("/dev/uinput is missing or not ours to write: needs root on a kernel with uinput")
    from evdev import InputDevice, UInput

    codes = {ecodes.EV_KEY: [ecodes.KEY_LEFTSHIFT, *range(1, 60)]}
    board = UInput(codes, name="4auth test keyboard")
    keypad = UsbBackend(settings(name="^4auth test keyboard$"))
    assert keypad.state == ""
    other = InputDevice(board.device.path)
    with pytest.raises(OSError, match="busy"):
        other.grab()
    for event in [*shifted("A"), *key("1"), *key("ENTER")]:
        board.write(event.type, event.code, event.value)
        board.syn()
    assert [keypad.read(1) for _ in range(3)] == [Typed("A"), Typed("1"), Entered()]
    assert select.select([other.fd], [], [], 0)[0] == [], "a grabbed keyboard is silent for others"
    other.close()
    board.close()
    with pytest.raises(KeypadFault, match="unplugged"):
        keypad.read(1)
    again = UInput(codes, name="4auth test keyboard")
    for _ in range(50):
        try:
            keypad.read(0.2)
            break
        except KeypadFault:
            continue
    again.write(ecodes.EV_KEY, ecodes.KEY_B, 1)
    again.syn()
    assert keypad.read(1) == Typed("b")
    keypad.close()
    again.close()
