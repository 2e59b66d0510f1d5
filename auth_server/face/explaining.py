"""One comparison of two pictures, explained: what was seen of each, how far apart they are, and what that means."""

from dataclasses import dataclass
from typing import Any

from auth_server.errors import SettingsRefused
from auth_server.face.calibration import Calibration
from auth_server.face.frames import decode_frame
from auth_server.face.pipeline import Embedding, Pipeline
from auth_server.face.thresholds import calibration_of, thresholds_of
from auth_server.settings import FaceSettings
from auth_vision import quality
from auth_vision.look import Features, Look


@dataclass(frozen=True, slots=True)
class Explained:
    """`looks` are the two pictures' measures as JSON has them; without a `distance` one of them has no face."""

    looks: tuple[dict[str, Any], dict[str, Any]]
    distance: float | None
    threshold: float | None
    false_match_rate: float | None
    nearest_stranger: float | None

    @property
    def is_match(self) -> bool | None:
        """Whether login would take the two for one person, by distance alone; None where it cannot be said."""
        if self.distance is None or self.threshold is None:
            return None
        return self.distance <= self.threshold

    @property
    def verdict(self) -> str:
        """The result in a sentence."""
        if self.distance is None:
            return "No verdict: a picture shows no face."
        if self.threshold is None:
            return "No verdict: no threshold is known for this model."
        refused = [look["code"] for look in self.looks if look["code"]]
        aside = f" Login would not judge them at all: {', '.join(refused).replace('_', ' ')}." if refused else ""
        apart = abs(self.distance - self.threshold)
        if self.distance <= self.threshold:
            return f"One person: nearer than the threshold by {apart:.4f}.{aside}"
        return f"Not one person, as far as login can tell: beyond the threshold by {apart:.4f}.{aside}"

    @property
    def rarity(self) -> str:
        """How many strangers come as near, in a sentence."""
        if self.distance is None or self.nearest_stranger is None:
            return ""
        if self.false_match_rate is None:
            return f"No stranger of the calibration came as near: the nearest was at {self.nearest_stranger:.4f}."
        if self.false_match_rate > 0.5:
            return "Most strangers are as near."
        return f"Of strangers, about 1 in {1 / self.false_match_rate:,.0f} comes as near or nearer."

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "pictures": list(self.looks),
            "distance": None if self.distance is None else round(self.distance, 4),
            "threshold": self.threshold,
            "is_match": self.is_match,
            "false_match_rate": self.false_match_rate,
            "nearest_stranger": self.nearest_stranger,
            "verdict": self.verdict,
            "rarity": self.rarity,
        }


def explain(settings: FaceSettings, first: bytes, second: bytes) -> Explained:
    """Compare two JPEGs as login does, by the largest face of each.

    Raises Malformed for a picture that is none, and what Pipeline raises.
    """
    calibration, pipeline = calibration_of(settings), Pipeline(settings)
    one, other = (_looked_at(pipeline, data, name) for data, name in ((first, "first"), (second, "second")))
    distance = None if one[1] is None or other[1] is None else float(1 - one[1] @ other[1])
    near = calibration.curve[0][0] if calibration and calibration.curve else None
    return Explained(
        looks=(one[0], other[0]),
        distance=distance,
        threshold=_threshold(settings),
        false_match_rate=_rate(calibration, distance),
        nearest_stranger=near,
    )


def _looked_at(pipeline: Pipeline, data: bytes, name: str) -> tuple[dict[str, Any], Embedding | None]:
    picture = decode_frame(data, name)
    faces = pipeline.faces(picture)
    look = pipeline.look(picture, faces)
    return look_document(look), pipeline.embed(picture, faces[0]) if faces else None


def look_document(look: Look) -> dict[str, Any]:
    """Return a picture's measures as JSON has them; `code` is what login would refuse it for, or None."""
    hint = quality.hint_of(look)
    return {
        "width": look.width,
        "height": look.height,
        "faces": len(look.face_heights),
        "code": hint.value if hint else None,
        **(_features_document(look.features) if look.features else {}),
    }


def _features_document(features: Features) -> dict[str, Any]:
    pose = features.pose
    return {
        "face_height_px": round(features.face.height),
        "confidence": round(features.face.confidence, 3),
        "yaw": round(pose.yaw, 1),
        "pitch": round(pose.pitch, 1),
        "roll": round(pose.roll, 1),
        "eyes_open": [round(eye, 2) for eye in features.eyes_open],
        "light": round(features.light),
        "detail": round(features.detail, 4),
    }


def _threshold(settings: FaceSettings) -> float | None:
    try:
        return thresholds_of(settings).match
    except SettingsRefused:
        if settings.calibration is not None:
            raise
        return None


def _rate(calibration: Calibration | None, distance: float | None) -> float | None:
    return calibration.false_match_rate(distance) if calibration and distance is not None else None
