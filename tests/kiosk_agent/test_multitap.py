"""Text on ten keys: letters by repeated taps, modes, and digits where digits are asked for."""

import string

import pytest

from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, Key, ModeShown, MoreTime, Step, Typed
from kiosk_agent.keypad.multitap import CHARACTERS, MODES, Multitap

TEXT_STEPS = [Step.NAME, Step.PERSON, Step.PERMISSION, Step.PASSWORD, Step.NEW_PASSWORD, Step.REPEAT]


class Typist:
    """Taps keys, 0.3 s apart unless told otherwise."""

    def __init__(self, step: Step = Step.NAME) -> None:
        self.text = Multitap(letter_s=1.0)
        self.now_s = 0.0
        self.events: list = []
        self.go(step)

    def go(self, step: Step) -> None:
        self.text.follow(step)

    def tap(self, *keys: str, pause_s: float = 0.3) -> "Typist":
        for key in keys:
            self.now_s += pause_s
            self.events += self.text.press(key, self.now_s)
        return self

    @property
    def written(self) -> str:
        """What stands in the entry."""
        entry = ""
        for event in self.events:
            entry = entry + event.character if isinstance(event, Typed) else entry
            entry = entry[:-1] if isinstance(event, Erased) else entry
        return entry

    @property
    def modes(self) -> list[str]:
        return [event.mode for event in self.events if isinstance(event, ModeShown)]


def test_a_press_on_the_same_key_turns_the_letter_into_the_next() -> None:
    assert Typist().tap("2", "2").events == [ModeShown("abc"), Typed("a"), Erased(), Typed("b")]


@pytest.mark.parametrize(
    ("keys", "written"),
    [
        ("2", "a"),
        ("222", "c"),
        ("2222", "2"),
        ("22222", "a"),
        ("7777", "s"),
        ("23", "ad"),
        ("2 2", "aa"),
        ("25553 3", "aldd"),
        ("0", " "),
        ("00", "0"),
        ("1", "."),
        ("1111", "@"),
    ],
)
def test_letters(keys, written) -> None:
    typist = Typist()
    for key in keys:
        if key == " ":
            typist.now_s += 1.1
        else:
            typist.tap(key)
    assert typist.written == written


@pytest.mark.parametrize(("pause_s", "written"), [(1.0, "b"), (1.001, "aa")])
def test_the_time_for_the_next_letter(pause_s, written) -> None:
    assert Typist().tap("2").tap("2", pause_s=pause_s).written == written


@pytest.mark.parametrize(("key", "event"), [("enter", Entered()), ("clear", Cleared()), ("backspace", Erased())])
def test_another_key_ends_the_letter(key, event) -> None:
    typist = Typist().tap("2", key, "2")
    assert typist.events == [ModeShown("abc"), Typed("a"), event, Typed("a")]


def test_the_mode_key_goes_through_all_modes_and_round() -> None:
    typist = Typist().tap(*["mode"] * 5)
    assert typist.modes == ["abc", "ABC", "123", "#+=", "abc", "ABC"]
    assert typist.tap("2").written == "A"


def test_each_action_in_any_mode() -> None:
    actions = {
        Key.ENTER: Entered(),
        Key.BACKSPACE: Erased(),
        Key.CLEAR: Cleared(),
        Key.CANCEL: Cancelled(),
        Key.MORE: MoreTime(),
    }
    typist = Typist()
    typist.tap("mode")
    for _ in MODES:
        del typist.events[:]
        assert typist.tap(*actions).events == list(actions.values())
        typist.tap("mode")


def reachable(mode: str) -> set[str]:
    return set("".join(CHARACTERS[mode].values()))


def test_every_printable_character_can_be_typed() -> None:
    every = set().union(*map(reachable, MODES))
    assert set(string.ascii_letters + string.digits + string.punctuation + " ") <= every


@pytest.mark.parametrize("mode", MODES)
def test_every_key_types_in_every_mode_and_no_character_twice(mode) -> None:
    keys = CHARACTERS[mode]
    assert set(keys) == set(string.digits) and all(keys.values())
    assert len("".join(keys.values())) == len(reachable(mode)) or mode == "ABC"


def test_every_character_through_its_taps() -> None:
    for number, mode in enumerate(MODES):
        for key, characters in CHARACTERS[mode].items():
            for taps, character in enumerate(characters, 1):
                typist = Typist().tap(*["mode"] * number)
                assert typist.tap(*[key] * taps).written == character or mode == "123"


@pytest.mark.parametrize("step", [Step.CODE, Step.QR, Step.MENU, Step.RECOVERY, Step.LANGUAGE])
def test_a_digit_is_a_digit_at_its_first_press(step) -> None:
    typist = Typist(step).tap("2", "2", "mode", "2")
    assert typist.events == [ModeShown("123"), Typed("2"), Typed("2"), Typed("2")]


@pytest.mark.parametrize("step", TEXT_STEPS)
def test_each_entry_of_text_begins_with_small_letters(step) -> None:
    typist = Typist(Step.CODE).tap("2")
    typist.go(step)
    typist.tap("mode", "mode", "2")
    typist.go(Step.CODE)
    typist.go(step)
    typist.tap("2")
    assert typist.modes == ["123", "abc", "ABC", "123", "abc"]
    assert typist.written == "22a"


def test_the_mode_of_a_new_step_is_told_before_a_key() -> None:
    text = Multitap()
    text.follow(Step.ATTRACT)
    assert text.due() == [ModeShown("abc")]
    assert text.due() == []


def test_the_first_letter_of_a_name_at_rest_turns_into_the_next() -> None:
    typist = Typist(Step.ATTRACT).tap("2")
    typist.go(Step.NAME)
    assert typist.tap("2").written == "b"


def test_a_letter_ends_with_its_step() -> None:
    typist = Typist(Step.NAME).tap("2")
    typist.go(Step.PASSWORD)
    assert typist.tap("2").events == [ModeShown("abc"), Typed("a"), Typed("a")]


def test_a_key_of_no_meaning_gives_nothing() -> None:
    assert Typist().tap("x", "", "A").events == [ModeShown("abc")]


def test_digits_before_any_step_is_known() -> None:
    assert Multitap().press("2", 0.0) == [Typed("2")]
