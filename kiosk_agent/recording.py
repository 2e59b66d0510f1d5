"""Which pictures of a recording are sent. Pure.

Of each movement the first and the last picture, those that show it, and so many between them that no gap is
long: in a longer one somebody else could step in unseen, so the server refuses it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from typing import Final

from auth_contract.actions import CaptureHint, Movement
from auth_contract.limits import FRAMES_MAX
from auth_vision.look import Features, Look
from auth_vision.movement import Rest, is_done

BEFORE: Final = 3
"""Frontal pictures before the first movement."""

AFTER: Final = 2
"""And after the last."""

PART_MIN: Final = 6
PART_MAX: Final = 9
"""Pictures of a movement, unless its time was so long that they would leave gaps: as many as there is room for."""

GAP_MAX_MS: Final = 1400
"""The server takes 1500."""

_BACK_ACROSS: Final = 0.06
_BACK_DOWN: Final = 0.05


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture as it would be sent; `look` and `hint` are None where nobody guides."""

    jpeg: bytes = field(repr=False)
    at_ms: int
    part: int
    look: Look | None = None
    hint: CaptureHint | None = None

    @property
    def features(self) -> Features | None:
        """What was measured of the face."""
        return None if self.look is None else self.look.features


def features_of(shots: Sequence[Shot]) -> list[Features]:
    """Return what was measured of the faces; pictures without one give nothing."""
    return [features for shot in shots if (features := shot.features) is not None]


def with_faces(shots: Sequence[Shot]) -> list[Shot]:
    """Return the first and the last picture and those between them that show a face, unless that leaves gaps."""
    found = [*shots[:1], *(shot for shot in shots[1:-1] if shot.features is not None), *shots[1:][-1:]]
    return found if all(b.at_ms - a.at_ms <= GAP_MAX_MS for a, b in pairwise(found)) else list(shots)


def shows(movement: Movement, rest: Rest, frontal: Features, shot: Shot) -> bool:
    """Return whether a picture by itself shows a movement: one that begins with it has not been made in it."""
    return shot.features is not None and is_done(movement, rest, (frontal, shot.features, frontal))


def is_back(rest: Rest, shot: Shot) -> bool:
    """Return whether a face looks into the camera again."""
    one = shot.features
    if one is None or shot.hint is not None:
        return False
    return abs(one.nose_across - rest.across) <= _BACK_ACROSS and abs(one.nose_down - rest.down) <= _BACK_DOWN


def telling(movement: Movement, rest: Rest, shots: Sequence[Shot]) -> tuple[list[int], list[int]]:
    """Return the places of the pictures that must be sent to show a movement, and of those that had better be."""
    places = [place for place, shot in enumerate(shots) if shot.features is not None]
    seen = features_of(shots)
    done = next((count for count in range(1, len(seen) + 1) if is_done(movement, rest, seen[:count])), 0)
    if not done:
        return [], []
    last = places[done - 1]
    if movement is not Movement.BLINK:
        return [last], [last - 1]
    # Open, shut and open again: the first that are open may come late, after a look upwards.
    blinks = [
        (places[first], places[shut])
        for shut in range(1, done - 1)
        for first in range(shut)
        if is_done(movement, rest, (seen[first], seen[shut], seen[done - 1]))
    ]
    before, middle = blinks[len(blinks) // 2]
    return [before, middle, last], [middle - 1, middle + 1]


def part_max(movements: int) -> int:
    """Return how many pictures of each of so many movements are sent, 6 to 9: the nearer, the less is unseen."""
    return min(max((FRAMES_MAX - BEFORE - AFTER) // max(movements, 1), PART_MIN), PART_MAX)


def thinned(shots: Sequence[Shot], must: Sequence[int], better: Sequence[int], most: int) -> list[Shot]:
    """Return the pictures of a part that are sent, in their order: so many at most, unless that leaves gaps."""
    kept = _without_gaps(shots, sorted({0, len(shots) - 1, *must}))
    waiting = [place for place in better if place not in kept]
    while len(kept) < min(len(shots), most):
        kept = sorted({*kept, waiting.pop(0) if waiting else _middle_of_widest(shots, kept)})
    return [shots[place] for place in kept]


def fitted(parts: Sequence[list[Shot]]) -> list[Shot]:
    """Return the pictures of all parts in their order, the middle of the largest left out while they are too many.

    That leaves a gap, for which the server refuses them; only somebody very slow in every movement comes so far.
    """
    left = [list(part) for part in parts]
    while sum(map(len, left)) > FRAMES_MAX:
        largest = max(left, key=len)
        largest.pop(len(largest) // 2)
    return list(chain(*left))


def _without_gaps(shots: Sequence[Shot], fixed: Sequence[int]) -> list[int]:
    """The places in `fixed`, and as few as can be between them so that no gap is long."""
    kept = [fixed[0]]
    for goal in fixed[1:]:
        while shots[goal].at_ms - shots[kept[-1]].at_ms > GAP_MAX_MS:
            near = [place for place in range(kept[-1] + 1, goal) if _gap_ms(shots, kept[-1], place) <= GAP_MAX_MS]
            if not near and kept[-1] + 1 == goal:
                break
            kept.append(near[-1] if near else kept[-1] + 1)
        kept.append(goal)
    return kept


def _middle_of_widest(shots: Sequence[Shot], kept: Sequence[int]) -> int:
    """The place in the middle of the longest time between two kept pictures that have others between them."""
    split = [pair for pair in pairwise(kept) if pair[1] - pair[0] > 1]
    earlier, later = max(split, key=lambda pair: _gap_ms(shots, *pair))
    return (earlier + later) // 2


def _gap_ms(shots: Sequence[Shot], earlier: int, later: int) -> int:
    return shots[later].at_ms - shots[earlier].at_ms
