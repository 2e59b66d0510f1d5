"""Keys on a touch screen."""

import pytest

from kiosk_agent.events import Cancelled, Cleared, Entered, Erased, Key, MoreTime, Step, Typed
from kiosk_agent.screen.touch import TouchPad


class Chance:
    """Turns the order by one each time."""

    def __call__(self, digits: list[str]) -> None:
        digits.append(digits.pop(0))


def pad(*, is_scrambled: bool = True) -> TouchPad:
    return TouchPad(is_scrambled=is_scrambled, shuffle=Chance(), monotonic=lambda: 0.0)


def test_each_step_has_an_order_of_its_own_and_seconds_change_nothing() -> None:
    one = pad()
    orders = []
    for step in (Step.CODE, Step.CODE, Step.QR):
        one.follow(step)
        orders.append(one.members())
    assert orders[0] == orders[1] != orders[2]
    assert orders[0]["digits"] != orders[2]["digits"]


def test_in_their_order_they_stay() -> None:
    one = pad(is_scrambled=False)
    for step in (Step.CODE, Step.QR):
        one.follow(step)
        assert one.members()["digits"] == list("1234567890")


def test_every_digit_can_be_pressed_wherever_it_lies() -> None:
    one = pad()
    one.follow(Step.CODE)
    shown = one.members()
    typed = [one.press(str(place), shown["round"])[-1] for place in range(10)]
    assert typed == [Typed(digit) for digit in shown["digits"]]


@pytest.mark.parametrize(
    ("key", "event"),
    [
        (Key.ENTER, Entered()),
        (Key.BACKSPACE, Erased()),
        (Key.CLEAR, Cleared()),
        (Key.CANCEL, Cancelled()),
        (Key.MORE, MoreTime()),
    ],
)
def test_every_action_has_a_key(key, event) -> None:
    one = pad()
    one.follow(Step.CODE)
    assert event in one.press(key.value, one.members()["round"])


def test_letters_come_by_tapping_again() -> None:
    one = pad(is_scrambled=False)
    one.follow(Step.PASSWORD)
    number = one.members()["round"]
    events = [event for _ in range(2) for event in one.press("1", number)]
    assert events[-3:] == [Typed("a"), Erased(), Typed("b")]


@pytest.mark.parametrize(("pressed", "away"), [("5", -1), ("5", 1), ("", 0), ("10", 0), ("-1", 0), ("x", 0)])
def test_what_lies_nowhere_gives_nothing(pressed, away) -> None:
    one = pad()
    one.follow(Step.CODE)
    assert [event for event in one.press(pressed, one.members()["round"] + away) if isinstance(event, Typed)] == []
