"""The driver of a Pi's camera, on the library's real class."""

import threading
from pathlib import Path

import numpy as np
import pytest

from kiosk_agent.camera.driver import CameraNeeds
from kiosk_agent.errors import CameraFault
from kiosk_agent.settings import Picamera2Camera
from kiosk_agent.vocabulary import CameraState as State
from tests.kiosk_agent.pi import BUFFERS, PiCamera, pi_library


@pytest.fixture(scope="module")
def library():
    with pi_library():
        yield


@pytest.fixture
def pi(library) -> PiCamera:
    return PiCamera()


@pytest.fixture
def driver(pi, clock):
    from kiosk_agent.camera.picamera2 import Picamera2Driver

    def make(**settings):
        needs = CameraNeeds(clock.monotonic, clock.sleep)
        return Picamera2Driver(Picamera2Camera(kind="picamera2", **settings), needs, pi.library)

    return make


def test_it_asks_for_blue_green_red_in_the_size_and_pace_of_the_settings(pi, driver) -> None:
    opened = driver(width=640, height=480, fps=10)
    opened.open()
    assert pi.config["main"] == {"size": (640, 480), "format": "RGB888"}
    assert pi.config["controls"] == {"FrameRate": 10, "AeEnable": True, "AfMode": 2}
    assert opened.form == "640x480 RGB888"
    assert opened.is_live


@pytest.mark.parametrize(
    ("has", "autofocus", "asked"),
    [
        ({"FrameDurationLimits", "AeEnable"}, True, {"FrameRate", "AeEnable"}),
        ({"FrameDurationLimits", "AeEnable", "AfMode"}, False, {"FrameRate", "AeEnable"}),
        (set(), True, set()),
    ],
)
def test_no_control_is_asked_for_that_the_camera_has_not(has, autofocus, asked, pi, driver) -> None:
    pi.opened.camera_controls = {name: pi.controls[name] for name in has}
    driver(autofocus=autofocus).open()
    assert set(pi.config["controls"]) == asked


@pytest.mark.parametrize("adjusted", [{"size": (1296, 972)}, {"format": "XBGR8888"}])
def test_a_form_that_was_changed_silently_is_refused(adjusted, pi, driver) -> None:
    pi.adjusts = adjusted
    opened = driver()
    with pytest.raises(CameraFault, match="was asked for"):
        opened.open()
    opened.close()
    pi.opened.close.assert_called_once()


def test_more_pictures_are_taken_than_there_are_buffers(pi, driver) -> None:
    opened = driver()
    opened.open()
    for _ in range(3 * BUFFERS):
        assert opened.read().shape == (960, 1280, 3)
    assert pi.lent == 0


def test_a_buffer_is_given_back_when_its_picture_cannot_be_had(pi, driver) -> None:
    opened = driver()
    opened.open()
    request = pi.opened.wait("job", timeout=1)
    request.release()
    pi.opened.wait.side_effect = lambda job, timeout: lend(pi, request)
    for _ in range(2 * BUFFERS):
        with pytest.raises(MemoryError):
            opened.read()
    assert pi.lent == 0


def lend(pi: PiCamera, request):
    """A request whose buffer cannot be read."""
    pi.lent += 1
    request.make_array.side_effect = MemoryError
    return request


@pytest.mark.parametrize(
    ("seen", "autofocus", "pictures"),
    [
        ([{"AeLocked": False}, {"AeLocked": True, "AfState": 1}, {"AeLocked": True, "AfState": 2}], True, 3),
        ([{"AeLocked": False}, {"AeLocked": True, "AfState": 1}], False, 2),
        ([{"AeState": 1}, {"AeState": 2}], True, 2),
        ([{}], True, 1),
    ],
)
def test_it_is_open_when_exposure_and_focus_stand(seen, autofocus, pictures, pi, driver) -> None:
    pi.metadata = seen
    driver(autofocus=autofocus).open()
    assert pi.opened.wait.call_count == pictures


def test_one_that_never_settles_is_used_all_the_same(pi, driver, clock) -> None:
    pi.metadata = [{"AeLocked": False}]
    complete = pi.opened.wait.side_effect

    def takes_time(job, timeout):
        clock.sleep(1 / 15)
        return complete(job, timeout)

    pi.opened.wait.side_effect = takes_time
    opened = driver(settle_s=2)
    opened.open()
    assert clock.moved_s == pytest.approx(2, abs=0.2)
    opened.read()


@pytest.mark.parametrize(("rotation", "corner"), [(0, (0, 0)), (90, (0, -1)), (180, (-1, -1)), (270, (-1, 0))])
def test_pictures_are_turned_clockwise(rotation, corner, pi, driver) -> None:
    pi.picture = np.zeros((960, 1280, 3), np.uint8)
    pi.picture[0, 0] = 255
    opened = driver(rotation=rotation)
    opened.open()
    picture = opened.read()
    assert picture[corner].tolist() == [255] * 3
    assert picture.shape[:2] == ((960, 1280) if rotation in (0, 180) else (1280, 960))


def test_a_camera_that_hangs_upside_down_is_turned_by_the_sensor(pi, driver) -> None:
    driver(hflip=True, vflip=True).open()
    assert (pi.config["transform"].hflip, pi.config["transform"].vflip) == (True, True)


BUSY = RuntimeError("Camera __init__ sequence did not complete.")
BUSY.__cause__ = RuntimeError("Failed to acquire camera: Device or resource busy")


@pytest.mark.parametrize(
    ("cameras", "error", "state", "problem"),
    [
        ([], None, State.UNPLUGGED, "is not there"),
        ([{"Num": 0}], BUSY, State.BUSY, "Device or resource busy"),
        ([{"Num": 0}], RuntimeError("Camera __init__ sequence did not complete."), State.FAILED, "cannot be opened"),
    ],
)
def test_why_it_cannot_be_opened_is_told(cameras, error, state, problem, pi, driver) -> None:
    pi.library.global_camera_info.return_value = cameras
    pi.library.side_effect = error
    with pytest.raises(CameraFault, match=problem) as caught:
        driver().open()
    assert caught.value.state is state


@pytest.mark.parametrize("call", ["configure", "start", "wait"])
def test_whatever_the_library_raises_is_a_fault_and_the_camera_is_let_go_of(call, pi, driver) -> None:
    getattr(pi.opened, call).side_effect = KeyError("x")
    opened = driver()
    with pytest.raises(CameraFault):
        opened.open()
    opened.close()
    assert not pi.is_running
    pi.opened.close.assert_called_once()


def test_one_that_gives_no_picture_is_given_up_and_its_jobs_with_it(pi, driver) -> None:
    opened = driver(read_timeout_s=3)
    opened.open()
    pi.is_silent = True
    with pytest.raises(CameraFault, match="no picture in 3 s"):
        opened.read()
    pi.opened.cancel_all_and_flush.assert_called_once()


def test_it_is_closed_even_where_it_cannot_be_stopped(pi, driver) -> None:
    opened = driver()
    opened.open()
    pi.opened.stop.side_effect = RuntimeError
    with pytest.raises(RuntimeError):
        opened.close()
    pi.opened.close.assert_called_once()
    opened.close()
    assert pi.opened.close.call_count == 1


def test_failed_openings_leave_no_file_open_and_no_thread(library) -> None:
    from kiosk_agent.camera.picamera2 import TidyPicamera2

    def left() -> tuple[int, int]:
        return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()

    before = left()
    for _ in range(20):
        with pytest.raises(RuntimeError, match="No camera number"):
            TidyPicamera2(10**6)
    assert left() == before
