"""`4auth-kiosk hardware`: what it shows of each part, and that a part which does not work is told of."""

from typing import ClassVar

import cv2
import numpy as np
import pytest
from gpiozero import Device
from gpiozero.pins.mock import MockFactory

from auth_client.device_key import load_or_make_key
from kiosk_agent.errors import KeypadFault
from kiosk_agent.events import Entered, Key, ModeShown, Typed
from kiosk_agent.hardware import PARTS, Options, check, report, settings_of
from kiosk_agent.indicators.checking import check_indicators
from kiosk_agent.keypad.checking import ask_for_keys
from kiosk_agent.settings import parse_settings


@pytest.fixture
def kiosk(members):
    def make(**changes):
        return parse_settings(members | changes)

    return make


def test_each_part_shows_the_settings_in_force(kiosk, capsys) -> None:
    assert report(kiosk(), Options(), is_checked=False)
    shown = capsys.readouterr().out
    for name in PARTS:
        assert f"{name}\n" in shown
    assert settings_of(PARTS["camera"], kiosk())["kind"] == "replay"


def test_a_good_camera_is_measured_and_its_picture_saved(kiosk, tmp_path) -> None:
    found = check(PARTS["camera"], kiosk(), Options(tmp_path / "seen.jpg"))
    assert found.faults == ()
    assert found.facts["resolution"] == "64x48"
    assert {"brightness", "sharpness", "frame_rate"} <= found.facts.keys()
    assert (found.facts["state"], found.facts["gives"]) == ("ok", "64x48")
    assert cv2.imread(str(tmp_path / "seen.jpg")).shape == (48, 64, 3)


@pytest.mark.parametrize(
    ("part", "changes", "fault"),
    [
        ("camera", {"camera": {"kind": "replay", "sources": ["/nowhere.jpg"]}}, "No such file"),
        ("nic", {"interface": "none0", "mac_override": None}, "no usable MAC"),
    ],
)
def test_what_does_not_work_is_told_of(part, changes, fault, kiosk) -> None:
    found = check(PARTS[part], kiosk(**changes), Options())
    assert fault in found.faults[0]


@pytest.mark.parametrize(("sources", "is_good"), [([], True), (["/nowhere.jpg"], False)])
def test_one_fault_makes_the_whole_not_good(sources, is_good, kiosk, members, server, capsys) -> None:
    settings = kiosk(
        camera=members["camera"] | ({"sources": sources} if sources else {}),
        server={"url": server.url, "pins": [server.pin]},
    )
    assert report(settings, Options(), is_checked=True) is is_good
    assert ("fault: " in capsys.readouterr().out) is not is_good


# --- keypads


class PatientKeypad:
    """Whoever stands there presses what is asked for, but for some keys; time passes while nobody does."""

    labels: ClassVar = {Key.ENTER: "#", Key.MODE: "A"}

    def __init__(self, clock, presses) -> None:
        self._clock = clock
        self._presses = list(presses)
        self.steps = []

    def read(self, timeout_s):
        if self._presses and (event := self._presses.pop(0)) is not None:
            if isinstance(event, KeypadFault):
                raise event
            return event
        self._clock.moved_s += timeout_s
        return None

    def follow(self, step) -> None:
        self.steps.append(step)


DIGITS = [Typed(digit) for digit in "1234567890"]


@pytest.mark.parametrize(
    ("presses", "faults"),
    [
        ([*DIGITS, Entered(), ModeShown("abc"), ModeShown("ABC")], ()),
        ([None, *DIGITS[1:], Entered(), ModeShown("ABC")], ("key 1 was not seen within 10 s",)),
        ([Typed("7"), *DIGITS, Entered(), ModeShown("ABC")], ()),
        ([*DIGITS, Entered(), None], ("key A was not seen within 10 s",)),
        ([*DIGITS[:3], KeypadFault("it was unplugged")], ("it was unplugged",)),
    ],
)
def test_each_key_is_asked_for(presses, faults, clock) -> None:
    said = []
    assert ask_for_keys(PatientKeypad(clock, presses), said.append, clock.monotonic) == faults
    assert said[0] == "  press 1"


def test_a_keypad_that_is_not_there_is_told_of(kiosk) -> None:
    found = check(PARTS["keypad"], kiosk(keypad={"kind": "usb", "device": "/dev/input/nothing"}), Options())
    assert "No such file" in found.faults[0]
    assert "enter: Enter" in found.facts["keys"]


# --- doors


def test_a_door_is_left_shut_unless_somebody_asks_for_one_pulse(kiosk, monkeypatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "mock")
    settings = kiosk(door={"kind": "gpio_relay", "pulse_s": 0.5})
    assert check(PARTS["door"], settings, Options()).facts == {"relay": "held, and off"}
    assert check(PARTS["door"], settings, Options(pulses_door=True)).facts == {"relay": "was on for 0.5 s"}


def test_a_relay_that_cannot_be_held_is_told_of(kiosk, monkeypatch) -> None:
    monkeypatch.setenv("GPIOZERO_PIN_FACTORY", "native")
    found = check(PARTS["door"], kiosk(door={"kind": "gpio_relay"}), Options(pulses_door=True))
    assert "the relay cannot be held" in found.faults[0]


def test_other_doors_are_opened_by_a_login_alone(kiosk) -> None:
    assert "by a login alone" in check(PARTS["door"], kiosk(), Options()).facts["tried"]
    assert "by a login alone" in check(PARTS["door"], kiosk(), Options(pulses_door=True)).faults[0]


# --- the rest


def test_lights_and_sounds_are_shown(kiosk, monkeypatch) -> None:
    assert check(PARTS["indicators"], kiosk(), Options()).facts == {"shown": "nothing, there are none"}
    monkeypatch.setattr(Device, "pin_factory", MockFactory())
    shown = []
    check_indicators(kiosk(indicators={"kind": "gpio", "led": 22}), Options(), shown.append)
    assert shown == [1.5, 1.5]
    Device.pin_factory.reset()


def test_the_device_key_is_looked_at_and_none_is_made(kiosk, tmp_path) -> None:
    settings = kiosk()
    assert "none yet" in check(PARTS["key"], settings, Options()).facts["key"]
    assert not settings.key_file.exists()
    load_or_make_key(settings.key_file)
    assert check(PARTS["key"], settings, Options()).facts["key"] == "good"
    settings.key_file.chmod(0o644)
    assert "0644" in check(PARTS["key"], settings, Options()).faults[0]


def test_a_dark_camera_gives_pictures_and_is_not_good(kiosk, members, tmp_path) -> None:
    cv2.imwrite(str(tmp_path / "dark.png"), np.zeros((48, 64, 3), np.uint8))
    camera = {"kind": "replay", "sources": [str(tmp_path / "dark.png")], "fps": 30}
    found = check(PARTS["camera"], kiosk(camera=camera), Options())
    assert found.facts["state"] == "dark"
    assert "sees next to nothing" in found.faults[0]


def test_each_address_of_the_servers_is_tried_and_told_of(kiosk, server) -> None:
    dead, good = "https://127.0.0.1:9", server.url
    found = check(PARTS["server"], kiosk(server={"url": [dead, good], "pins": [server.pin]}), Options())
    assert list(found.facts) == [good]
    (fault,) = found.faults
    assert fault.startswith(f"{dead}: NewConnectionError")
    assert [request.path for request in server.requests] == ["/.well-known/jwks.json"]


@pytest.mark.parametrize(
    ("answer", "pin", "fault"),
    [
        ({"status": 502, "body": "Bad Gateway"}, None, "/.well-known/jwks.json: status 502"),
        ({}, "0" * 64, "the server's key has the SHA-256 "),
    ],
)
def test_a_server_that_is_not_the_right_one_or_not_well_is_told_of(answer, pin, fault, kiosk, server) -> None:
    if answer:
        server.answer("/.well-known/jwks.json", server.reply(**answer))
    settings = kiosk(server={"url": server.url, "pins": [pin or server.pin]})
    assert check(PARTS["server"], settings, Options()).faults[0].startswith(f"{server.url}: {fault}")
    assert settings_of(PARTS["server"], settings)["url"] == server.url
