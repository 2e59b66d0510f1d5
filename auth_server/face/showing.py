"""One file held before a kiosk, judged by login's own code: by its look alone, and with every movement sequence."""

import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any, Final

from auth_contract.actions import CaptureHint, Movement
from auth_server.errors import Malformed
from auth_server.face.challenge import HEAD
from auth_server.face.engine import FaceEngine
from auth_server.face.footage import Clip
from auth_server.face.observation import Observation
from auth_server.face.recording import Recording
from auth_server.face.trials import STEP_MS, Remembering, trial
from auth_server.settings import FaceSettings

FRAMES: Final = 5
"""Pictures of a submission in which nothing is asked."""

_ANY_THRESHOLD: Final = 0.5
"""The match is not what is judged here, so a recogniser without a calibration will do."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one submission: the `hint` of one without a judgement, the `problem` of one that was refused.

    `presence` is the mean probability of a real face, where one was judged.
    """

    asked: str
    presence: float | None
    hint: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Showing:
    """All submissions that were made of a file."""

    passive: tuple[Outcome, ...]
    active: tuple[Outcome, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)


def showing_of(document: Any) -> Showing:
    """Return what `document` told. Raises KeyError or TypeError for anything else."""
    passive, active = (tuple(Outcome(**one) for one in document[name]) for name in ("passive", "active"))
    return Showing(passive, active)


def sequences(count: int) -> list[tuple[Movement, ...]]:
    """Return every sequence of so many movements that the server may draw for a person who can do all."""
    return [asked for asked in itertools.permutations(Movement, count) if HEAD & set(asked)]


@lru_cache(maxsize=2)
def _engine_of(settings: FaceSettings) -> FaceEngine:
    return FaceEngine(settings)


def show(settings: FaceSettings, clip: Clip, starts: int) -> Showing:
    """Hold a clip before the camera: its look in parts, then every sequence, from so many places of the clip.

    Where the settings ask for no movements, or not for the look, that is left out.
    """
    chosen = settings.model_copy(update={"threshold": settings.threshold or _ANY_THRESHOLD})
    passive = _passive(chosen, clip) if settings.is_passive else ()
    return Showing(passive, _active(chosen, clip, starts) if settings.is_active else ())


def _passive(settings: FaceSettings, clip: Clip) -> tuple[Outcome, ...]:
    engine = _engine_of(settings.model_copy(update={"presence": "passive"}))
    step = max(1, round(STEP_MS / 1000 * clip.fps))
    seen = clip.jpegs[::step]
    parts = [seen[start : start + FRAMES] for start in range(0, len(seen), FRAMES)]
    whole = [part for part in parts if len(part) == FRAMES] or parts
    return tuple(_outcome(engine, Recording(part), "") for part in whole)


def _active(settings: FaceSettings, clip: Clip, starts: int) -> tuple[Outcome, ...]:
    engine = _engine_of(settings)
    looker = Remembering(engine.looker)
    footage = clip.shown_by(looker)
    offsets = sorted({start * len(clip.jpegs) // starts for start in range(starts)})
    found = []
    for offset, asked in itertools.product(offsets, sequences(settings.movements)):
        try:
            recording = trial(footage, asked, offset=offset)
        except Malformed:
            found.append(Outcome(_words(asked), None, problem="malformed"))
            continue
        found.append(_outcome(engine, recording, _words(asked), looker))
    return tuple(found)


def _outcome(engine: FaceEngine, recording: Recording, asked: str, looker: Remembering | None = None) -> Outcome:
    try:
        seen = engine.observe_by(looker or engine.looker, recording)
    except Malformed:
        return Outcome(asked, None, problem="malformed")
    return Outcome(asked, seen.presence, _hint(seen.capture_hint), _problem(seen))


def _hint(hint: CaptureHint | None) -> str | None:
    return hint.value if hint else None


def _problem(seen: Observation) -> str | None:
    if seen.problem is not None or seen.capture_hint is not None:
        return seen.problem
    return None if seen.is_one_person else "two_people"


def _words(asked: Sequence[Movement]) -> str:
    return " ".join(asked)
