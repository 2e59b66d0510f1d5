"""Cameras: what they give, how they fail, and that a wedged driver stops nothing."""

import errno
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest

from auth_contract.actions import Movement
from auth_contract.limits import FRAME_MAX_BYTES
from kiosk_agent.camera import BACKENDS, CameraNeeds, open_camera
from kiosk_agent.camera.jpeg import Form, encode_jpeg
from kiosk_agent.camera.opencv import OpencvDriver
from kiosk_agent.camera.replay import ReplayDriver
from kiosk_agent.camera.v4l2 import check_device
from kiosk_agent.errors import BackendRefused, CameraFault
from kiosk_agent.registry import load_backend
from kiosk_agent.settings import OpencvCamera, ReplayCamera
from kiosk_agent.vocabulary import CameraState


@pytest.fixture
def needs(clock) -> CameraNeeds:
    return CameraNeeds(clock.monotonic, clock.sleep)


def grey(folder: Path, name: str, level: int) -> str:
    path = folder / name
    cv2.imwrite(str(path), np.full((48, 64, 3), level, np.uint8))
    return str(path)


def level_of(image: np.ndarray) -> int:
    return round(float(image.mean()) / 10) * 10


@pytest.fixture
def opened(needs):
    """Opens cameras, each with its thread, and closes them."""
    with ExitStack() as stack:

        def open_one(settings):
            camera = open_camera(settings, needs)
            stack.callback(camera.close)
            return camera

        yield open_one


@pytest.fixture
def replay(opened):
    return lambda *sources, **settings: opened(ReplayCamera(kind="replay", sources=sources, **settings))


@pytest.fixture
def opencv(opened):
    return lambda device, **settings: opened(OpencvCamera(kind="opencv", device=device, **settings))


@pytest.fixture
def video(tmp_path) -> str:
    path = str(tmp_path / "clip.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for level in (50, 100, 150):
        writer.write(np.full((48, 64, 3), level, np.uint8))
    writer.release()
    return path


def test_a_replay_shows_its_pictures_in_turn_and_again(replay, tmp_path) -> None:
    camera = replay(grey(tmp_path, "a.jpg", 50), grey(tmp_path, "b.png", 100))
    camera.prepare()
    assert [level_of(camera.grab()) for _ in range(4)] == [50, 100, 50, 100]


def test_a_replay_plays_videos(replay, video) -> None:
    camera = replay(video)
    assert [level_of(camera.grab()) for _ in range(4)] == [50, 100, 150, 50]
    camera.close()


def test_a_folder_may_change_while_it_is_shown(replay, tmp_path) -> None:
    grey(tmp_path, "1.jpg", 50)
    camera = replay(str(tmp_path))
    assert level_of(camera.grab()) == 50
    grey(tmp_path, "2.jpg", 100)
    assert level_of(camera.grab()) == 100
    grey(tmp_path, "1.jpg", 150)
    assert level_of(camera.grab()) == 150


def test_other_pictures_can_be_put_before_it(needs, tmp_path) -> None:
    driver = ReplayDriver(ReplayCamera(kind="replay", sources=(grey(tmp_path, "a.jpg", 50),)), needs)
    driver.read()
    driver.show((grey(tmp_path, "b.jpg", 200),))
    assert level_of(driver.read()) == 200


def test_an_act_is_shown_once_and_to_its_end(replay, tmp_path) -> None:
    """A person who is asked for the next thing does not stop half-way in the one before."""
    rest, left, right, up = (grey(tmp_path, f"{level}.png", level) for level in (50, 100, 150, 200))
    acts = {"turn_left": [left, left], "blink": [right], "look_up": [up]}
    camera = replay(rest, acts=acts)
    camera.prepare()
    camera.follow(Movement.TURN_LEFT)
    assert level_of(camera.grab()) == 100
    camera.follow(Movement.BLINK)
    camera.follow(Movement.COME_CLOSER)  # nothing is there for it
    camera.follow(None)
    assert [level_of(camera.grab()) for _ in range(4)] == [100, 150, 50, 50]
    camera.follow(Movement.LOOK_UP)
    camera.prepare()
    assert level_of(camera.grab()) == 50, "the next person is not in the midst of what the last one was asked for"


def test_a_fault_in_the_list_fails_once_and_the_list_goes_on(replay, tmp_path) -> None:
    camera = replay(grey(tmp_path, "a.jpg", 50), "fault: Device or resource busy", grey(tmp_path, "b.jpg", 100))
    assert level_of(camera.grab()) == 50
    with pytest.raises(CameraFault, match="Device or resource busy"):
        camera.grab()
    assert [level_of(camera.grab()) for _ in range(2)] == [100, 50]


def test_without_loop_it_runs_out(replay, tmp_path) -> None:
    camera = replay(grey(tmp_path, "a.jpg", 50), loop=False)
    camera.grab()
    for _ in range(2):
        with pytest.raises(CameraFault, match="no picture is left"):
            camera.grab()


def test_it_is_paced_by_the_clock_it_is_given(needs, clock, tmp_path) -> None:
    driver = ReplayDriver(ReplayCamera(kind="replay", sources=(grey(tmp_path, "a.jpg", 50),), fps=4), needs)
    for _ in range(3):
        driver.read()
    assert clock.slept == [0.25, 0.25]


def test_a_video_file_is_paced_by_its_own_rate(needs, clock, video) -> None:
    driver = OpencvDriver(OpencvCamera(kind="opencv", device=video), needs)
    driver.open()
    for _ in range(3):
        driver.read()
    assert clock.slept == pytest.approx([0.1, 0.1])
    assert driver.form == "64x48 MJPG 10 fps"
    driver.close()


@pytest.mark.parametrize("name", ["missing.jpg", "missing.avi", "broken.jpg", "broken.avi", "empty.jpg", "folder"])
def test_sources_that_show_nothing_are_faults_with_advice(replay, name, tmp_path) -> None:
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff nonsense")
    (tmp_path / "broken.avi").write_bytes(b"nonsense")
    (tmp_path / "empty.jpg").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(CameraFault) as caught:
        replay(str(tmp_path / name)).grab()
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


def test_opencv_reads_a_file_to_its_end_and_can_begin_again(opencv, video) -> None:
    camera = opencv(video)
    camera.prepare()
    assert [level_of(camera.grab()) for _ in range(3)] == [50, 100, 150]
    with pytest.raises(CameraFault, match="gave no picture"):
        camera.grab()
    camera.prepare()
    assert level_of(camera.grab()) == 50
    camera.close()


@pytest.mark.parametrize(
    ("device", "named", "problem", "state"),
    [
        (63, "/dev/video63", "is not there", CameraState.UNPLUGGED),
        ("/dev/video63", "/dev/video63", "is not there", CameraState.UNPLUGGED),
        ("/dev/null", "/dev/null", "is no camera", CameraState.FAILED),
        ("/nowhere/clip.avi", "/nowhere/clip.avi", "cannot be opened", CameraState.FAILED),
    ],
)
def test_a_missing_camera_is_a_fault_that_says_which_and_what_to_do(opencv, device, named, problem, state) -> None:
    camera = opencv(device)
    for _ in range(2):
        with pytest.raises(CameraFault, match=problem) as caught:
            camera.prepare()
        assert (caught.value.device, caught.value.state, camera.state) == (named, state, state)
        assert caught.value.advice in camera.fault


@pytest.mark.parametrize(
    ("number", "problem", "state"),
    [
        (errno.EBUSY, "is in use", CameraState.BUSY),
        (errno.ENODEV, "is not there", CameraState.UNPLUGGED),
        (errno.ENOTTY, "is no camera", CameraState.FAILED),
        (errno.EIO, "is no camera", CameraState.FAILED),
    ],
)
def test_what_the_kernel_says_of_a_camera_is_told(number, problem, state, tmp_path) -> None:
    def ioctl(*_) -> None:
        raise OSError(number, "x")

    (tmp_path / "video0").touch()
    with pytest.raises(CameraFault, match=problem) as caught:
        check_device(str(tmp_path / "video0"), ioctl=ioctl)
    assert caught.value.state is state


def test_the_kernel_is_asked_for_a_buffer_and_given_it_back(tmp_path) -> None:
    asked = []
    (tmp_path / "video0").touch()
    check_device(str(tmp_path / "video0"), ioctl=lambda _, request, data: asked.append((request, data[0])))
    assert asked == [(0xC0145608, 1), (0xC0145608, 0)]


@pytest.mark.hardware
def test_a_real_webcam_gives_pictures(opencv) -> None:
    if not Path("/dev/video0").exists():
        pytest.skip("this machine has no /dev/video0")
    camera = opencv(0)
    camera.prepare()
    assert camera.grab().ndim == 3
    camera.close()


@pytest.mark.parametrize(
    ("kind", "backends", "rule"),
    [("webcam", BACKENDS, "there is opencv, picamera2, replay"), ("x", {"x": "no_such_module:X"}, "not installed")],
)
def test_a_backend_that_cannot_be_loaded_stops_the_start(kind, backends, rule) -> None:
    with pytest.raises(BackendRefused, match=rule):
        load_backend("camera", kind, backends)
