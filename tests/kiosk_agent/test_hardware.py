"""`4auth-kiosk hardware`: what it shows of each part, and that a part which does not work is told of."""

import cv2
import pytest

from kiosk_agent.hardware import PARTS, Options, check, report, settings_of
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
def test_one_fault_makes_the_whole_not_good(sources, is_good, kiosk, members, capsys) -> None:
    settings = kiosk(camera=members["camera"] | ({"sources": sources} if sources else {}))
    assert report(settings, Options(), is_checked=True) is is_good
    assert ("fault: " in capsys.readouterr().out) is not is_good
