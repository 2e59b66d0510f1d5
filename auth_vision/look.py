"""What was measured of one picture, as plain numbers. Pure data.

Left and right are the person's own, as in "turn left"; a camera sees a person's left on the right of
its picture. Degrees: yaw grows to the person's left, pitch upwards, roll to the person's left shoulder.
"""

from dataclasses import dataclass

from auth_vision.geometry import Box, Points


@dataclass(frozen=True, slots=True)
class Face:
    """A detected face: its box, 68 and five points in pixels, and the detector's confidence, 0 to 1."""

    box: Box
    landmarks: Points
    points: Points
    confidence: float

    @property
    def height(self) -> float:
        """Of its box, in pixels."""
        return self.box.height


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a head looks, in degrees, as the pose model sees it: a usual frontal face has a pitch of about -12."""

    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True, slots=True)
class Features:
    """What was measured of the largest face.

    `nose_across` is the nose tip's place along the line through the eyes, from their middle, in distances
    between the eyes: near 0 for a frontal face, positive for one turned to the person's left. `nose_down`
    is its place between eyes (0) and mouth (1): about 0.55 for a frontal face, less for one that looks up.
    No turn of a flat picture changes either by much; the turn of a solid head does.

    `eyes_open` are the probabilities of open eyes, left of the picture first; `eye_ratio` is an eye's height
    over its width, about 0.3 (0.2 for narrow eyes), lower when shut. `light` is the mean grey of the face,
    0 to 255, `detail` its sharpness: 0 for a flat one, 0.1 for a usual photograph. `unsteadiness` is how far the
    points of the face move, in its heights, when they are looked for again in other crops: 0.01 for a face,
    0.05 and more mostly for a head on its side, a cat, or a hand before the face.
    """

    face: Face
    pose: Pose
    nose_across: float
    nose_down: float
    eye_distance_px: float
    eyes_open: tuple[float, float]
    eye_ratio: float
    light: float
    detail: float
    unsteadiness: float = 0.0


@dataclass(frozen=True, slots=True)
class Look:
    """One picture's size, the heights of all sure faces in it, largest first, and the largest one's features."""

    width: int
    height: int
    face_heights: tuple[float, ...]
    features: Features | None
