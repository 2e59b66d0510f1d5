"""One picture of an evaluation, as login's own code sees it, in a form that can be kept."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from auth_contract.actions import CaptureHint
from auth_server.errors import Malformed
from auth_server.face.frames import decode_frame
from auth_server.face.pipeline import Embedding, Pipeline
from auth_vision import quality
from auth_vision.geometry import Picture, Points, align
from auth_vision.look import Face


@dataclass(frozen=True, slots=True)
class Sighting:
    """What was seen of a picture. Without an `embedding` and five `points` no face was found in it.

    `code` is what login would refuse it for, or None; `malformed` for a file that is no whole JPEG.
    """

    code: str | None
    faces: int = 0
    embedding: Embedding | None = field(default=None, repr=False)
    points: Points | None = field(default=None, repr=False)

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        if self.embedding is None or self.points is None:
            return {"code": self.code, "faces": self.faces}
        embedding = base64.b64encode(self.embedding.astype("<f4").tobytes()).decode()
        points = [[round(float(x), 2), round(float(y), 2)] for x, y in self.points]
        return {"code": self.code, "faces": self.faces, "embedding": embedding, "points": points}


def sighting_of(document: Mapping[str, Any]) -> Sighting:
    """Return what `document` told. Raises ValueError, KeyError or TypeError for anything else."""
    if "embedding" not in document:
        return Sighting(document["code"], int(document["faces"]))
    embedding = np.frombuffer(base64.b64decode(document["embedding"]), "<f4").astype(np.float32)
    return Sighting(document["code"], int(document["faces"]), embedding, np.array(document["points"], np.float64))


def look_at(pipeline: Pipeline, data: bytes, *, by_deepface: bool = False) -> Sighting:
    """Look at a JPEG as login does, and embed the face nearest its middle: a portrait's label is that one's.

    By DeepFace: with the embedding that its own call, `DeepFace.represent`, makes of the aligned face.
    """
    try:
        picture = decode_frame(data, "picture")
    except Malformed:
        return Sighting("malformed")
    faces = pipeline.faces(picture)
    hint = quality.hint_of(pipeline.look(picture, faces))
    code = hint.value if hint else None
    if not faces:
        return Sighting(CaptureHint.NO_FACE.value)
    face = most_central(picture, faces)
    chip = align(picture, face.points)
    embedding = pipeline.embed_by_deepface(chip) if by_deepface else pipeline.embed_chip(chip)
    return Sighting(code, len(faces), embedding, face.points)


def most_central(picture: Picture, faces: list[Face]) -> Face:
    """Return the face nearest a picture's middle."""
    rows, columns = picture.shape[:2]
    return min(
        faces,
        key=lambda face: (
            abs(face.box.x + (face.box.width - columns) / 2) + abs(face.box.y + (face.box.height - rows) / 2)
        ),
    )
