"""Whether frames form one continuous recording. Pure.

Between two frames a head moves, grows and turns only so far, and what stands around it stays mostly where it
was. The bounds have a part for what the measuring models err by and a part that grows with the time between
the frames. Measured on live-turning-1 (a hand-held phone, which a kiosk's camera is not), at 0.13 s and 0.27 s:
place 0.15 and 0.19 face heights, size 0.21 and 0.25, yaw 13 and 25 degrees at most; scene 0.71 and 0.53 at least.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from auth_contract.actions import Movement
from auth_server.domain import Evidence
from auth_server.face.glimpse import SMALL_WIDTH, Glimpse, Grey
from auth_server.face.recording import Recording
from auth_vision.geometry import Points
from auth_vision.look import Features

PLACE: Final = (0.15, 1.0)
"""How far a face's middle may move: face heights at once, and more of them in each second."""

SIZE: Final = (0.25, 0.6)
"""The logarithm of how much larger or smaller it may become."""

TURN: Final = (15.0, 150.0)
"""Degrees of yaw."""

ACROSS: Final = (0.15, 1.5)
"""Distances between the eyes that the nose may move across."""

SCENE: Final = (0.75, 1.2)
"""The least correlation of two whole frames in small, and how much less after a second."""

SCENE_LEAST: Final = 0.1


@dataclass(frozen=True, slots=True)
class Continuity:
    """`problem` is None for one recording; the evidence has the largest jump, 1 at its bound, and the least scene."""

    problem: str | None
    evidence: Evidence


def continuity_of(recording: Recording, glimpses: Sequence[Glimpse]) -> Continuity:
    """Return whether the frames of a recording with marks are one."""
    times = [mark.at_ms / 1000 for mark in recording.marks]
    scenes = [
        _scene(glimpses[here], glimpses[there], is_near=_has_come_closer(recording, there))
        - _least_scene(times[there] - times[here])
        for here, there in itertools.pairwise(range(len(glimpses)))
    ]
    with_face = [(place, features) for place, one in enumerate(glimpses) if (features := one.look.features) is not None]
    jumps = [
        max(_shares(one, other, times[there] - times[here]))
        for (here, one), (there, other) in itertools.pairwise(with_face)
    ]
    # Of numpy, by which a NaN is the greatest and the least; it breaks the recording.
    jump, scene = float(np.max(jumps, initial=0.0)), float(np.min(scenes, initial=1.0))
    evidence: Evidence = {"jump": round(jump, 2), "scene": round(scene, 2)}
    return Continuity(None if jump <= 1 and scene >= 0 else "broken", evidence)


def _shares(one: Features, other: Features, seconds: float) -> Iterator[float]:
    """How far a face moved, in each way of moving, by what it may in that time."""
    heights = one.face.height, other.face.height
    yield float(np.linalg.norm(_middle(other) - _middle(one))) / min(heights) / _bound(PLACE, seconds)
    yield abs(float(np.log(heights[1] / heights[0]))) / _bound(SIZE, seconds)
    yield abs(other.pose.yaw - one.pose.yaw) / _bound(TURN, seconds)
    yield abs(other.nose_across - one.nose_across) / _bound(ACROSS, seconds)


def _middle(features: Features) -> Points:
    box = features.face.box
    return np.array([box.x + box.width / 2, box.y + box.height / 2])


def _bound(rule: tuple[float, float], seconds: float) -> float:
    return rule[0] + rule[1] * seconds


def _least_scene(seconds: float) -> float:
    return max(SCENE[0] - SCENE[1] * seconds, SCENE_LEAST)


def _has_come_closer(recording: Recording, place: int) -> bool:
    return Movement.COME_CLOSER in recording.movements[: recording.marks[place].part]


def _scene(one: Glimpse, other: Glimpse, *, is_near: bool) -> float:
    """The correlation of two frames; of somebody who comes closer, also once the first is seen from as near."""
    found = _correlation(one.small, other.small)
    before, after = one.look.features, other.look.features
    if not is_near or before is None or after is None:
        return found
    scale, small = after.face.height / before.face.height, SMALL_WIDTH / one.look.width
    x, y = (_middle(after) - scale * _middle(before)) * small
    matrix = np.array([[scale, 0, x], [0, scale, y]])
    size = (one.small.shape[1], one.small.shape[0])
    nearer = cv2.warpAffine(one.small, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return max(found, _correlation(np.asarray(nearer, np.uint8), other.small))


def _correlation(one: Grey, other: Grey) -> float:
    """Of two pictures of one size, 1 for the same; brightness and contrast do not count."""
    a, b = (picture.astype(np.float64) - picture.mean() for picture in (one, other))
    sizes = float(np.sqrt((a * a).sum() * (b * b).sum()))
    return float((a * b).sum()) / sizes if sizes > 0 else 1.0
