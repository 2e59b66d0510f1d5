"""4Auth's models as DeepFace plug-ins, under the name `4auth` in three of its tables.

DeepFace builds a plug-in by its class name and without arguments, keeps it for the life of the
process, and calls the methods that its base classes name. So each class keeps to DeepFace's own
conventions (BGR pictures, floats 0 to 1 into a recogniser, left eye meaning the person's left)
and can be used through `DeepFace.represent(..., model_name="4auth", detector_backend="4auth")`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from auth_server.face.runtime import (
    Detector,
    FacialAreaRegion,
    FacialRecognition,
    modeling,
    set_deepface_home,
)
from auth_vision import models
from auth_vision.geometry import CHIP_SIZE, Box, Picture, channels_first, chip_square, context, middle
from auth_vision.look import Face
from auth_vision.sessions import load_session, run, softmax
from auth_vision.sight import Sight

NAME: Final = "4auth"

_EVEN_LIGHT: Final = 118.0
"""Mean of 0 to 255, as most faces of photographs have it."""

_GAMMA_RANGE: Final = (0.6, 1.6)
"""Beyond it noise is brightened more than the face."""

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
    """A face as DeepFace has to cut it out, with the face itself as it was found."""

    face: Face | None = None


class FaceDetector(Detector):
    """Finds faces and their landmarks. `sight` measures more of them."""

    def __init__(self) -> None:
        self.sight = Sight(_folder)

    def detect_faces(self, img: NDArray[Any]) -> list[FacialAreaRegion]:
        """Return the faces in a BGR picture, surest first.

        A region is the square that DeepFace has to turn upright and cut out to give the recogniser an aligned
        face, larger than the face's own box; `face` has that one.
        """
        picture, x, y = _without_border(img)
        found = [(replace(box, x=box.x + x, y=box.y + y), score) for box, score in self.sight.finder.find(picture)]
        return [_region(self.sight.face(img, box, score)) for box, score in found]


def _without_border(img: NDArray[Any]) -> tuple[Picture, int, int]:
    """Return what is inside the black border, half its size on each side, that DeepFace puts around a picture."""
    y, x = img.shape[0] // 4, img.shape[1] // 4
    if not (y and x) or img[:y].any() or img[-y:].any() or img[:, :x].any() or img[:, -x:].any():
        return img, 0, 0
    return np.ascontiguousarray(img[y:-y, x:-x]), x, y


def _region(face: Face) -> LandmarkedRegion:
    square, eyes = chip_square(face.points)
    # DeepFace turns a face by its eyes alone, and an even square stays where it is when it does.
    side = 2 * round(square.width / 2)
    x, y = (round(start + (square.width - side) / 2) for start in (square.x, square.y))
    right_eye, left_eye = (cast(tuple[int, int], (px, py)) for px, py in eyes.tolist())
    nose, mouth_right, mouth_left = ((int(px), int(py)) for px, py in face.points[2:].round())
    return LandmarkedRegion(
        x=x, y=y, w=side, h=side, left_eye=left_eye, right_eye=right_eye,
        nose=nose, mouth_right=mouth_right, mouth_left=mouth_left, confidence=face.confidence, face=face,
    )  # fmt: skip


def views(chip: NDArray[Any]) -> list[NDArray[Any]]:
    """Return how an aligned face of `CHIP_SIZE` is seen: ArcFace's part of it in its own light, and in an even one.

    Both are embedded and averaged. On LFW (600 genuine pairs, FMR 1e-4 by nine draws of a picture a person) 19.1
    pairs were missed in the mean, 19 to 20; 20.1 with the first view alone, 19.6, but 18 to 24, with a smaller mirror
    image as the second, 23.1 with a mirror image of the same size. A third view gained nothing that could be told.
    """
    face = np.ascontiguousarray(middle(chip))
    return [face, in_even_light(face)]


def in_even_light(face: NDArray[Any]) -> NDArray[np.float32]:
    """Return a face, 0 to 255, whose mean brightness a gamma correction brought near `_EVEN_LIGHT`."""
    share = np.asarray(face, np.float32) / np.float32(255)
    mean = min(max(float(share.mean()), 1 / 255), 254 / 255)
    gamma = min(max(math.log(_EVEN_LIGHT / 255) / math.log(mean), _GAMMA_RANGE[0]), _GAMMA_RANGE[1])
    return np.asarray(np.float32(255) * share ** np.float32(gamma), np.float32)


class FaceRecogniser(FacialRecognition):
    """Turns an aligned face with its rim into 512 numbers whose cosine tells people apart, at length 1."""

    def __init__(self) -> None:
        self.model = load_session(_folder, models.FEATURE)
        self.model_name = NAME
        self.input_shape = (CHIP_SIZE, CHIP_SIZE)
        self.output_shape = 512

    def forward(self, img: NDArray[Any]) -> list[float] | list[list[float]]:
        """Return one embedding, or one for each picture of a batch: BGR, floats 0 to 1."""
        batch = img if img.ndim == 4 else img[None]
        found = [self._embed(one[..., ::-1] * np.float32(255)).tolist() for one in batch]
        return found[0] if len(found) == 1 else found

    def _embed(self, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        seen = [run(self.model, channels_first(view, mean=127, deviation=128))[0][0] for view in views(rgb)]
        return unit(np.sum([unit(one) for one in seen], axis=0))


def unit(vector: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Return the vector at length 1; a zero vector, which no face gives, raises ValueError."""
    length = float(np.linalg.norm(vector))
    if not length > 0:
        raise ValueError("an embedding has no direction")
    return np.asarray(vector / length, dtype=np.float32)


class Presence:
    """Tells a person before the camera from a print or a screen, by one frame and its surroundings."""

    def __init__(self) -> None:
        self._session = load_session(_folder, models.LIVENESS)

    def analyze(self, img: NDArray[Any], facial_area: Sequence[float]) -> tuple[bool, float]:
        """Return whether "real" is likelier than all else, and its probability; `facial_area` is x, y, w, h."""
        x, y, width, height = facial_area
        surroundings = context(img, Box(x, y, width, height), scale=_PRESENCE_SCALE, side=_PRESENCE_SIZE)
        scores = run(self._session, channels_first(surroundings, mean=0, deviation=1))[0][0]
        real = float(softmax(scores)[_PRESENCE_REAL])
        return real > 0.5, real
