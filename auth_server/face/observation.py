"""What the face engine hands to the rest of the server. Pure data."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from auth_contract.actions import CaptureHint
from auth_server.domain import Evidence, Template

Chip = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Observation:
    """What the pictures of one submission show.

    `template` is the normalised mean of the embeddings of frontal frames, or None with a `capture_hint`
    that says why no judgement was possible. `presence` is the mean of the anti-spoofing model's "real",
    0 to 1, or None where that is not asked for. `is_one_person` is false when two frames are too far
    apart (`spread` and `witness_distance` in the evidence) to show one person: then a part of the
    pictures was brought in by somebody else.

    `problem` is a word for what speaks against a recording of a person who did as asked, None where nothing
    does; it may stand beside a template. `chips` are the aligned faces of the frontal frames, to be compared
    with the enrolled picture where presence is asked for; they are dropped with the observation.

    The evidence has `frames`, `model`, and where judged `spread`, `presence` and `face_height_px`.
    """

    template: Template | None = field(repr=False)
    capture_hint: CaptureHint | None
    presence: float | None
    is_one_person: bool
    evidence: Evidence
    problem: str | None = None
    chips: tuple[Chip, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class EnrolledFace:
    """A face to be stored: its template, and the aligned picture to re-embed it from, as PNG.

    `presence`, `problem` and `evidence` are as in an observation.
    """

    template: Template = field(repr=False)
    picture_png: bytes = field(repr=False)
    presence: float | None = None
    evidence: Evidence = field(default_factory=dict)
    problem: str | None = None
