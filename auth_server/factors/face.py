"""Something you are: the face before the camera is the enrolled one, and a person's. Pure."""

import numpy as np

from auth_contract.actions import CaptureHint
from auth_server.domain import Evidence, Factor, Template, Verdict
from auth_server.face.observation import EnrolledFace, Observation


def verify(
    *,
    claim: Observation,
    enrolment: Template,
    threshold: float,
    presence_threshold: float | None,
    followed: Template | None = None,
) -> Verdict:
    """Accept an observation of one real person within `threshold` of the enrolled template.

    `threshold` is a cosine distance, 0 to 2, for a stated false-match rate; `presence_threshold`
    the least mean probability of a real face, None where it is not judged by. Pictures that
    cannot be judged fail with their hint, unless something else speaks against them: then they just fail.
    Templates of two models have no distance, and fail. Where there is a `followed` template, the nearer of the two
    counts, under the same threshold.

    Evidence: the observation's own, `distance`, `threshold`, `presence_threshold`,
    `is_one_person`, `template` (enrolled or followed, the nearer), `presence_problem` where something speaks
    against a live person who did as asked, and `problem` where no distance could be taken.
    """
    evidence = {
        **claim.evidence,
        "threshold": threshold,
        "presence_threshold": presence_threshold,
        "is_one_person": claim.is_one_person,
        **_problem(claim.problem),
    }
    if claim.capture_hint is not None or claim.template is None:
        hint = claim.capture_hint if claim.problem is None else None
        return Verdict(Factor.FACE, passed=False, evidence=evidence, capture_hint=hint)
    distance = distance_between(claim.template, enrolment)
    if isinstance(distance, str):
        return Verdict(Factor.FACE, passed=False, evidence=evidence | {"problem": distance})
    distance, nearer = _nearer(distance, claim.template, followed)
    is_present = presence_threshold is None or (claim.presence is not None and claim.presence >= presence_threshold)
    return Verdict(
        Factor.FACE,
        # Written so that a NaN, which compares false with everything, fails.
        passed=distance <= threshold and is_present and claim.is_one_person and claim.problem is None,
        evidence=evidence | {"distance": round(distance, 4), "template": nearer},
    )


def verify_new(*, claim: EnrolledFace | CaptureHint, presence_threshold: float | None) -> Verdict:
    """Accept a face that could be enrolled and is a real person's; pictures that could not fail with their hint.

    Evidence: the enrolment's own, `presence_threshold`, and `presence_problem` as in `verify`.
    """
    if isinstance(claim, CaptureHint):
        return Verdict(Factor.NEW_FACE, passed=False, capture_hint=claim)
    is_present = presence_threshold is None or (claim.presence is not None and claim.presence >= presence_threshold)
    return Verdict(
        Factor.NEW_FACE,
        passed=is_present and claim.problem is None,
        evidence={**claim.evidence, "presence_threshold": presence_threshold, **_problem(claim.problem)},
    )


def _problem(word: str | None) -> Evidence:
    return {} if word is None else {"presence_problem": word}


def _nearer(enrolled: float, seen: Template, followed: Template | None) -> tuple[float, str]:
    distance = None if followed is None else distance_between(seen, followed)
    # A followed template that cannot be compared is as if there were none; the enrolled one stands.
    if isinstance(distance, float) and distance < enrolled:
        return distance, "followed"
    return enrolled, "enrolled"


def distance_between(a: Template, b: Template) -> float | str:
    """Return the cosine distance of two templates, or why they have none."""
    if a.model != b.model:
        return f"the template is of model {b.model}, the observation of {a.model}"
    if len(a.embedding) != len(b.embedding) or len(a.embedding) % 4 or not a.embedding:
        return f"the template has {len(b.embedding)} bytes, the observation {len(a.embedding)}"
    with np.errstate(invalid="ignore"):  # of what is no number: it has no direction
        x, y = (np.frombuffer(template.embedding, dtype="<f4").astype(np.float64) for template in (a, b))
        lengths = float(np.linalg.norm(x) * np.linalg.norm(y))
    if not lengths > 0 or not np.isfinite(lengths):
        return "an embedding has no direction"
    return float(1 - (x @ y) / lengths)
