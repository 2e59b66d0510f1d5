"""The matrix pad: readings in, keys out, by itself and through gpiozero's mock pins with a pad that conducts."""

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from kiosk_agent.errors import BackendRefused, KeypadFault
from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, Key, ModeShown, MoreTime, Step, Typed
from kiosk_agent.keypad import open_keypad
from kiosk_agent.keypad.matrix import Matrix, Stroke
from kiosk_agent.keypad.roles import Roles, labels
from kiosk_agent.settings.keypads import THREE_HOLDS, THREE_PRESSES, GpioMatrixKeypad
from tests.kiosk_agent.pads import Pad, WiredPin, conducted

KEYS = ("123A", "456B", "789C", "*0#D")
THREE = ("123", "456", "789", "*0#")
PLACES = {key: (row, column) for row, line in enumerate(KEYS) for column, key in enumerate(line)}


class Fingers:
    """Fingers on a matrix of which somebody takes a reading every 5 ms."""

    def __init__(self) -> None:
        self.matrix = Matrix(KEYS, debounce_s=0.02, stuck_s=20)
        self.now_s = 0.0
        self.strokes: list[Stroke] = []

    def hold(self, keys: str, for_s: float = 0.05) -> "Fingers":
        for _ in range(round(for_s / 0.005)):
            self.look(keys)
        return self

    def look(self, keys: str) -> None:
        self.now_s += 0.005
        self.strokes += self.matrix.feed(conducted({PLACES[key] for key in keys}), self.now_s)

    @property
    def given(self) -> str:
        return "".join(stroke.key for stroke in self.strokes if stroke.is_down)


@pytest.mark.parametrize("key", PLACES)
def test_each_key_is_one_press_and_one_release(key) -> None:
    fingers = Fingers().hold(key).hold("")
    assert [(stroke.key, stroke.is_down) for stroke in fingers.strokes] == [(key, True), (key, False)]


def test_a_contact_that_bounces_is_one_press() -> None:
    fingers = Fingers()
    for keys in ("5", "", "5", "5", "", "5"):
        fingers.look(keys)
    fingers.hold("5")
    for keys in ("", "5", "", "", "5"):
        fingers.look(keys)
    assert fingers.hold("").given == "5"


def test_a_touch_shorter_than_the_bounce_is_none() -> None:
    assert Fingers().hold("5", 0.015).hold("").given == ""


@pytest.mark.parametrize(
    ("held", "given_then"),
    [
        (["1", "12", "2", "", "2"], "12"),  # the first that went down counts, the second when pressed again
        (["12", "1", "", "1"], "1"),  # of two at once neither does
        (["1", "15", "1", "", "5"], "15"),
        (["1", "", "1", ""], "11"),
        (["1", "12", "124", "12", "1", "", "4"], "14"),  # three corners: nothing, and a new beginning
        (["124", "12", "1", "", "3"], "3"),
        (["1245", "", "5"], "5"),
        (["15", "1", "", "1"], "1"),
        (["123", "", "2"], "2"),  # a row has no corners, but nobody presses three keys
    ],
)
def test_several_keys_at_once(held, given_then) -> None:
    fingers = Fingers()
    for keys in held:
        fingers.hold(keys)
    assert fingers.given == given_then


def test_a_stuck_key_is_told_and_the_others_work() -> None:
    fingers = Fingers().hold("5", 20.1)
    assert fingers.matrix.fault == "key 5 of the keypad is stuck: it is down for more than 20 s"
    assert fingers.hold("51").hold("5").hold("52").hold("5").hold("5#").hold("5").given == "512#"
    assert fingers.hold("521").hold("5").given == "512#", "with two more it has corners"
    assert fingers.hold("").matrix.fault == ""
    assert fingers.hold("5").given == "512#5", "once it was let go, it is a key again"


def test_a_stuck_key_repeats_nothing() -> None:
    assert Fingers().hold("5", 60).given == "5"


def test_what_a_lost_key_began_means_nothing() -> None:
    fingers = Fingers().hold("0").hold("0#9")
    assert [(stroke.key, stroke.is_down, stroke.is_void) for stroke in fingers.strokes] == [
        ("0", True, False),
        ("0", False, True),
    ]


@given(st.lists(st.sets(st.sampled_from(sorted(PLACES)), max_size=5), max_size=30), st.integers(1, 8))
def test_no_key_is_given_that_nobody_presses(steps, looks) -> None:
    """Whatever is pressed, and however short: each press given is of a key that is down by itself or came first."""
    fingers = Fingers()
    for keys in steps:
        before = len(fingers.strokes)
        fingers.hold("".join(keys), looks * 0.005)
        for stroke in fingers.strokes[before:]:
            assert not stroke.is_down or stroke.key in keys, f"{stroke.key} is a ghost of {keys}"


@given(st.sets(st.sampled_from(sorted(PLACES)), min_size=3, max_size=6))
def test_corners_give_nothing_however_long_they_are_held(keys) -> None:
    fingers = Fingers().hold("".join(keys), 0.2)
    assert fingers.given == ""


@given(st.lists(st.sampled_from(sorted(PLACES)), max_size=20))
def test_what_is_pressed_one_after_another_is_given_in_order(keys) -> None:
    fingers = Fingers()
    for key in keys:
        fingers.hold(key).hold("")
    assert fingers.given == "".join(keys)


# --- what keys do


ROLES_OF_THREE = [
    ("*", 0.1, Key.BACKSPACE),
    ("*", 0.9, Key.CLEAR),
    ("#", 0.1, Key.ENTER),
    ("#", 0.9, Key.CANCEL),
    ("0", 0.1, "0"),
    ("0", 0.9, Key.MORE),
    ("1", 0.1, "1"),
    ("1", 0.9, Key.MODE),
    ("5", 0.1, "5"),
    ("5", 0.9, "5"),
]


@pytest.mark.parametrize(("key", "for_s", "expected"), ROLES_OF_THREE)
def test_a_key_of_twelve_pressed_and_held(key, for_s, expected) -> None:
    roles = Roles(THREE_PRESSES, THREE_HOLDS, 0.8)
    given_keys = roles.feed(Stroke(key, True, 0.0))
    given_keys += [name for tick in range(int(for_s / 0.1)) for name in roles.tick((tick + 1) * 0.1)]
    given_keys += roles.feed(Stroke(key, False, for_s))
    assert given_keys == [expected]


def test_a_late_look_still_sees_that_a_key_was_held() -> None:
    roles = Roles(THREE_PRESSES, THREE_HOLDS, 0.8)
    assert roles.feed(Stroke("*", True, 0.0)) == []
    assert roles.feed(Stroke("*", False, 1.0)) == [Key.CLEAR]


def test_a_key_that_was_lost_gives_nothing() -> None:
    roles = Roles(THREE_PRESSES, THREE_HOLDS, 0.8)
    assert roles.feed(Stroke("#", True, 0.0)) + roles.feed(Stroke("#", False, 0.1, is_void=True)) == []


def test_what_the_keys_are_called() -> None:
    assert labels(THREE_PRESSES, THREE_HOLDS, 0.8) == {
        Key.ENTER: "#",
        Key.BACKSPACE: "*",
        Key.CLEAR: "* (1 s)",
        Key.CANCEL: "# (1 s)",
        Key.MORE: "0 (1 s)",
        Key.MODE: "1 (1 s)",
    }


# --- settings


def settings(**changes) -> GpioMatrixKeypad:
    return GpioMatrixKeypad.model_validate({"kind": "gpio_matrix"} | changes)


THREE_BY_FOUR = {"keys": THREE, "columns": (12, 16, 20)}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        THREE_BY_FOUR,
        {"presses": {"A": "enter", "B": "backspace", "C": "clear", "D": "cancel", "*": "more", "#": "mode"}},
        {
            "presses": {"A": "enter", "*": "backspace", "#": "clear"},
            "holds": {"B": "cancel", "C": "more", "D": "mode"},
        },
    ],
)
def test_pads_with_every_action(changes) -> None:
    made = settings(**changes)
    assert set(labels(made.pressed, made.held, 1)) == set(Key)


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"rows": (5, 6, 13)}, "for each of the 3 rows"),
        ({"columns": (12, 16, 20)}, "a row of 3 keys"),
        ({"rows": (5, 6, 13, 12)}, "a pin is named twice"),
        ({"rows": (5, 6, 13, 28)}, "less than or equal to 27"),
        ({"keys": ("123A", "456B", "789C", "*1#D")}, "a key is named twice"),
        ({"keys": ("123A", "456B", "78XC", "*0#D")}, "there is no key 9"),
        ({"presses": {"5": "enter"}}, "5 types a digit"),
        ({"presses": {"A": "enter"}}, "no key is left for backspace, clear, cancel, more, mode"),
        ({"presses": {"E": "enter"}}, "there is no key E"),
        ({"keys": ("123A",), "rows": (5,)}, "there is no key"),
    ],
)
def test_pads_that_are_refused(changes, rule) -> None:
    with pytest.raises(ValidationError, match=rule):
        settings(**changes)


# --- the pins


@pytest.fixture
def factory():
    Device.pin_factory = MockFactory(pin_class=WiredPin)
    yield Device.pin_factory
    Device.pin_factory.reset()
    Device.pin_factory = None


class Hand:
    """Presses keys of a pad that is wired to mock pins; time passes while the keypad is read."""

    def __init__(self, factory, clock, **changes) -> None:
        made = settings(**changes)
        self.pad = Pad(factory, made.rows, made.columns, made.keys)
        self.clock = clock
        from kiosk_agent.keypad.gpio_matrix import GpioMatrixBackend

        self.keypad = GpioMatrixBackend(made, monotonic=clock.monotonic, wait=clock.sleep)
        self.seen: list = []

    def wait(self, for_s: float = 0.1) -> None:
        ends_s = self.clock.moved_s + for_s
        while (left_s := ends_s - self.clock.moved_s) > 1e-9:
            event = self.keypad.read(left_s)
            if event is not None:
                self.seen.append(event)

    def push(self, *keys: str, for_s: float = 0.1) -> None:
        for key in keys:
            self.pad.press(key)
            self.wait(for_s)
            self.pad.release(key)
            self.wait(0.1)


@pytest.fixture
def hand(factory, clock):
    made = []

    def make(**changes) -> Hand:
        made.append(Hand(factory, clock, **changes))
        return made[-1]

    yield make
    for one in made:
        one.keypad.close()


def test_all_sixteen_keys_at_a_code(hand) -> None:
    person = hand()
    person.keypad.follow(Step.CODE)
    person.push(*"1234567890")
    digits = [Typed(digit) for digit in "1234567890"]
    assert person.seen == [ModeShown("123"), *digits]
    person.push(*"ABCD*#")
    assert person.seen[11:] == [Cleared(), MoreTime(), Cancelled(), Erased(), Entered()], "a code has one mode"
    person.keypad.follow(Step.NAME)
    person.push("A")
    assert person.seen[16:] == [ModeShown("abc"), ModeShown("ABC")]


def test_all_twelve_keys_pressed_and_held(hand) -> None:
    person = hand(**THREE_BY_FOUR)
    person.keypad.follow(Step.CODE)
    person.push(*"1234567890*#")
    person.push(*"*#0", for_s=1.0)
    digits = [Typed(digit) for digit in "1234567890"]
    assert person.seen == [ModeShown("123"), *digits, Erased(), Entered(), Cleared(), Cancelled(), MoreTime()]


def test_one_row_is_driven_at_a_time_and_none_at_rest(hand) -> None:
    person = hand()
    person.push("1", "D")
    assert person.pad.outputs_max == 1
    assert {pin.function for pin in person.pad.rows} == {"input"}
    assert {pin.pull for pin in person.pad.rows} == {"floating"}


def test_three_corners_through_the_pins(hand) -> None:
    person = hand()
    person.keypad.follow(Step.CODE)
    person.pad.press("1", "2", "4")
    person.wait()
    person.pad.release("1")
    person.wait()
    person.pad.release("2", "4")
    person.wait()
    person.push("5")
    assert person.seen == [ModeShown("123"), Typed("5")]


def test_a_stuck_key_through_the_pins(hand) -> None:
    person = hand()
    person.keypad.follow(Step.CODE)
    assert person.keypad.state == ""
    person.pad.press("7")
    person.wait(21)
    assert person.keypad.state == "key 7 of the keypad is stuck: it is down for more than 20 s"
    person.push("1", "2")
    person.pad.release("7")
    person.wait()
    assert (person.seen[1:], person.keypad.state) == ([Typed("7"), Typed("1"), Typed("2")], "")


def test_a_pad_at_rest_is_looked_at_less_often(hand, clock) -> None:
    person = hand()
    person.wait(3)
    assert len(clock.slept) <= 3 / 0.03 + 2


def test_a_letter_through_the_pins(hand) -> None:
    person = hand()
    person.keypad.follow(Step.ATTRACT)
    person.push("2")
    person.keypad.follow(Step.NAME)
    person.push("2")
    person.wait(2)
    person.push("2")
    assert person.seen == [ModeShown("abc"), Typed("a"), Erased(), Typed("b"), Typed("a")]


def test_pins_that_fail_are_opened_again(hand, clock, monkeypatch) -> None:
    person = hand()
    lost = [OSError("the chip is gone")]

    def fails(_pin):
        raise lost[0]

    with monkeypatch.context() as broken:
        broken.setattr(WiredPin, "_get_state", fails)
        for _ in range(30):
            with pytest.raises(KeypadFault, match="the chip is gone"):
                person.keypad.read(0.2)
        assert "the chip is gone" in person.keypad.state
    began_s = clock.moved_s
    while person.keypad.state:
        try:
            person.keypad.read(0.2)
        except KeypadFault:
            assert clock.moved_s - began_s < 10
    person.keypad.follow(Step.CODE)
    person.push("5")
    assert person.seen == [ModeShown("123"), Typed("5")]


def test_a_pin_in_use_is_refused_and_given_back(factory, clock) -> None:
    from gpiozero import DigitalInputDevice

    taken = DigitalInputDevice(13)
    with pytest.raises(BackendRefused, match=r"GPIO13.*in use"):
        open_keypad(settings())
    taken.close()
    open_keypad(settings()).close()


def test_a_machine_without_pins_is_refused(monkeypatch) -> None:
    def none():
        raise OSError("no pins here")

    monkeypatch.setattr(Device, "pin_factory", None)
    monkeypatch.setattr(Device, "_default_pin_factory", staticmethod(none))
    with pytest.raises(BackendRefused, match=r"no pins here; see docs/hardware.md"):
        open_keypad(settings())


def test_after_closing_every_pin_is_an_input(hand) -> None:
    person = hand()
    person.push("1")
    person.keypad.close()
    person.keypad.close()
    assert {pin.function for pin in (*person.pad.rows, *person.pad.columns)} == {"input"}
    assert person.keypad.read(0.1) is None
