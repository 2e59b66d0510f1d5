"""Cameras: what they give, how they fail, and that a wedged driver stops nothing."""

import threading
from pathlib import Path

import cv2
import numpy as np
import pytest

from auth_contract.actions import Movement
from auth_contract.limits import FRAME_MAX_BYTES
from kiosk_agent.camera import BACKENDS, CameraNeeds, open_camera
from kiosk_agent.camera.jpeg import Form, encode_jpeg
from kiosk_agent.camera.worker import DriverThread
from kiosk_agent.errors import BackendRefused, CameraFault
from kiosk_agent.registry import load_backend
from kiosk_agent.settings import OpencvCamera, ReplayCamera


@pytest.fixture
def needs(clock) -> CameraNeeds:
    return CameraNeeds(clock.monotonic, clock.sleep)


def grey(folder: Path, name: str, level: int) -> str:
    path = folder / name
    cv2.imwrite(str(path), np.full((48, 64, 3), level, np.uint8))
    return str(path)


def level_of(image: np.ndarray) -> int:
    return round(float(image.mean()) / 10) * 10


def replay(needs: CameraNeeds, *sources: str, **settings):
    return open_camera(ReplayCamera(kind="replay", sources=sources, **settings), needs)


@pytest.fixture
def video(tmp_path) -> str:
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in (50, 100, 150):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def test_a_replay_shows_its_pictures_in_turn_and_again(needs, tmp_path) -> None:
    camera = replay(needs, grey(tmp_path, "a.jpg", 50), grey(tmp_path, "b.png", 100))
    camera.prepare()
    assert [level_of(camera.grab()) for _ in range(4)] == [50, 100, 50, 100]


def test_a_replay_plays_videos(needs, video) -> None:
    camera = replay(needs, video)
    assert [level_of(camera.grab()) for _ in range(4)] == [50, 100, 150, 50]
    camera.close()


def test_a_folder_may_change_while_it_is_shown(needs, tmp_path) -> None:
    grey(tmp_path, "1.jpg", 50)
    camera = replay(needs, str(tmp_path))
    assert level_of(camera.grab()) == 50
    grey(tmp_path, "2.jpg", 100)
    assert level_of(camera.grab()) == 100
    grey(tmp_path, "1.jpg", 150)
    assert level_of(camera.grab()) == 150


def test_other_pictures_can_be_put_before_it(needs, tmp_path) -> None:
    camera = replay(needs, grey(tmp_path, "a.jpg", 50))
    camera.grab()
    camera.show((grey(tmp_path, "b.jpg", 200),))
    assert level_of(camera.grab()) == 200


def test_an_act_is_shown_once_and_to_its_end(needs, tmp_path) -> None:
    """A person who is asked for the next thing does not stop half-way in the one before."""
    rest, left, right, up = (grey(tmp_path, f"{level}.png", level) for level in (50, 100, 150, 200))
    acts = {"turn_left": [left, left], "blink": [right], "look_up": [up]}
    camera = replay(needs, rest, acts=acts)
    camera.follow(Movement.TURN_LEFT)
    assert level_of(camera.grab()) == 100
    camera.follow(Movement.BLINK)
    camera.follow(Movement.COME_CLOSER)  # nothing is there for it
    camera.follow(None)
    assert [level_of(camera.grab()) for _ in range(4)] == [100, 150, 50, 50]
    camera.follow(Movement.LOOK_UP)
    camera.prepare()
    assert level_of(camera.grab()) == 50, "the next person is not in the midst of what the last one was asked for"


def test_a_fault_in_the_list_fails_once_and_the_list_goes_on(needs, tmp_path) -> None:
    camera = replay(needs, grey(tmp_path, "a.jpg", 50), "fault: Device or resource busy", grey(tmp_path, "b.jpg", 100))
    assert level_of(camera.grab()) == 50
    with pytest.raises(CameraFault, match="Device or resource busy"):
        camera.grab()
    assert [level_of(camera.grab()) for _ in range(2)] == [100, 50]


def test_without_loop_it_runs_out(needs, tmp_path) -> None:
    camera = replay(needs, grey(tmp_path, "a.jpg", 50), loop=False)
    camera.grab()
    for _ in range(2):
        with pytest.raises(CameraFault, match="no picture is left"):
            camera.grab()


def test_it_is_paced_by_the_clock_it_is_given(needs, clock, tmp_path) -> None:
    camera = replay(needs, grey(tmp_path, "a.jpg", 50), fps=4)
    for _ in range(3):
        camera.grab()
    assert clock.slept == [0.25, 0.25]


@pytest.mark.parametrize("name", ["missing.jpg", "missing.avi", "broken.jpg", "broken.avi", "empty.jpg", "folder"])
def test_sources_that_show_nothing_are_faults_with_advice(name, needs, tmp_path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    (tmp_path / "broken.avi").write_bytes(b"nonsense")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CameraFault) as caught:
        replay(needs, str(tmp_path / name)).grab()
    assert name in caught.value.device
    assert caught.value.advice


@pytest.mark.parametrize(
    ("height", "width", "fits"),
    [
        (48, 64, (48, 64)),
        (960, 1280, (960, 1280)),
        (1080, 1920, (720, 1280)),
        (4000, 3000, (960, 720)),
        (1, 5000, (1, 1280)),
    ],
)
def test_pictures_are_scaled_down_and_never_up(height, width, fits) -> None:
    jpeg = encode_jpeg(np.zeros((height, width, 3), np.uint8), Form(90))
    assert cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR).shape[:2] == fits


@pytest.mark.parametrize("bytes_max", [FRAME_MAX_BYTES, 400_000])
def test_a_picture_stays_below_its_bytes(bytes_max) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (960, 1280, 3), np.uint8)
    at_best = cv2.imencode(".jpg", noise, [cv2.IMWRITE_JPEG_QUALITY, 100])[1]
    assert len(at_best) > bytes_max >= len(encode_jpeg(noise, Form(100, bytes_max=bytes_max))) > 0


def test_a_picture_that_no_quality_makes_small_enough_is_refused() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (480, 640, 3), np.uint8)
    with pytest.raises(ValueError, match="cannot be encoded"):
        encode_jpeg(noise, Form(90, bytes_max=1000))


def test_a_picture_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="no pixels"):
        encode_jpeg(np.zeros((0, 5, 3), np.uint8), Form(90))


def opencv(needs: CameraNeeds, device: int | str, **settings):
    return open_camera(OpencvCamera(kind="opencv", device=device, **settings), needs)


def test_opencv_reads_a_file_to_its_end_and_can_begin_again(needs, video) -> None:
    camera = opencv(needs, video)
    camera.prepare()
    assert [level_of(camera.grab()) for _ in range(3)] == [50, 100, 150]
    with pytest.raises(CameraFault, match="gave no picture"):
        camera.grab()
    camera.prepare()
    assert level_of(camera.grab()) == 50
    camera.close()


@pytest.mark.parametrize("device", [63, "/dev/video63", "/nowhere/clip.avi"])
def test_a_missing_camera_is_a_fault_that_says_which_and_what_to_do(device, needs) -> None:
    camera = opencv(needs, device)
    for _ in range(2):
        with pytest.raises(CameraFault, match="cannot be opened") as caught:
            camera.prepare()
        assert (caught.value.device, "plugged in" in caught.value.advice) == (str(device), True)
    camera.close()


@pytest.mark.hardware
def test_a_real_webcam_gives_pictures(needs) -> None:
    if not Path("/dev/video0").exists():
        pytest.skip("this machine has no /dev/video0")
    camera = opencv(needs, 0)
    camera.prepare()
    assert camera.grab().ndim == 3
    camera.close()


def test_a_stuck_call_is_given_up_and_nothing_piles_up_behind_it() -> None:
    thread, release, entered = DriverThread("driver"), threading.Event(), []

    def hang() -> None:
        entered.append(1)
        release.wait()

    threads = threading.active_count()
    for _ in range(5):
        with pytest.raises(TimeoutError):
            thread.call(hang, 0.01)
    assert thread.is_stuck
    assert threading.active_count() == threads
    stuck = thread._running
    release.set()
    stuck.wait(10)
    assert thread.call(lambda: 42, 10) == 42, "it serves again, and the late result went to nobody"
    assert len(entered) == 1, "the calls refused meanwhile were not kept for later"
    thread.close()


def test_what_a_driver_raises_reaches_the_caller() -> None:
    thread = DriverThread("driver")
    with pytest.raises(ZeroDivisionError):
        thread.call(lambda: 1 / 0, 10)
    thread.close()


@pytest.mark.parametrize(
    ("kind", "backends", "rule"),
    [("webcam", BACKENDS, "there is opencv, replay"), ("x", {"x": "no_such_module:X"}, "not installed")],
)
def test_a_backend_that_cannot_be_loaded_stops_the_start(kind, backends, rule) -> None:
    with pytest.raises(BackendRefused, match=rule):
        load_backend("camera", kind, backends)
