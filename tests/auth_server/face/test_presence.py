"""A person who does as asked passes; whatever else is held before the camera does not, and says why to the audit."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from auth_contract.actions import CaptureHint, Movement
from auth_contract.messages import FrameMark
from auth_server.errors import FaceUnusable
from auth_server.face.copies import against_copies, closest
from auth_server.face.engine import FaceEngine, Recording
from auth_server.face.frames import decode_frame
from demo.puppet import ada, record

ASKED = (Movement.TURN_LEFT, Movement.BLINK, Movement.COME_CLOSER)


@pytest.fixture(scope="module")
def recording(models_folder: Path) -> Recording:
    """Somebody who does what is asked."""
    frames, marks = record(ada(models_folder, seed=1), ASKED)
    return Recording(frames, marks, ASKED)


def changed(recording: Recording, frames: Sequence[bytes]) -> Recording:
    return replace(recording, frames=tuple(frames))


def test_a_person_who_does_as_asked_is_seen(engine: FaceEngine, recording: Recording) -> None:
    seen = engine.observe(recording)
    assert (seen.capture_hint, seen.problem, seen.is_one_person) == (None, None, True)
    assert seen.presence is not None
    assert engine.presence_threshold is not None
    assert seen.presence > engine.presence_threshold
    assert seen.evidence["movements"] == 3
    assert seen.evidence["missing_movement"] is None
    assert float(str(seen.evidence["jump"])) < 1
    assert float(str(seen.evidence["scene"])) > 0


@pytest.mark.parametrize(
    ("asked", "missing"),
    [
        ((Movement.TURN_RIGHT, Movement.BLINK, Movement.COME_CLOSER), 1),
        ((Movement.TURN_LEFT, Movement.COME_CLOSER, Movement.BLINK), 2),
        ((Movement.TURN_LEFT, Movement.BLINK, Movement.LOOK_UP), 3),
    ],
)
def test_a_recording_of_other_movements_is_none_of_these(
    engine: FaceEngine, recording: Recording, asked: tuple[Movement, ...], missing: int
) -> None:
    seen = engine.observe(replace(recording, movements=asked))
    assert (seen.capture_hint, seen.template) == (CaptureHint.MOVEMENT, None)
    assert seen.evidence["missing_movement"] == missing


def test_pictures_without_movements_are_no_recording_where_they_are_asked_for(
    engine: FaceEngine, recording: Recording
) -> None:
    assert engine.observe(Recording(recording.frames[:3])).problem == "nothing_asked"


def noisy(frame: bytes, seed: int) -> bytes:
    """The same picture as a camera sees it on a screen."""
    picture = decode_frame(frame, "frame").astype(np.float32)
    seen = np.clip(picture + np.random.default_rng(seed).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)
    return cv2.imencode(".jpg", seen)[1].tobytes()


def test_a_still_picture_is_not_taken_for_a_recording(engine: FaceEngine, recording: Recording) -> None:
    still = changed(recording, [recording.frames[0]] * len(recording.frames))
    assert engine.observe(still).problem == "identical_frames"
    held = changed(recording, [noisy(recording.frames[0], seed) for seed in range(len(recording.frames))])
    assert engine.observe(held).capture_hint is CaptureHint.MOVEMENT


def test_frames_that_come_again_break_a_recording(engine: FaceEngine, recording: Recording) -> None:
    frames = list(recording.frames)
    frames[-1] = noisy(frames[0], 1)
    assert engine.observe(changed(recording, frames)).problem == "repeated"


def test_frames_of_another_place_break_a_recording(
    engine: FaceEngine, recording: Recording, astronaut: np.ndarray
) -> None:
    """One frame of the same person elsewhere, pasted in."""
    frames = list(recording.frames)
    picture = decode_frame(frames[2], "frame")
    moved = np.roll(picture[:, ::-1], 60, axis=1)
    frames[2] = cv2.imencode(".jpg", moved)[1].tobytes()
    assert engine.observe(changed(recording, frames)).problem == "broken"


def test_frames_of_two_sizes_are_named(engine: FaceEngine, recording: Recording) -> None:
    frames = list(recording.frames)
    frames[4] = cv2.imencode(".jpg", cv2.resize(decode_frame(frames[4], "frame"), (600, 450)))[1].tobytes()
    assert engine.observe(changed(recording, frames)).problem == "mixed_sizes"


def test_marks_out_of_order_are_named(engine: FaceEngine, recording: Recording) -> None:
    marks = (*recording.marks[:-1], FrameMark(at_ms=recording.marks[-1].at_ms, part=3))
    assert engine.observe(replace(recording, marks=marks)).problem == "out_of_order"


def test_another_person_who_steps_in_is_not_one_person(engine: FaceEngine, recording: Recording, lfw, jpeg) -> None:
    """The movements are somebody else's, the frontal frames are the person's own."""
    size = decode_frame(recording.frames[0], "frame").shape
    stranger = cv2.resize(decode_frame(lfw("Abel_Pacheco", 1), "frame"), (size[1], size[0]))
    frames = list(recording.frames)
    for place in recording.part(1):
        frames[place] = noisy(cv2.imencode(".jpg", stranger)[1].tobytes(), place)
    assert not engine.observe(changed(recording, frames)).is_one_person


# The enrolled picture


COPIES = {
    "bit-exact": lambda picture: picture,
    "smaller": lambda picture: cv2.resize(picture, None, fx=0.8, fy=0.8, interpolation=cv2.INTER_AREA),
    "cropped": lambda picture: picture[20:, 30:],
    "turned": lambda picture: cv2.warpAffine(
        picture, cv2.getRotationMatrix2D((256, 150), 6, 1), picture.shape[1::-1], borderMode=cv2.BORDER_REPLICATE
    ),
    "brighter": lambda picture: np.clip(picture.astype(np.float32) * 1.15 + 5, 0, 255).astype(np.uint8),
    "re-encoded": lambda picture: cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1),
}


@pytest.mark.parametrize("way", COPIES)
def test_the_enrolled_picture_is_known_again(engine: FaceEngine, portrait: bytes, way: str) -> None:
    enrolled = engine.enrol([portrait])
    copy = COPIES[way](decode_frame(portrait, "frame"))
    seen = engine.observe([cv2.imencode(".jpg", copy)[1].tobytes()])
    judged = against_copies(replace(seen, problem=None), enrolled.picture_png, with_movements=False)
    assert judged.problem == "copy"
    assert float(str(judged.evidence["copy_similarity"])) > 0.9


def test_another_picture_of_the_same_person_is_none(engine: FaceEngine, lfw) -> None:
    enrolled = engine.enrol([lfw("Larry_Lindsey", 1)])
    seen = engine.observe([lfw("Larry_Lindsey", 2)])
    assert closest(seen.chips, enrolled.picture_png) < 0.7


def test_a_person_who_moved_may_stand_as_enrolled_but_not_be_the_very_picture(
    engine: FaceEngine, recording: Recording
) -> None:
    enrolled = engine.enrol([recording.frames[0]])
    copied = engine.observe(recording)
    judged = against_copies(copied, enrolled.picture_png, with_movements=True)
    assert judged.problem == "copy"
    later = replace(copied, chips=copied.chips[1:])
    assert against_copies(later, enrolled.picture_png, with_movements=True).problem is None
    assert against_copies(later, enrolled.picture_png, with_movements=False).problem == "copy"


def test_what_is_no_picture_is_refused() -> None:
    with pytest.raises(ValueError, match="is a PNG"):
        closest([np.zeros((128, 128, 3), np.uint8)], b"no picture")


# Enrolment from a recording


def test_a_recording_is_enrolled_from_its_best_frames(engine: FaceEngine, recording: Recording) -> None:
    enrolled = engine.enrol(recording)
    assert enrolled.problem is None
    assert 3 <= int(str(enrolled.evidence["pictures"])) <= 5
    assert enrolled.presence is not None


def test_a_recording_without_its_movements_is_not_enrolled(engine: FaceEngine, recording: Recording) -> None:
    with pytest.raises(FaceUnusable) as refused:
        engine.enrol(replace(recording, movements=(Movement.TURN_RIGHT, *ASKED[1:])))
    assert refused.value.hint is CaptureHint.MOVEMENT


def test_one_pose_is_too_few(engine: FaceEngine, recording: Recording) -> None:
    with pytest.raises(FaceUnusable) as refused:
        engine.enrol(list(recording.frames[:3]), is_vouched=False)
    assert refused.value.hint is CaptureHint.ONE_POSE


# Privacy


def test_no_pixel_reaches_a_log_a_file_or_a_text(
    engine: FaceEngine,
    recording: Recording,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with caplog.at_level(logging.DEBUG):
        seen = engine.observe(recording)
        enrolled = engine.enrol(recording)
    assert not caplog.records
    assert not list(tmp_path.iterdir())
    for value in (seen, enrolled, recording):
        assert "\\x" not in repr(value)
        assert "array" not in repr(value)
