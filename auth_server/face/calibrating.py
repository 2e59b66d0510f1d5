"""A calibration file from what was measured. Pure.

The threshold in use is the largest whose FMR is below 1e-4 with 95 % confidence: what the pictures seem to
show is not enough.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date
from typing import Any, Final

from auth_server.errors import EvaluationRefused
from auth_server.face.calibration import FORMAT, IN_USE, ONE_PERSON, Identity
from auth_server.face.comparisons import BINS, Strangers
from auth_server.face.evaluation import Claim, Evaluation, fnmr
from auth_server.face.liveness import Shown, figures, has_judgement, is_file_wrong, is_judged, layers
from auth_server.face.showing import FRAMES
from auth_server.face.statistics import upper_bound

CURVE_END: Final = 1.1
"""The distance up to which the file tells an FMR; beyond it most strangers are."""

PRESENCE_THRESHOLDS: Final = tuple(step / 20 for step in range(10, 20))
"""From a half, below which "real" is not even the likelier answer, to 0.95."""

APCER_MAX: Final = 0.07
"""Of the worst species, NIST SP 800-63B's figure for presentation attacks."""

_PER_DECADE: Final = 5


def match_section(found: Evaluation, identity: Identity, data: str, today: date) -> dict[str, Any]:
    """Return what a calibration says of the match. Raises EvaluationRefused where the data show too little."""
    for name in (ONE_PERSON, IN_USE):
        if found.claims[name] is None:
            raise EvaluationRefused(
                f"{found.every.total:,} comparisons of {found.people:,} people cannot show a false-match rate of "
                f"{name}: it takes more people, about {-(-30 // float(name)):,.0f} comparisons and more"
            )
    claims = {name: _point(found, claim) for name, claim in found.claims.items() if claim}
    return {
        **asdict(identity),
        "data": data,
        "date": today.isoformat(),
        "distance": "cosine",
        "pictures": found.pictures,
        "people": found.people,
        "failure_to_enrol": found.failures.document(),
        "refused_by_quality": dict(found.codes),
        "stranger_comparisons": found.every.total,
        "genuine_comparisons": len(found.genuine()),
        "bound": "95 % one-sided; FMR by resampling people, FNMR exact binomial",
        "operating_points": claims,
        "curve": curve(found.every),
    }


def document(sections: Mapping[str, Any]) -> dict[str, Any]:
    """Return a whole calibration of its sections, `match` and `presence`."""
    return {"format": FORMAT, **sections}


def _point(found: Evaluation, claim: Claim) -> dict[str, Any]:
    accepted, genuine = found.every.accepted(claim.threshold), found.genuine()
    missed = fnmr(genuine, claim.threshold)
    return {
        "threshold": claim.threshold,
        "fmr": _digits(accepted / found.every.total),
        "fmr_upper_95": _digits(claim.bound),
        "fnmr": _digits(missed.value) if missed else None,
        "fnmr_upper_95": _digits(upper_bound(missed.errors, missed.trials)) if missed else None,
    }


def curve(every: Strangers) -> list[tuple[float, float]]:
    """Return distances with the share of strangers as near: the nearest one, then some for each power of ten."""
    points: dict[float, float] = {}
    for step in range(int(_PER_DECADE * 12)):
        accepted = round(10 ** (step / _PER_DECADE))
        if accepted > len(every.nearest):
            break
        points[round(float(every.nearest[accepted - 1]), 4)] = _digits(accepted / every.total)
    beyond = max(points, default=0.0)
    shares = every.counts.cumsum() / every.total
    for place in range(0, int(CURVE_END * BINS / 2), BINS // 80):
        distance = (place + 1) * 2 / BINS
        if distance > beyond and shares[place]:
            points[round(distance, 4)] = _digits(float(shares[place]))
    return list(points.items())


def _digits(value: float) -> float:
    return float(f"{value:.3g}")


def presence_section(shown: Sequence[Shown], model: str, data: str, today: date) -> dict[str, Any]:
    """Return what a calibration says of presence by the look of pictures.

    The threshold is the least of `PRESENCE_THRESHOLDS` at which no species passes more often than
    `APCER_MAX`. Raises EvaluationRefused where there is none, or one side is missing.
    """
    if {one.is_live for one in shown if has_judgement(one, layers(0.5)[0])} != {True, False}:
        raise EvaluationRefused("a presence threshold needs both live recordings and attacks in which a face is found")
    for threshold in PRESENCE_THRESHOLDS:
        told = figures(shown, threshold)["passive"]
        worst = max(kind["error"]["rate"] for kind in told["attacks"]["kinds"].values() if kind["error"])
        if worst <= APCER_MAX:
            return {
                "model": model,
                "data": data,
                "date": today.isoformat(),
                "threshold": threshold,
                "frames_in_submission": FRAMES,
                "apcer_max": APCER_MAX,
                "attacks": _side(shown, threshold, is_live=False) | {"species": _kinds(told["attacks"])},
                "live": _side(shown, threshold, is_live=True) | {"sources": _kinds(told["live"])},
            }
    raise EvaluationRefused(
        f"at no threshold up to {PRESENCE_THRESHOLDS[-1]} does every species of attack pass at most "
        f'{APCER_MAX * 100:g} % of the time: do without the passive layer here (face.presence = "active")'
    )


def _side(shown: Sequence[Shown], threshold: float, *, is_live: bool) -> dict[str, Any]:
    """The rates of one side as a whole; one-sided bounds, of files, because submissions of one are alike."""
    passive = layers(threshold)[0]
    side = [one for one in shown if one.is_live == is_live and has_judgement(one, passive)]
    judged = [outcome for one in side for outcome in one.showing.passive if is_judged(outcome)]
    wrong = sum(passive.passes(outcome) != is_live for outcome in judged)
    wrong_files = sum(is_file_wrong(one, passive) for one in side)
    return {
        "presentations": len(side),
        "submissions": len(judged),
        "error_rate": round(wrong / len(judged), 4),
        "wrong_presentations": wrong_files,
        "upper_95_by_presentation": round(upper_bound(wrong_files, len(side)), 3),
    }


def _kinds(told: Mapping[str, Any]) -> dict[str, Any]:
    return {
        kind: {"error": rates["error"], "non_response": rates["non_response"]} for kind, rates in told["kinds"].items()
    }
