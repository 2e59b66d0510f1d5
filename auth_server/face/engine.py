"""The face engine: several pictures in, one observation or one enrolled face out.

One picture of 640 x 480 took 17 ms on one core, 24 ms with presence (x86-64, AVX-512): decoding
2, detection and landmarks 3, recogniser 10, presence 6.
"""

import io
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np
from PIL import Image

from auth_contract.actions import CaptureHint
from auth_server.domain import Evidence, Template
from auth_server.errors import FaceUnusable, Unavailable
from auth_server.face import plugins
from auth_server.face.frames import decode_frame
from auth_server.face.observation import EnrolledFace, Observation
from auth_server.face.pipeline import VIEWS, Embedding, Pipeline, check_names, unit
from auth_server.face.thresholds import thresholds_of
from auth_server.settings import FaceSettings
from auth_vision import quality
from auth_vision.geometry import CHIP_SIZE, Box, Picture, align, crop
from auth_vision.look import Face

__all__ = ["EnrolledFace", "FaceEngine", "FaceUnusable", "Observation", "check"]

RETRY_AFTER_S: Final = 2
"""The default queue, of 6 submissions of three frames, is worked off in about half a second of one core."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One usable picture."""

    face: Face
    chip: Picture
    embedding: Embedding
    presence: float | None


def check(settings: FaceSettings) -> None:
    """Check names and calibration without loading a model, so that a process may still fork afterwards.

    Raises SettingsRefused as FaceEngine does.
    """
    plugins.register(settings.models)
    check_names(settings)
    thresholds_of(settings)


class FaceEngine:
    """DeepFace with the models that the settings name. Its methods may be called from any thread.

    `model` is the name that templates carry, `embedding_size` their length in numbers. `threshold`
    is the largest cosine distance that counts as the same person, `presence_threshold` the least
    mean probability of a real face (None where the settings switch that off).
    """

    def __init__(self, settings: FaceSettings) -> None:
        """Load every model once.

        Raises ModelsRefused for a missing or changed file, SettingsRefused for an unknown model
        for a calibration of others, and for none when `face.threshold` is not set.
        """
        thresholds = thresholds_of(settings)
        self._pipeline = Pipeline(settings)
        self.model = self._pipeline.model
        self.threshold = thresholds.match
        self.presence_threshold = thresholds.presence
        self._one_person_max = thresholds.one_person_max
        self._places = threading.BoundedSemaphore(settings.queue_max)
        # Also the warm-up: the first pass of a session allocates what later ones reuse.
        blank = np.full((CHIP_SIZE, CHIP_SIZE, 3), 128, np.uint8)
        self._pipeline.faces(blank)
        self.embedding_size = self._pipeline.embed_chips([blank] * len(VIEWS)).size

    def observe(self, frames: Sequence[bytes]) -> Observation:
        """Return what the frames of one submission show, all of them together.

        Raises Unavailable when `queue_max` submissions are being looked at, Malformed for a
        frame that is not a whole JPEG within the limits. ValueError without any frame.
        """
        if not frames:
            raise ValueError("there is no frame to look at")
        with self._place():
            looks: list[_Look] = []
            for index, frame in enumerate(frames):
                look = self._look(decode_frame(frame, f"frames.{index}"))
                if isinstance(look, CaptureHint):
                    return self._no_judgement(look, len(frames), index)
                looks.append(look)
        return self._judgement(looks)

    def enrol(self, pictures: Sequence[bytes]) -> EnrolledFace:
        """Return one template of all pictures, and the most typical of them as an aligned PNG.

        Raises FaceUnusable naming the first picture that does not show exactly one good face, or
        not the person of the others, Malformed for one that is not a whole JPEG, Unavailable as
        `observe` does, ValueError without any picture.
        """
        if not pictures:
            raise ValueError("there is no picture to enrol")
        with self._place():
            looks = [self._usable(index, picture) for index, picture in enumerate(pictures)]
        fused, distances = _fuse(looks)
        stranger = _odd_one_out(distances, self._one_person_max)
        if stranger is not None:
            raise FaceUnusable(stranger, CaptureHint.SEVERAL_FACES, "it shows somebody else than the other pictures")
        best = max(looks, key=lambda look: float(look.embedding @ fused))
        presence, evidence = self._evidence(looks, float(distances.max()))
        return EnrolledFace(self._template(fused), _png(best.chip), presence, evidence)

    def reembed(self, picture_png: bytes) -> Template:
        """Return the template of an enrolled picture under the model in use now.

        Raises ValueError when the PNG is not one that `enrol` made.
        """
        with Image.open(io.BytesIO(picture_png), formats=("PNG",)) as image:
            if image.size != (CHIP_SIZE, CHIP_SIZE) or image.mode != "RGB":
                raise ValueError(
                    f"an enrolled picture is RGB of {CHIP_SIZE} x {CHIP_SIZE}, "
                    f"this one is {image.mode} of {image.size[0]} x {image.size[1]}"
                )
            chip = np.ascontiguousarray(np.asarray(image, dtype=np.uint8)[:, :, ::-1])
        with self._place():
            return self._template(self._pipeline.embed_chips([chip, _smaller(chip)]))

    @contextmanager
    def _place(self) -> Iterator[None]:
        if not self._places.acquire(blocking=False):
            raise Unavailable("the face queue is full", retry_after_s=RETRY_AFTER_S)
        try:
            yield
        finally:
            self._places.release()

    def _look(self, picture: Picture) -> _Look | CaptureHint:
        faces = self._pipeline.faces(picture)
        hint = quality.hint_of(self._pipeline.look(picture, faces))
        if hint:
            return hint
        face = faces[0]
        chip = align(picture, face.points)
        return _Look(face, chip, self._pipeline.embed(picture, face), self._pipeline.presence(picture, face))

    def _usable(self, index: int, picture: bytes) -> _Look:
        look = self._look(decode_frame(picture, f"pictures.{index}"))
        if isinstance(look, CaptureHint):
            raise FaceUnusable(index, look)
        return look

    def _no_judgement(self, hint: CaptureHint, frames: int, frame: int) -> Observation:
        evidence: Evidence = {"frames": frames, "model": self.model, "unusable_frame": frame}
        return Observation(template=None, capture_hint=hint, presence=None, is_one_person=True, evidence=evidence)

    def _judgement(self, looks: Sequence[_Look]) -> Observation:
        fused, distances = _fuse(looks)
        spread = float(distances.max())
        presence, evidence = self._evidence(looks, spread)
        return Observation(
            template=self._template(fused),
            capture_hint=None,
            presence=presence,
            is_one_person=spread <= self._one_person_max,
            evidence=evidence,
        )

    def _evidence(self, looks: Sequence[_Look], spread: float) -> tuple[float | None, Evidence]:
        """The mean presence of the looks, and what an auditor may know of them."""
        scores = [look.presence for look in looks if look.presence is not None]
        presence = float(np.mean(scores)) if scores else None
        return presence, {
            "frames": len(looks),
            "model": self.model,
            "spread": round(spread, 4),
            "presence": None if presence is None else round(presence, 4),
            "face_height_px": round(min(look.face.height for look in looks)),
        }

    def _template(self, embedding: Embedding) -> Template:
        return Template(self.model, embedding.astype("<f4").tobytes())


def _fuse(looks: Sequence[_Look]) -> tuple[Embedding, Embedding]:
    """Return the normalised mean of the embeddings, and the distances between each two of them."""
    embeddings = np.stack([look.embedding for look in looks])
    return unit(embeddings.mean(axis=0)), np.asarray(1 - embeddings @ embeddings.T, dtype=np.float32)


def _odd_one_out(distances: Embedding, limit: float) -> int | None:
    """Return the picture that is farthest from the others when any two are too far apart."""
    return int(distances.sum(axis=1).argmax()) if distances.max() > limit else None


def _smaller(chip: Picture) -> Picture:
    """The second view of a face of which only the aligned chip is left; its border is repeated."""
    scale = VIEWS[1].scale
    side = CHIP_SIZE / scale
    return crop(chip, Box((CHIP_SIZE - side) / 2, (CHIP_SIZE - side) / 2, side, side), CHIP_SIZE)


def _png(chip: Picture) -> bytes:
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(chip[:, :, ::-1])).save(out, "PNG", optimize=True)
    return out.getvalue()
