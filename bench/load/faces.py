"""Pictures of people whom the face check lets in: those of the demo, and those of a folder that has one for each."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from auth_contract.actions import Movement
from auth_server.errors import FaceUnusable
from auth_server.face.copies import against_copies
from auth_server.face.engine import EnrolledFace, FaceEngine
from auth_server.factors import face
from demo.pictures import Pictures, poses

FRAMES: Final = 3
"""Pictures of one submission."""

FACES_MAX: Final = 64


class FacesMissing(Exception):
    """There is nobody whom the face check would let in."""


@dataclass(frozen=True)
class Face:
    """What is enrolled of somebody, and the pictures of a login."""

    enrolled: EnrolledFace
    frames: tuple[Path, ...]


def faces(engine: FaceEngine, pictures: Pictures, people: Path | None) -> list[Face]:
    """Return the faces with which people log in. Raises FacesMissing where a folder gives none."""
    found = [made for candidate in _of_demo(pictures) if (made := _face(engine, *candidate)) is not None]
    if people is None:
        return found
    others: list[Face] = []
    for candidate in _of_folder(people):
        if len(others) < FACES_MAX and (made := _face(engine, *candidate)) is not None:
            others.append(made)
    if not others:
        raise FacesMissing(
            f"{people}: nobody there has {FRAMES + 1} pictures or more by which the face check lets them in; "
            "name a folder that has a folder of JPEG files for each person"
        )
    return [*found, *others]


def _of_demo(pictures: Pictures) -> Iterator[tuple[list[Path], list[Path]]]:
    yield poses(pictures), sorted((pictures.ada / "rest").glob("*.jpg"))[:FRAMES]
    # Of another pose than the logins, since a copy of the enrolled picture is refused.
    turned = sorted((pictures.eve / Movement.TURN_LEFT.value).glob("*.jpg"))[3:4]
    yield turned, sorted((pictures.eve / "rest").glob("*.jpg"))[:FRAMES]


def _of_folder(people: Path) -> Iterator[tuple[list[Path], list[Path]]]:
    for folder in sorted(path for path in people.iterdir() if path.is_dir()):
        seen = sorted(folder.glob("*.jpg"))[: FRAMES + 1]
        if len(seen) > FRAMES:
            yield seen[:1], seen[1:]


def _face(engine: FaceEngine, enrolled: list[Path], frames: list[Path]) -> Face | None:
    """Enrol and look at a login as the server does; None where it would not be granted."""
    try:
        made = engine.enrol([path.read_bytes() for path in enrolled])
    except FaceUnusable:
        return None
    seen = engine.observe([path.read_bytes() for path in frames])
    verdict = face.verify(
        claim=against_copies(seen, made.picture_png, with_movements=False),
        enrolment=made.template,
        threshold=engine.threshold,
        presence_threshold=engine.presence_threshold,
    )
    return Face(made, tuple(frames)) if verdict.passed else None
