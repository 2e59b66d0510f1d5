"""One picture: its faces, their measures, embedding and presence.

The models come from DeepFace's `modeling.build_model`, by name, as DeepFace itself obtains them;
their methods are then called directly. `DeepFace.represent` is not on the path, because it
cannot align by five points (it turns the eyes level and stretches the box), it detects in a
picture padded to twice its size, and importing it costs 0.2 s; of a face that is aligned already
it makes the same embedding.
"""

import contextlib
import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from auth_server.errors import ModelsRefused, SettingsRefused
from auth_server.face import plugins, runtime
from auth_server.face.calibration import Identity
from auth_server.face.plugins import unit as unit
from auth_server.settings import FaceSettings
from auth_vision import models, quality
from auth_vision.geometry import Box, Picture, align
from auth_vision.look import Face, Look
from auth_vision.sight import Sight

Embedding = NDArray[np.float32]

ALIGNMENT: Final = "five points, cubic, 112 of 128, as it is and in even light"
"""The name of how faces are aligned and seen; a threshold belongs to it as much as to the model."""

FUSION: Final = "mean of unit-length embeddings, at unit length"
"""The name of how the embeddings of several frames become one."""


class Pipeline:
    """The models named by the settings, loaded once. Its methods may be called from any thread."""

    def __init__(self, settings: FaceSettings) -> None:
        """Load the models.

        Raises SettingsRefused for a name that DeepFace does not know, ModelsRefused for a file
        that is absent or another, or when DeepFace cannot load a model of its own zoo.
        """
        with runtime.refused_at_start():
            models.check(settings.models)
        plugins.register(settings.models)
        is_ours = settings.recogniser == settings.detector == plugins.NAME
        if not is_ours:
            _prepare_zoo(settings)
        self._detector = _build("face_detector", settings.detector, "face.detector")
        self._recogniser = _build("facial_recognition", settings.recogniser, "face.recogniser")
        self._sight: Sight = _build("face_detector", plugins.NAME, "face.detector").sight
        self._presence = _build("spoofing", plugins.NAME, "face.presence") if settings.is_passive else None
        self._name = settings.recogniser
        self.model = model_name(settings.recogniser)
        # onnxruntime sessions may be shared by threads; of DeepFace's other backends nothing is known.
        self._turn: contextlib.AbstractContextManager[Any] = contextlib.nullcontext() if is_ours else threading.RLock()

    def faces(self, picture: Picture) -> list[Face]:
        """Return the faces that are surely faces, largest first."""
        with self._turn:
            regions = self._detector.detect_faces(picture)
        sure = [region for region in regions if _confidence(region) >= quality.FACE_MIN_CONFIDENCE]
        found = [self._face(picture, region) for region in sure]
        return sorted(found, key=lambda face: face.box.width * face.box.height, reverse=True)

    def look(self, picture: Picture, faces: list[Face]) -> Look:
        """Return what is to be seen in a picture whose faces are known, largest first."""
        return self._sight.look_at(picture, faces)

    def embed(self, picture: Picture, face: Face) -> Embedding:
        """Return the unit-length embedding of a face in a picture."""
        return self.embed_chip(align(picture, face.points))

    def embed_chip(self, chip: Picture) -> Embedding:
        """Return the unit-length embedding of an aligned face of `CHIP_SIZE`: what is stored gives the same again.

        4Auth's recogniser makes its views by itself, so DeepFace's own call gives the same number; for another
        of DeepFace's they are made here.
        """
        shape = self._recogniser.input_shape
        seen = [chip] if isinstance(self._recogniser, plugins.FaceRecogniser) else plugins.views(chip)
        with self._turn:
            found = [
                self._recogniser.forward(runtime.preprocessing.resize_image(view, (shape[1], shape[0])))
                for view in seen
            ]
        return unit(np.sum([unit(np.asarray(one, dtype=np.float32).reshape(-1)) for one in found], axis=0))

    def embed_by_deepface(self, chip: Picture) -> Embedding:
        """Return what DeepFace's own call makes of an aligned face: the way on which error rates are compared."""
        (found,) = runtime.represent(chip, model_name=self._name, detector_backend="skip", align=False)
        return unit(np.asarray(found["embedding"], dtype=np.float32))

    def presence(self, picture: Picture, face: Face) -> float | None:
        """Return how probably a person stood before the camera, 0 to 1, or None where it is off."""
        if self._presence is None:
            return None
        box = face.box
        return float(self._presence.analyze(picture, (box.x, box.y, box.width, box.height))[1])

    def _face(self, picture: Picture, region: Any) -> Face:
        if isinstance(region, plugins.LandmarkedRegion) and region.face is not None:
            return region.face
        box = Box(float(region.x), float(region.y), float(max(region.w, 1)), float(max(region.h, 1)))
        return self._sight.face(picture, box, _confidence(region))


def check_names(settings: FaceSettings) -> None:
    """Raise SettingsRefused for a name that DeepFace does not know; the plug-ins must be registered."""
    _check_name("face_detector", settings.detector, "face.detector")
    _check_name("facial_recognition", settings.recogniser, "face.recogniser")


def model_name(recogniser: str) -> str:
    """Return the name that templates carry: 4Auth's own is named with the weights' checksum and its views."""
    return f"4auth-{models.FEATURE.sha256[:8]}-2" if recogniser == plugins.NAME else f"deepface-{recogniser}"


def identity_of(settings: FaceSettings) -> Identity:
    """Return the names of all that a distance depends on, which a calibration must have been measured with."""
    landmarks = models.LANDMARK.sha256[:8]
    is_ours = settings.detector == plugins.NAME
    finder = f"4auth-{models.DETECT.sha256[:8]}" if is_ours else f"deepface-{settings.detector}"
    return Identity(model_name(settings.recogniser), f"{finder}-{landmarks}", ALIGNMENT, FUSION)


def presence_name() -> str:
    """Return the name of the model that tells a person from a print, which changes with its weights."""
    return f"4auth-{models.LIVENESS.sha256[:8]}"


def _confidence(region: Any) -> float:
    """Some of DeepFace's detectors give no confidence: what they return they are sure of."""
    return 1.0 if region.confidence is None else float(region.confidence)


def _prepare_zoo(settings: FaceSettings) -> None:
    try:
        runtime.prepare_zoo()
    except OSError as error:
        raise ModelsRefused(
            f"{settings.models}/.deepface/weights cannot be made for DeepFace's own models: {error.strerror}; "
            "make it, and put the weights there"
        ) from error


def _check_name(task: str, name: str, field: str) -> None:
    known = sorted(runtime.modeling.AVAILABLE_MODELS[task])  # type: ignore[literal-required]
    if name not in known:
        raise SettingsRefused(f"{field} = {name!r}: DeepFace has no such model; it has {', '.join(known)}")


def _build(task: str, name: str, field: str) -> Any:
    _check_name(task, name, field)
    try:
        with runtime.refused_at_start():
            return runtime.modeling.build_model(task, name)
    except ModelsRefused:
        raise
    except Exception as error:  # DeepFace's zoo raises whatever its many backends raise
        raise ModelsRefused(f"{field} = {name!r}: DeepFace could not load it: {error}") from error
