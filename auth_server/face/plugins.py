"""4Auth's models as DeepFace plug-ins, under the name `4auth` in three of its tables.

DeepFace builds a plug-in by its class name and without arguments, keeps it for the life of the
process, and calls the methods that its base classes name. So each class keeps to DeepFace's own
conventions (BGR pictures, floats 0 to 1 into a recogniser, left eye meaning the person's left)
and can be used through `DeepFace.represent(..., model_name="4auth", detector_backend="4auth")`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from auth_server.face import models
from auth_server.face.geometry import (
    CHIP_SIZE,
    Box,
    Picture,
    Points,
    channels_first,
    context,
    crop,
    five_points,
)
from auth_server.face.runtime import (
    Detector,
    FacialAreaRegion,
    FacialRecognition,
    load_session,
    modeling,
    run,
    set_deepface_home,
)

NAME: Final = "4auth"

_DETECTOR_SIZE = (320, 240)
_CANDIDATE_MIN_SCORE = 0.65
_OVERLAP_MAX = 0.4
_LANDMARK_SIZE = 64
_PRESENCE_SIZE = 128
_PRESENCE_SCALE = 2.7
_PRESENCE_REAL = 0

_folder = Path()


def register(folder: Path) -> None:
    """Enter the plug-ins into DeepFace's tables; the models are read from `folder` when first built."""
    global _folder
    _folder = folder
    set_deepface_home(folder)
    for task, plugin in (
        ("face_detector", FaceDetector),
        ("facial_recognition", FaceRecogniser),
        ("spoofing", Presence),
    ):
        cast(dict[str, Any], modeling.AVAILABLE_MODELS)[task][NAME] = {"any": f"{__name__}.{plugin.__name__}"}


@dataclass
class LandmarkedRegion(FacialAreaRegion):
    """A detected face with its five points unrounded, left of the picture first."""

    points: Points = field(default_factory=lambda: np.zeros((5, 2)))


class Landmarks:
    """Finds five points in the box of a face, whichever detector found the box."""

    def __init__(self) -> None:
        self._session = load_session(_folder / models.LANDMARK.name, models.LANDMARK.sha256)

    def find(self, picture: Picture, box: Box) -> Points:
        """Return eyes, nose tip and mouth corners in pixels of the picture."""
        square = box.squared()
        grey = cv2.cvtColor(crop(picture, square, _LANDMARK_SIZE), cv2.COLOR_BGR2GRAY)
        fractions = run(self._session, channels_first(grey[None, :, :, None], mean=0, deviation=256))[0].reshape(68, 2)
        return five_points(fractions.astype(np.float64)) * square.height + (square.x, square.y)


class FaceDetector(Detector):
    """Finds faces and their five points; the picture is seen at 320 x 240, whatever its size."""

    def __init__(self) -> None:
        self._session = load_session(_folder / models.DETECT.name, models.DETECT.sha256)
        self.landmarks = Landmarks()

    def detect_faces(self, img: NDArray[Any]) -> list[FacialAreaRegion]:
        """Return the faces in a BGR picture, surest first."""
        small = cv2.cvtColor(cv2.resize(img, _DETECTOR_SIZE), cv2.COLOR_BGR2RGB)
        scores, boxes = run(self._session, channels_first(np.asarray(small, np.uint8), mean=127, deviation=128))
        rows, columns = img.shape[:2]
        corners = boxes[0].astype(np.float64) * (columns, rows, columns, rows)
        return [
            self._region(img, corners[index], float(scores[0, index, 1]))
            for index in _without_overlaps(corners, scores[0, :, 1])
        ]

    def _region(self, img: NDArray[Any], corners: Points, score: float) -> LandmarkedRegion:
        x, y = corners[:2]
        width, height = corners[2:] - corners[:2]
        points = self.landmarks.find(img, Box(x, y, width, height))
        right_eye, left_eye, nose, mouth_right, mouth_left = ((int(px), int(py)) for px, py in points.round())
        return LandmarkedRegion(
            x=int(x), y=int(y), w=int(width), h=int(height),
            left_eye=left_eye, right_eye=right_eye, nose=nose, mouth_right=mouth_right, mouth_left=mouth_left,
            confidence=score, points=points,
        )  # fmt: skip


def _without_overlaps(corners: Points, scores: NDArray[np.float32]) -> list[int]:
    """Return the indices of sure boxes, surest first, none overlapping a surer one by much (NMS)."""
    candidates = [int(index) for index in np.argsort(-scores) if scores[index] > _CANDIDATE_MIN_SCORE]
    kept: list[int] = []
    for index in candidates:
        if all(_overlap(corners[index], corners[other]) <= _OVERLAP_MAX for other in kept):
            kept.append(index)
    return kept


def _overlap(a: Points, b: Points) -> float:
    """Return the intersection over the union of two boxes given by their corners."""
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    union = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2])) - shared
    return shared / union if union > 0 else 0.0


class FaceRecogniser(FacialRecognition):
    """Turns an aligned face into 512 numbers whose cosine tells people apart."""

    def __init__(self) -> None:
        self.model = load_session(_folder / models.FEATURE.name, models.FEATURE.sha256)
        self.model_name = NAME
        self.input_shape = (CHIP_SIZE, CHIP_SIZE)
        self.output_shape = 512

    def forward(self, img: NDArray[Any]) -> list[float] | list[list[float]]:
        """Return one embedding, or one for each picture of a batch: BGR, floats 0 to 1."""
        batch = img if img.ndim == 4 else img[None]
        rgb = batch[..., ::-1] * np.float32(255)
        found = [run(self.model, channels_first(one, mean=127, deviation=128))[0][0].tolist() for one in rgb]
        return found[0] if len(found) == 1 else found


class Presence:
    """Tells a person before the camera from a print or a screen, by one frame and its surroundings."""

    def __init__(self) -> None:
        self._session = load_session(_folder / models.LIVENESS.name, models.LIVENESS.sha256)

    def analyze(self, img: NDArray[Any], facial_area: Sequence[float]) -> tuple[bool, float]:
        """Return whether "real" is likelier than all else, and its probability; `facial_area` is x, y, w, h."""
        x, y, width, height = facial_area
        surroundings = context(img, Box(x, y, width, height), scale=_PRESENCE_SCALE, side=_PRESENCE_SIZE)
        scores = run(self._session, channels_first(surroundings, mean=0, deviation=1))[0][0].astype(np.float64)
        odds = np.exp(scores - scores.max())
        real = float(odds[_PRESENCE_REAL] / odds.sum())
        return real > 0.5, real
