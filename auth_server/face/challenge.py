"""What a person is asked to do before the camera: drawn for each attempt, and looked for in its recording. Pure.

Chance is handed in: a drawn sequence must not be foreseen, or a recording for it could be made beforehand.
"""

import itertools
import random
from collections.abc import Sequence
from typing import Final

from auth_contract.actions import HEAD_MOVEMENTS, Movement
from auth_server.face.glimpse import Glimpse
from auth_server.face.recording import Recording
from auth_vision import movement
from auth_vision.look import Features

HEAD: Final = HEAD_MOVEMENTS
"""Movements that show the depth of a head; at least one of them is asked for, of whoever can do one."""

TURNS: Final = (Movement.TURN_LEFT, Movement.TURN_RIGHT)

FLAT_DEGREES: Final = 15.0
"""A turn by so much, seen by the pose model, moves the nose of a solid head by 0.15 distances between the eyes."""

FLAT_ACROSS: Final = 0.05
"""By which it moves at most on a flat picture."""


def draw(
    kinds: Sequence[Movement], count: int, exemptions: frozenset[Movement], rng: random.Random
) -> tuple[Movement, ...]:
    """Return `count` movements in a random order, none of those that the person cannot do.

    None comes twice while another is left, never one twice in a row where there are two, and one turns the head
    where the person can turn it. Whoever is exempt from all is asked for any: that is nobody's to be let off.
    """
    able = [kind for kind in kinds if kind not in exemptions] or list(kinds)
    while True:
        drawn: list[Movement] = []
        while len(drawn) < count:
            drawn += rng.sample(able, len(able))
        drawn = drawn[:count]
        is_varied = len(able) == 1 or all(one is not other for one, other in itertools.pairwise(drawn))
        if is_varied and (HEAD & set(drawn) or not HEAD & set(able)):
            return tuple(drawn)


def is_drawn_for(movements: Sequence[Movement], exemptions: frozenset[Movement]) -> bool:
    """Return whether this could have been drawn for a person with these exemptions, and for nobody who has more.

    An attempt is opened under a name that is only claimed: under that of somebody who cannot turn the head,
    anybody would otherwise be asked for less.
    """
    able = frozenset(Movement) - exemptions or frozenset(Movement)
    asked = set(movements)
    is_whole = len(asked) == min(len(movements), len(able))
    return asked <= able and is_whole and bool(HEAD & asked or not HEAD & able)


def seen_of(glimpses: Sequence[Glimpse], places: Sequence[int]) -> list[Features]:
    """Return what was measured of the faces in some frames; frames without a face give nothing."""
    found = [glimpses[place].look.features for place in places]
    return [features for features in found if features is not None]


def missing(recording: Recording, glimpses: Sequence[Glimpse]) -> int | None:
    """Return the number, from 1, of the first movement that was not made as asked, or None where all were.

    A turn that was not asked for, before the movement that was, is not as asked: a recording of somebody who
    does all of them again and again would have each in the end.
    """
    rest = movement.rest_of(seen_of(glimpses, recording.part(0)))
    for number, asked in enumerate(recording.movements, start=1):
        if not _is_made(asked, rest, seen_of(glimpses, recording.part(number))):
            return number
    return None


def _is_made(asked: Movement, rest: movement.Rest, seen: Sequence[Features]) -> bool:
    for count in range(1, len(seen) + 1):
        if movement.is_done(asked, rest, seen[:count]):
            return True
        if any(movement.is_done(other, rest, seen[:count]) for other in TURNS if other is not asked):
            return False
    return False


def is_flat(recording: Recording, glimpses: Sequence[Glimpse], number: int) -> bool:
    """Return whether a part shows a face that turns without depth: a picture that is turned before the camera."""
    rest = movement.rest_of(seen_of(glimpses, recording.part(0)))
    seen = seen_of(glimpses, recording.part(number))
    turned = [one for one in seen if abs(one.pose.yaw - rest.yaw) >= FLAT_DEGREES]
    return bool(turned) and all(abs(one.nose_across - rest.across) <= FLAT_ACROSS for one in turned)
