"""Which pictures a face is enrolled from, and whether they are enough. Pure.

A template of several poses is nearer to how a person will stand another day than one of a single picture,
and a person whose head was seen from two sides is not a photograph.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from auth_contract.actions import CaptureHint
from auth_contract.limits import ENROL_FRAMES_MIN
from auth_server.errors import FaceUnusable
from auth_server.face.glimpse import Glimpse, apart
from auth_vision import quality
from auth_vision.look import Pose

PICTURES_MAX: Final = 5
YAW_MAX: Final = 25.0
"""Degrees; a face that is turned farther is recognised worse than it helps."""

POSES_APART: Final = 6.0
"""Degrees of yaw or pitch by which two poses differ; a head that is held still moves by 2 by the pose model."""


def choose_pictures(glimpses: Sequence[Glimpse]) -> tuple[int, ...]:
    """Return the places of three to five good pictures of a recording, as different as can be.

    Raises FaceUnusable with the hint of the first that will not do, where too few are good or all show one pose.
    """
    good = {
        place: glimpse.look.features.pose
        for place, glimpse in enumerate(glimpses)
        if glimpse.look.features is not None
        and quality.hint_of(glimpse.look) is None
        and abs(glimpse.look.features.pose.yaw) <= YAW_MAX
    }
    if len(good) < ENROL_FRAMES_MIN:
        raise _too_few(glimpses, good)
    chosen = [min(good, key=lambda place: abs(good[place].yaw))]
    while len(chosen) < min(PICTURES_MAX, len(good)):
        left = [place for place in good if place not in chosen]
        chosen.append(max(left, key=lambda place: min(apart(good[place], good[other]) for other in chosen)))
    check_poses([good[place] for place in chosen], place=chosen[-1])
    return tuple(sorted(chosen))


def places_of_one_person(distances: NDArray[np.floating], limit: float, *, spares: int) -> tuple[int, ...]:
    """Return the places of the pictures that are all of one person by their distances from one another.

    Of a recording, which is of one person already, `spares` pictures may be left out: a half turn to the left and
    one to the right are at times farther apart than two people. Raises FaceUnusable for the first one too many.
    """
    places = list(range(len(distances)))
    while (among := distances[np.ix_(places, places)]).max() > limit:
        odd = places.pop(int(among.sum(axis=1).argmax()))
        if len(distances) - len(places) > spares:
            raise FaceUnusable(odd, CaptureHint.SEVERAL_FACES, "it shows somebody else than the other pictures")
    return tuple(places)


def check_pictures(glimpses: Sequence[Glimpse], *, is_vouched: bool) -> None:
    """Raise FaceUnusable for the first of an administrator's pictures that is not good.

    Where nobody vouches for them, also for too few, and where all show one pose.
    """
    for place, glimpse in enumerate(glimpses):
        hint = quality.hint_of(glimpse.look)
        if hint is not None:
            raise FaceUnusable(place, hint)
    if is_vouched:
        return
    if len(glimpses) < ENROL_FRAMES_MIN:
        raise FaceUnusable(len(glimpses) - 1, CaptureHint.ONE_POSE, f"{ENROL_FRAMES_MIN} pictures or more are needed")
    poses = [glimpse.look.features.pose for glimpse in glimpses if glimpse.look.features is not None]
    check_poses(poses, place=len(poses) - 1)


def check_poses(poses: Sequence[Pose], *, place: int) -> None:
    """Raise FaceUnusable with `ONE_POSE`, for the picture at `place`, unless two of the poses are apart."""
    if not any(apart(one, other) >= POSES_APART for one in poses for other in poses):
        raise FaceUnusable(place, CaptureHint.ONE_POSE)


def _too_few(glimpses: Sequence[Glimpse], good: dict[int, Pose]) -> FaceUnusable:
    place = next((place for place in range(len(glimpses)) if place not in good), 0)
    return FaceUnusable(place, quality.hint_of(glimpses[place].look) or CaptureHint.TURNED)
