"""Lights and sounds: what belongs to which step, and mock pins that do it, and are off in the end."""

from queue import SimpleQueue

import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory, MockPWMPin
from pydantic import TypeAdapter, ValidationError

from kiosk_agent.errors import BackendRefused
from kiosk_agent.events import Step
from kiosk_agent.indicators import open_indicators
from kiosk_agent.indicators.gpio import GpioIndicatorsBackend
from kiosk_agent.indicators.signals import CLICK, DENIED, GRANTED, light_of, sound_of
from kiosk_agent.settings.indicators import AnyIndicators


def settings(**members):
    return TypeAdapter(AnyIndicators).validate_python({"kind": "gpio"} | members)


@pytest.fixture
def factory(monkeypatch):
    made = MockFactory(pin_class=MockPWMPin)
    monkeypatch.setattr(Device, "pin_factory", made)
    yield made
    made.reset()


class Time:
    """Time that passes when the test takes what was waited for; `pins` are read at that moment."""

    def __init__(self, *pins) -> None:
        self._pins = pins
        self.waits: SimpleQueue = SimpleQueue()

    def wait(self, seconds: float) -> None:
        self.waits.put((seconds, *(bool(pin.state) for pin in self._pins)))

    def next(self):
        return self.waits.get(timeout=10)


@pytest.fixture
def opened(factory):
    made = []

    def make(time=None, **members):
        made.append(GpioIndicatorsBackend(settings(**members), wait=time and time.wait))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.mark.parametrize(
    ("step", "sound"),
    [(Step.GRANTED, GRANTED), (Step.DENIED, DENIED), (Step.LOCKED, DENIED), (Step.NAME, ()), (Step.ATTRACT, ())],
)
def test_the_sound_of_a_step(step, sound) -> None:
    assert sound_of(step) == sound


def test_a_grant_is_two_short_a_denial_one_long_and_a_key_shorter_than_either() -> None:
    assert len(GRANTED[::2]) == 2 and len(DENIED[::2]) == 1
    assert max(CLICK) < min(GRANTED) < min(DENIED)


@pytest.mark.parametrize("step", list(Step))
def test_green_is_for_what_was_granted_alone_and_bad_news_blinks(step) -> None:
    light = light_of(step)
    assert (light.colour == (0, 1, 0)) == (step in {Step.GRANTED, Step.DONE})
    if light.colour == (1, 0, 0):
        assert light.is_blinking, "whoever cannot tell red from green sees that"


def test_a_grant_sounds_twice(factory, opened) -> None:
    time = Time(factory.pin(25))
    opened(time, buzzer=25).show(Step.GRANTED)
    assert [time.next() for _ in GRANTED] == [(0.12, True), (0.1, False), (0.12, True)]


def test_a_buzzer_that_needs_a_tone(factory, opened) -> None:
    pin = factory.pin(25)
    time = Time()
    indicators = opened(time, buzzer=25, tone_hz=440)
    indicators.show(Step.DENIED)
    assert time.next() == (0.8,)
    indicators.close()
    assert pin.function == "input" and not pin.state


def test_each_key_is_heard_once_or_not_at_all(factory, opened) -> None:
    time = Time(factory.pin(25), factory.pin(24))
    indicators = opened(time, buzzer=25)
    indicators.click()
    assert time.next()[:2] == (CLICK[0], True)
    silent = opened(time, buzzer=24, clicks=False)
    silent.click()
    silent.show(Step.DENIED)
    assert time.next() == (0.8, False, True), "nothing before it"


def test_an_led_of_one_colour(factory, opened) -> None:
    time = Time(factory.pin(22))
    indicators = opened(time, led=22, buzzer=25)
    indicators.show(Step.GRANTED)
    assert time.next() == (0.12, True)
    indicators.show(Step.ATTRACT)
    indicators.show(Step.DENIED)
    assert [time.next()[0] for _ in range(3)] == [0.1, 0.12, 0.8]


def test_an_led_of_three_colours(factory, opened) -> None:
    time = Time(factory.pin(22), factory.pin(23), factory.pin(24))
    indicators = opened(time, rgb=(22, 23, 24), buzzer=25)
    indicators.show(Step.GRANTED)
    assert time.next() == (0.12, False, True, False)
    indicators.show(Step.DENIED)
    time.next(), time.next()
    seconds, _, green, blue = time.next()
    assert (seconds, green, blue) == (0.8, False, False)


def test_pins_that_are_on_while_low(factory, opened) -> None:
    pin = factory.pin(25)
    time = Time(pin)
    opened(time, buzzer=25, active_high=False).show(Step.DENIED)
    assert time.next() == (0.8, False)


def test_all_is_off_in_the_end_even_in_the_middle_of_a_sound(factory, opened) -> None:
    pins = [factory.pin(number) for number in (22, 25)]
    indicators = opened(led=22, buzzer=25)
    indicators.show(Step.DENIED)
    indicators.close()
    indicators.close()
    assert [(pin.function, bool(pin.state)) for pin in pins] == [("input", False)] * 2


def test_a_fault_is_logged_once_and_stops_nothing(factory, opened, monkeypatch) -> None:
    import structlog

    time = Time()
    indicators = opened(time, led=22, buzzer=25)

    def fails():
        raise OSError("the chip is gone")

    monkeypatch.setattr(indicators._led, "on", fails)
    with structlog.testing.capture_logs() as logs:
        indicators.show(Step.GRANTED)
        indicators.show(Step.GRANTED)
        indicators.show(Step.DENIED)
        assert time.next() == (0.8,)
    assert [entry["event"] for entry in logs] == ["indicators_fault"]


def test_a_pin_in_use_is_refused_and_the_others_given_back(factory) -> None:
    from gpiozero import LED

    taken = LED(25)
    with pytest.raises(BackendRefused, match="GPIOPinInUse"):
        open_indicators(settings(led=22, buzzer=25))
    LED(22).close()
    taken.close()


def test_none_at_all() -> None:
    indicators = open_indicators(settings(kind="none"))
    indicators.show(Step.GRANTED)
    indicators.click()
    indicators.close()


@pytest.mark.parametrize(
    ("members", "rule"),
    [
        ({}, "left out"),
        ({"led": 22, "rgb": (1, 2, 3)}, "only one of them"),
        ({"led": 22, "buzzer": 22}, "a pin is named twice"),
        ({"led": 22, "tone_hz": 440}, "there is none"),
        ({"buzzer": 22, "tone_hz": 1000}, "less than or equal to 880"),
    ],
)
def test_settings_that_are_refused(members, rule) -> None:
    with pytest.raises(ValidationError, match=rule):
        settings(**members)
