"""One picture, measured: the largest face's points, pose, eyes, light and sharpness."""

from pathlib import Path

import numpy as np

from auth_vision import light, quality
from auth_vision.detector import FaceFinder
from auth_vision.eyes import Eyes, eye_ratio
from auth_vision.geometry import Box, Picture, Points, align, five_points
from auth_vision.landmarks import Landmarks
from auth_vision.look import Face, Features, Look
from auth_vision.pose import PoseFinder


class Sight:
    """The measuring models, loaded once. Its methods may be called from any thread."""

    def __init__(self, folder: Path, *, is_small: bool = False) -> None:
        """Load the models from a folder; small ones keep no memory between pictures. Raises ModelsRefused."""
        self.finder = FaceFinder(folder, is_small=is_small)
        self.landmarks = Landmarks(folder, is_small=is_small)
        self.pose = PoseFinder(folder, is_small=is_small)
        self.eyes = Eyes(folder, is_small=is_small)

    def faces(self, picture: Picture) -> list[Face]:
        """Return the faces that are surely faces in a BGR picture, largest first."""
        sure = [(box, score) for box, score in self.finder.find(picture) if score >= quality.FACE_MIN_CONFIDENCE]
        found = [self.face(picture, box, score) for box, score in sure]
        return sorted(found, key=lambda face: face.box.width * face.box.height, reverse=True)

    def face(self, picture: Picture, box: Box, confidence: float) -> Face:
        """Return the face in a box that any detector found."""
        landmarks = self.landmarks.find(picture, box)
        return Face(box, landmarks, five_points(landmarks), confidence)

    def look(self, picture: Picture) -> Look:
        """Return what is to be seen in a BGR picture."""
        return self.look_at(picture, self.faces(picture))

    def look_at(self, picture: Picture, faces: list[Face]) -> Look:
        """Return the look of a picture whose faces are known, largest first."""
        rows, columns = picture.shape[:2]
        features = self._features(picture, faces[0]) if faces else None
        return Look(columns, rows, tuple(face.height for face in faces), features)

    def _features(self, picture: Picture, face: Face) -> Features:
        chip = align(picture, face.points)
        across, down, distance = nose_place(face.points)
        return Features(
            face=face,
            pose=self.pose.find(picture, face.box),
            nose_across=across,
            nose_down=down,
            eye_distance_px=distance,
            eyes_open=self.eyes.open(picture, face.landmarks),
            eye_ratio=eye_ratio(face.landmarks),
            light=light.light(chip),
            detail=light.detail(chip),
            unsteadiness=self.landmarks.unsteadiness(picture, face.box, face.points),
        )


def nose_place(points: Points) -> tuple[float, float, float]:
    """Return where the nose tip is, across and down as in `Features`, and the distance between the eyes in pixels."""
    right_eye, left_eye, nose, *mouth = points
    across = left_eye - right_eye
    distance = max(float(np.linalg.norm(across)), 1e-6)
    along = across / distance
    below = np.array([-along[1], along[0]])
    middle = (right_eye + left_eye) / 2
    to_mouth = float((np.mean(mouth, axis=0) - middle) @ below)
    to_nose = nose - middle
    return float(to_nose @ along) / distance, float(to_nose @ below) / max(to_mouth, 1e-6), distance
