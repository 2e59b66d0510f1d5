"""How the template may follow slow change after good logins, and how far: never far from the enrolled face. Pure.

Whoever looks alike enough to pass must not draw the template to their own face, login by login. So only a login that
is well within the threshold of the *enrolled* template moves it, by little, at most once a day, and never beyond a
bound around the enrolled one, which itself never moves.
"""

from datetime import datetime, timedelta
from typing import Final

import numpy as np

from auth_server.domain import Enrolment, Template
from auth_server.factors.face import distance_between

STEP: Final = 0.1
"""The share that one login has in the new template."""

NEAR: Final = 0.6
"""Of the threshold: how near to the enrolled template a login must be to move the followed one."""

BOUND: Final = 0.5
"""Of the threshold: how far from the enrolled template the followed one may be."""

EVERY: Final = timedelta(hours=24)


def followed(*, enrolment: Enrolment, seen: Template, threshold: float, now: datetime) -> Template | None:
    """Return the template that follows a granted login, or None where it stays as it is.

    `threshold` is the cosine distance of verification. None too for a template of another model than the login's,
    and while the last step is less than a day ago or, after the clock was set back, still to come.
    """
    enrolled = enrolment.template
    is_due = enrolment.followed_at is None or now - enrolment.followed_at >= EVERY
    if enrolment.is_decoy or not is_due or not _within(seen, enrolled, NEAR * threshold):
        return None
    moved = _moved(enrolment.followed or enrolled, seen)
    return moved if moved is not None and _within(moved, enrolled, BOUND * threshold) else None


def _moved(before: Template, seen: Template) -> Template | None:
    if before.model != seen.model or len(before.embedding) != len(seen.embedding):
        return None
    # A vector of no length, or of what is no number, gives NaN, which is within no distance of anything.
    with np.errstate(invalid="ignore", divide="ignore"):
        old, new = (_unit(np.frombuffer(one.embedding, dtype="<f4").astype(np.float64)) for one in (before, seen))
        return Template(before.model, _unit((1 - STEP) * old + STEP * new).astype("<f4").tobytes())


def _unit(vector: np.ndarray) -> np.ndarray:
    return np.asarray(vector / np.linalg.norm(vector))


def _within(one: Template, other: Template, limit: float) -> bool:
    distance = distance_between(one, other)
    return not isinstance(distance, str) and distance <= limit
