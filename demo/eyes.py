"""Opens the eyes of a portrait whose person looks down, with those of another: a camera looks people in the eyes."""

from typing import Final

import cv2
import numpy as np

from auth_vision.geometry import Picture, Points, similarity

_EYES: Final = (36, 42)
_AROUND: Final = (1.5, 0.95)
"""Of an eye's width, across and down: lids and brows come along."""


def with_eyes_of(picture: Picture, points: Points, other: Picture, others_points: Points) -> Picture:
    """Return the portrait with the other's eyes; both points are the usual 68."""
    seen: Picture = picture
    for start in _EYES:
        corners = [start, start + 3]
        matrix = similarity(others_points[corners], points[corners])
        moved = cv2.warpAffine(other, matrix, picture.shape[1::-1], flags=cv2.INTER_CUBIC)
        mask = _mask(picture, points[start : start + 6])
        left, top, width, height = cv2.boundingRect(mask)
        place = (left + width // 2, top + height // 2)
        seen = np.asarray(cv2.seamlessClone(moved, seen, mask, place, cv2.NORMAL_CLONE), np.uint8)
    return seen


def _mask(picture: Picture, eye: Points) -> Picture:
    mask = np.zeros(picture.shape[:2], np.uint8)
    x, y = (float(number) for number in eye.mean(axis=0))
    across = eye[3] - eye[0]
    width = float(np.linalg.norm(across))
    angle = float(np.degrees(np.arctan2(across[1], across[0])))
    cv2.ellipse(mask, ((x, y), (width * _AROUND[0], width * _AROUND[1]), angle), 255, -1)
    return mask
