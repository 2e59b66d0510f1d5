"""Footage held before a kiosk for every sequence that can be drawn: minutes long, so `make nightly` runs it."""

import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

from auth_contract.actions import Movement
from auth_server.domain import Template, Verdict
from auth_server.face.engine import FaceEngine
from auth_server.face.trials import Footage, Remembering, trial
from auth_server.factors import face
from tests.auth_server.face.test_on_real_people import BLINK, LEFT, PATIENCE_S, RIGHT, UP, video

pytestmark = pytest.mark.skipif("FOURAUTH_NIGHTLY" not in os.environ, reason="takes minutes: `make nightly` runs it")

SEQUENCES = list(itertools.permutations(Movement, 3))
ATTACKS = ["replay-phone-1.mp4", "replay-screen-1.mp4", "attack-1.jpg", "attack-2.jpg"]
STARTS = 3

BEFORE = 13
"""Pictures, 0.4 s, in which a kiosk takes three frontal ones before it asks for anything."""

SERVED: dict[tuple[Movement, ...], range] = {
    (LEFT, RIGHT): range(5, 59 - BEFORE, 3),
    (LEFT, RIGHT, UP): range(5, 59 - BEFORE, 3),
    (UP, BLINK): range(411, 433 - BEFORE, 3),
}
"""What live-turning-1 shows when it is played forward from these pictures on; movements begin at 59, 219 and 433."""

LOST: dict[tuple[Movement, ...], range] = {
    (RIGHT, UP): range(185, 219 - BEFORE, 3),
    (RIGHT, UP, BLINK): range(185, 219 - BEFORE, 3),
}
"""The same, but for most of its time the second movement shows a man who looks at his feet, and no face."""


def footage_of(path: Path, engine: FaceEngine) -> Footage:
    if path.suffix == ".jpg":
        picture = cv2.imread(str(path))
        assert picture is not None
        return Footage([np.asarray(picture, np.uint8)], 8.0, Remembering(engine.looker))
    return Footage(*video(path), Remembering(engine.looker))


def verdicts(
    engine: FaceEngine, footage: Footage, asked: Iterator[tuple[Sequence[Movement], int]], *, is_passive: bool = True
) -> list[Verdict]:
    """The verdicts on footage of the very person who is enrolled, for each sequence and start."""
    found = []
    for movements, offset in asked:
        seen = engine.observe_by(footage.looker, trial(footage, movements, offset=offset, patience_s=PATIENCE_S))
        own = seen.template or Template(engine.model, b"")
        least = engine.presence_threshold if is_passive else None
        found.append(face.verify(claim=seen, enrolment=own, threshold=engine.threshold, presence_threshold=least))
    return found


def test_live_footage_passes_what_it_contains(test_data: Path, engine: FaceEngine) -> None:
    live = footage_of(test_data / "liveness" / "live-turning-1.mp4", engine)
    shares = {}
    for name, contained in (("served", SERVED), ("face lost on the way", LOST)):
        asked = [(movements, offset) for movements, offsets in contained.items() for offset in offsets]
        passed = [verdict.passed for verdict in verdicts(engine, live, iter(asked))]
        shares[name] = sum(passed) / len(passed)
        print(f"\nlive-turning-1, {name}: {sum(passed)} of {len(passed)} passed")
    assert shares["served"] >= 0.95


@pytest.mark.parametrize("name", ATTACKS)
def test_no_attack_passes_any_sequence(test_data: Path, engine: FaceEngine, name: str) -> None:
    footage = footage_of(test_data / "liveness" / name, engine)
    starts = sorted({len(footage.pictures) * part // STARTS for part in range(STARTS)})
    found = verdicts(engine, footage, itertools.product(SEQUENCES, starts), is_passive=False)
    # The same submissions once more with the passive layer, which only ever takes a grant away.
    both = [one for one in found if one.passed and _is_real(one, engine)]
    by_movements = sum(one.passed for one in found)
    print(f"\n{name}: of {len(found)} submissions {by_movements} passed by movements alone, {len(both)} by both layers")
    assert not both


def _is_real(verdict: Verdict, engine: FaceEngine) -> bool:
    presence = verdict.evidence["presence"]
    assert engine.presence_threshold is not None
    return isinstance(presence, float) and presence >= engine.presence_threshold
