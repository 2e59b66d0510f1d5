"""Changes of keys as administrative acts: a row when one begins and a row when it ends, refused ones too.

What a key file holds and what the database holds cannot change in one transaction. So the row of the
beginning is written first, and a run that was killed is seen by the row that its end lacks.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from auth_server.key_forms import Key, Kind, waiting
from auth_server.key_rotation import Rotation
from provisioning.act import Act, commit, refusals_recorded


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: the key in use now, the ones before, and whether it went on with an earlier one."""

    present: Key[Any]
    before: Sequence[Key[Any]]
    is_continued: bool


def add_key(rotation: Rotation, kind: Kind) -> Key[Any]:
    """Make a key that waits to be taken into use."""
    with _recorded(rotation, "add", kind, {}) as more:
        made = rotation.add(kind)
        more["key"] = made.id
    return made


def rotate_key(rotation: Rotation, kind: Kind) -> Rotated:
    """Take the waiting key, or a new one, into use, or end a rotation that was interrupted."""
    is_continued = rotation.is_unfinished(kind)
    present, following = rotation.keys(kind)[0], waiting(rotation.keys(kind))
    told: dict[str, object] = {"before": present.id, "next": following and following.id, "continued": is_continued}
    with _recorded(rotation, "rotate", kind, {} if is_continued else told) as more:
        rotation.rotate(kind)
        present, *others = rotation.keys(kind)
        more["key"] = present.id
    # Only now: until its last row is written a rotation is one that has to be run again.
    rotation.settle(kind)
    return Rotated(present, [key for key in others if key.unused_since is None], is_continued)


def retire_keys(
    rotation: Rotation, kind: Kind, agree: Callable[[Sequence[Key[Any]]], None] = lambda _: None
) -> Sequence[Key[Any]]:
    """Remove the old keys, once `agree` returned, and return them."""
    act = _act(rotation, "retire", kind, {})
    with refusals_recorded(rotation.database, act):
        going = rotation.leaving(kind)
    agree(going)
    with _recorded(rotation, "retire", kind, {"keys": [key.id for key in going]}):
        rotation.retire(kind, going)
    return going


@contextmanager
def _recorded(rotation: Rotation, verb: str, kind: Kind, detail: dict[str, object]) -> Iterator[dict[str, object]]:
    """Write the row of the beginning, and that of the end with what was learnt meanwhile."""
    more = dict(detail)
    with refusals_recorded(rotation.database, _act(rotation, verb, kind, detail)):
        with commit(rotation.database, _act(rotation, verb, kind, {**detail, "stage": "begun"})):
            pass
        yield more
        with commit(rotation.database, _act(rotation, verb, kind, {**more, "stage": "ended"})):
            pass
    rotation.step("recorded")


def _act(rotation: Rotation, verb: str, kind: Kind, detail: dict[str, object]) -> Act:
    return Act(f"admin.keys.{verb}", rotation.now(), detail={"kind": kind.value, **detail})
