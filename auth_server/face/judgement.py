"""From what was seen of each frame to one observation. Pure, but for the portraits that it asks for.

Frames to judge by -> one person in all of them -> one continuous recording -> movements done.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from auth_contract.actions import CaptureHint
from auth_server.domain import Evidence, Template
from auth_server.face import challenge
from auth_server.face.choice import Choice, Unusable, choose
from auth_server.face.continuity import continuity_of
from auth_server.face.glimpse import Glimpse, Portrait, pose_of
from auth_server.face.observation import Observation
from auth_server.face.pipeline import Embedding, unit
from auth_server.face.recording import Recording, problem_of_marks
from auth_server.face.repetition import problem_of_pictures

PRESENCE_YAW_MAX: Final = 20.0
PRESENCE_MAX: Final = 7
"""Frames over which presence is averaged: the frontal ones and some that are turned a little."""


@dataclass(frozen=True, slots=True)
class Rules:
    """What the engine asks for. `one_person_max` is a cosine distance: between two frontal frames at most, and
    between a turned one and all frontal ones together."""

    model: str
    one_person_max: float
    is_active: bool
    is_presence_asked: bool


See = Callable[[Sequence[int]], list[Portrait]]
"""Returns the portraits of the frames at some places."""


def judge(recording: Recording, glimpses: Sequence[Glimpse], see: See, rules: Rules) -> Observation:
    """Return what a recording shows."""
    evidence: Evidence = {"frames": len(glimpses), "model": rules.model}
    problem = _problem_of_frames(recording, glimpses, rules)
    # Parts that are out of order are no parts to choose from.
    chosen = choose(recording if problem is None else replace(recording, movements=()), glimpses)
    if isinstance(chosen, Unusable):
        return _unjudged(chosen, problem, evidence)
    seen = _one_person(chosen, glimpses, see, rules)
    seen = replace(seen, problem=problem, evidence={**evidence, **seen.evidence})
    return _with_movements(seen, recording, glimpses) if recording.movements and problem is None else seen


def fuse(embeddings: Sequence[Embedding]) -> tuple[Embedding, Embedding]:
    """Return the normalised mean of unit-length embeddings, and the distances between each two of them."""
    rows = np.stack(embeddings)
    return unit(rows.mean(axis=0)), np.asarray(1 - rows @ rows.T, dtype=np.float32)


def template_of(model: str, embedding: Embedding) -> Template:
    """Return an embedding as it is stored."""
    return Template(model, embedding.astype("<f4").tobytes())


def mean_presence(portraits: Sequence[Portrait]) -> float | None:
    """Return the mean presence, or None where it is off."""
    scores = [portrait.presence for portrait in portraits if portrait.presence is not None]
    return float(np.mean(scores)) if scores else None


def _problem_of_frames(recording: Recording, glimpses: Sequence[Glimpse], rules: Rules) -> str | None:
    """What keeps frames from being a recording of what was asked, whatever they show."""
    if rules.is_active and not recording.movements and not recording.is_still:
        return "nothing_asked"
    if len({(glimpse.look.width, glimpse.look.height) for glimpse in glimpses}) > 1:
        return "mixed_sizes"
    return problem_of_marks(recording) or (problem_of_pictures(glimpses) if rules.is_presence_asked else None)


def _unjudged(why: Unusable, problem: str | None, evidence: Evidence) -> Observation:
    return Observation(
        template=None,
        capture_hint=why.hint,
        presence=None,
        is_one_person=True,
        evidence={**evidence, "unusable_frame": why.place},
        problem=problem,
    )


def _one_person(chosen: Choice, glimpses: Sequence[Glimpse], see: See, rules: Rules) -> Observation:
    places = (*chosen.frontal, *chosen.witnesses)
    portraits = dict(zip(places, see(places), strict=True))
    frontal = [portraits[place] for place in chosen.frontal]
    fused, distances = fuse([portrait.embedding for portrait in frontal])
    spread = float(distances.max())
    strangest = max((float(1 - portraits[place].embedding @ fused) for place in chosen.witnesses), default=0.0)
    level = [place for place in chosen.witnesses if abs(pose_of(glimpses[place]).yaw) <= PRESENCE_YAW_MAX]
    presence = mean_presence([portraits[place] for place in (*chosen.frontal, *level)[:PRESENCE_MAX]])
    return Observation(
        template=template_of(rules.model, fused),
        capture_hint=None,
        presence=presence,
        is_one_person=spread <= rules.one_person_max and strangest <= rules.one_person_max,
        evidence={
            "spread": round(spread, 4),
            "witness_distance": round(strangest, 4),
            "presence": None if presence is None else round(presence, 4),
            "face_height_px": round(min(_height(glimpses[place]) for place in chosen.frontal)),
        },
        chips=tuple(portrait.chip for portrait in frontal) if rules.is_presence_asked else (),
    )


def _with_movements(seen: Observation, recording: Recording, glimpses: Sequence[Glimpse]) -> Observation:
    """The same with what speaks against the movements; one that was not made is told, if nothing else is wrong."""
    found = continuity_of(recording, glimpses)
    missing = challenge.missing(recording, glimpses)
    evidence = {**seen.evidence, **found.evidence, "movements": len(recording.movements), "missing_movement": missing}
    problem = found.problem
    if problem is None and missing is not None and challenge.is_flat(recording, glimpses, missing):
        problem = "flat"
    seen = replace(seen, problem=problem, evidence=evidence)
    if missing is None or problem is not None or not seen.is_one_person:
        return seen
    evidence = {**evidence, "unusable_frame": recording.part(missing)[0]}
    return replace(seen, template=None, capture_hint=CaptureHint.MOVEMENT, chips=(), evidence=evidence)


def _height(glimpse: Glimpse) -> float:
    return glimpse.look.face_heights[0]
