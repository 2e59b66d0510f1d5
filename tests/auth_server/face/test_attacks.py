"""What an attacker may hold before a kiosk or feed to it, each refused, and for the reason that stands against it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from auth_contract.actions import CaptureHint, Movement
from auth_server.domain import Template, Verdict
from auth_server.face.challenge import missing
from auth_server.face.engine import FaceEngine, Recording
from auth_server.face.trials import Footage, Remembering, trial
from auth_server.factors import face
from auth_vision.geometry import Box, Picture
from auth_vision.sight import Sight
from demo.puppet import ada, jpeg, record
from tests.auth_server.face.test_on_real_people import PATIENCE_S, video

LEFT, RIGHT, UP, BLINK, CLOSER = Movement

WITH_A_TURN = [
    (LEFT, RIGHT),
    (RIGHT, LEFT),
    (LEFT, UP),
    (RIGHT, CLOSER),
    (BLINK, LEFT),
    (CLOSER, RIGHT, UP),
    (RIGHT, UP, BLINK),
    (LEFT, CLOSER, RIGHT),
]


@dataclass
class Made(Sequence[Picture]):
    """So many pictures, each made when it is asked for."""

    length: int
    make: Callable[[int], Picture]
    made: dict[int, Picture] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, place: int) -> Picture:  # type: ignore[override]
        if place not in self.made:
            self.made[place] = self.make(place)
        return self.made[place]


@pytest.fixture(scope="module")
def live(test_data: Path, engine: FaceEngine) -> Footage:
    """A man who turns left and right."""
    return Footage(*video(test_data / "liveness" / "live-turning-1.mp4"), Remembering(engine.looker))


@pytest.fixture(scope="module")
def victim(astronaut: np.ndarray) -> Picture:
    """The one portrait, BGR, that an attacker has of the person."""
    return np.ascontiguousarray(astronaut[:, :, ::-1])


@pytest.fixture(scope="module")
def enrolled(engine: FaceEngine, portrait: bytes) -> Template:
    return engine.enrol([portrait]).template


@pytest.fixture(scope="module")
def face_box(models_folder: Path, victim: Picture) -> Box:
    return Sight(models_folder).faces(victim)[0].box


def verdict_on(
    engine: FaceEngine, footage: Footage, movements: Sequence[Movement], enrolment: Template, *, offset: int = 0
) -> Verdict:
    """The verdict where movements alone are asked for: the look of the pictures is not judged."""
    recording = trial(footage, movements, offset=offset, patience_s=PATIENCE_S)
    seen = engine.observe_by(footage.looker, recording)
    return face.verify(claim=seen, enrolment=enrolment, threshold=engine.threshold, presence_threshold=None)


def seen_by_camera(picture: np.ndarray, seed: int) -> Picture:
    """With a camera's noise, so that no two pictures are the same."""
    return np.clip(picture + np.random.default_rng(seed).normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def pasted(picture: Picture, cut: Picture, left: int, top: int) -> Picture:
    """A copy of a picture with a cut over it, as far as that reaches."""
    out = picture.copy()
    left, top = max(left, 0), max(top, 0)
    rows, columns = min(cut.shape[0], out.shape[0] - top), min(cut.shape[1], out.shape[1] - left)
    out[top : top + rows, left : left + columns] = cut[:rows, :columns]
    return out


def with_margin(box: Box) -> tuple[int, int, int, int]:
    """Left, top, width and height of a face and a tenth around it."""
    return (
        int(box.x - 0.1 * box.width),
        int(box.y - 0.1 * box.height),
        int(1.2 * box.width),
        int(1.2 * box.height),
    )


def cut_out(picture: Picture, box: Box) -> Picture:
    left, top, width, height = with_margin(box)
    return picture[top : top + height, left : left + width]


# Another person


def test_somebody_else_who_does_as_asked_is_too_far_from_the_enrolled_face(
    engine: FaceEngine, live: Footage, enrolled: Template
) -> None:
    verdict = verdict_on(engine, live, (LEFT, RIGHT), enrolled, offset=10)
    assert not verdict.passed
    assert verdict.evidence["missing_movement"] is None
    assert verdict.evidence["is_one_person"] is True
    assert "presence_problem" not in verdict.evidence
    assert float(str(verdict.evidence["distance"])) > engine.threshold


def test_frontal_frames_of_one_person_and_turns_of_another_are_neither_one_recording_nor_one_person(
    engine: FaceEngine, live: Footage, models_folder: Path, enrolled: Template
) -> None:
    frames, marks = record(ada(models_folder, seed=1), (LEFT, RIGHT))
    own = Recording(frames, marks, (LEFT, RIGHT))
    mixed = list(frames)
    for number, (first, last) in enumerate([(60, 185), (215, 325)], start=1):
        places = own.part(number)
        for place, shown in zip(places, np.linspace(first, last, len(places)).astype(int), strict=True):
            small = cv2.resize(live.pictures[shown], (270, 480), interpolation=cv2.INTER_AREA)
            mixed[place] = jpeg(pasted(np.zeros((480, 640, 3), np.uint8), np.asarray(small, np.uint8), 185, 0))
    seen = engine.observe(replace(own, frames=tuple(mixed)))
    verdict = face.verify(claim=seen, enrolment=enrolled, threshold=engine.threshold, presence_threshold=None)
    assert float(str(verdict.evidence["distance"])) < engine.threshold, "the frontal frames are the person's"
    assert not verdict.passed
    assert verdict.evidence["presence_problem"] == "broken"
    assert verdict.evidence["is_one_person"] is False


# A face pasted into the frame


@pytest.mark.parametrize("movements", [(LEFT, RIGHT), (RIGHT, LEFT), (LEFT, RIGHT, UP)])
def test_a_picture_pasted_over_a_turning_head_does_not_turn(
    engine: FaceEngine, live: Footage, victim: Picture, face_box: Box, enrolled: Template, movements
) -> None:
    cut = cut_out(victim, face_box)

    def over(place: int) -> Picture:
        features = live.looker.glimpses([live.jpeg(place)], "frames")[0].look.features
        if features is None:
            return live.pictures[place]
        left, top, width, height = with_margin(features.face.box)
        sized = np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        return seen_by_camera(pasted(live.pictures[place], sized, left, top), place)

    footage = Footage(Made(len(live.pictures), over), live.fps, live.looker)
    verdict = verdict_on(engine, footage, movements, enrolled, offset=10)
    assert not verdict.passed
    assert (verdict.capture_hint, verdict.evidence["missing_movement"]) == (CaptureHint.MOVEMENT, 1)


def test_a_picture_pasted_onto_a_moving_background_does_not_turn(
    engine: FaceEngine, victim: Picture, face_box: Box, enrolled: Template
) -> None:
    cut = cut_out(victim, face_box)
    wide = cv2.GaussianBlur(np.random.default_rng(5).normal(0, 1, (480, 640, 3)), (0, 0), 20)
    scenery = np.clip(128 + 40 * wide / wide.std(), 0, 255).astype(np.uint8)
    cut = np.asarray(cv2.resize(cut, (180, 240), interpolation=cv2.INTER_CUBIC), np.uint8)

    def before(place: int) -> Picture:
        left = 230 + round(12 * np.sin(place / 3))
        return seen_by_camera(pasted(np.roll(scenery, 3 * place, axis=1), cut, left, 120), place)

    footage = Footage(Made(400, before), 8.0, Remembering(engine.looker))
    verdict = verdict_on(engine, footage, (LEFT, RIGHT), enrolled)
    assert not verdict.passed
    assert (verdict.capture_hint, verdict.evidence["missing_movement"]) == (CaptureHint.MOVEMENT, 1)


# A print that is turned


@pytest.fixture(scope="module")
def print_in_hand(engine: FaceEngine, victim: Picture) -> Footage:
    """A flat print that is turned to both sides, tilted and brought nearer before a camera; no picture comes twice."""
    corners = np.array([[-256, -256, 0], [256, -256, 0], [256, 256, 0], [-256, 256, 0]], float)
    flat = np.array([[0, 0], [512, 0], [512, 512], [0, 512]], np.float32)

    def held(place: int) -> Picture:
        chance, time_s = np.random.default_rng(place), place / 8
        yaw = np.radians(45 * np.sin(2 * np.pi * time_s / 6))
        pitch = np.radians(20 * np.sin(2 * np.pi * time_s / 4.7))
        aside = np.array([[np.cos(yaw), 0, np.sin(yaw)], [0, 1, 0], [-np.sin(yaw), 0, np.cos(yaw)]])
        upwards = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
        seen = corners @ aside.T @ upwards.T
        seen[:, 2] += 700 / (1 + 0.25 * np.sin(2 * np.pi * time_s / 8.3))
        where = [320, 280] + 700 * seen[:, :2] / seen[:, 2:] + chance.normal(0, 1.5, 2)
        matrix = cv2.getPerspectiveTransform(flat, where.astype(np.float32))
        return seen_by_camera(cv2.warpPerspective(victim, matrix, (640, 480), borderValue=(120, 130, 125)), place)

    return Footage(Made(400, held), 8.0, Remembering(engine.looker))


@pytest.mark.parametrize("offset", [0, 14])
@pytest.mark.parametrize("movements", WITH_A_TURN)
def test_a_print_that_is_turned_and_tilted_makes_no_turn_of_a_head(
    engine: FaceEngine, print_in_hand: Footage, enrolled: Template, movements: tuple[Movement, ...], offset: int
) -> None:
    verdict = verdict_on(engine, print_in_hand, movements, enrolled, offset=offset)
    assert not verdict.passed
    is_named = verdict.capture_hint is CaptureHint.MOVEMENT
    assert is_named or verdict.evidence["presence_problem"] in {"broken", "flat", "too_slow"}
    # Whatever else was wrong, the movements alone would have refused it.
    recording = trial(print_in_hand, movements, offset=offset, patience_s=PATIENCE_S)
    assert missing(recording, print_in_hand.looker.glimpses(recording.frames, "frames")) is not None
