"""Error rates and the bounds that the data allow to claim. Pure functions of arrays.

FMR, FNMR: share of strangers accepted and of genuine comparisons refused, as ISO/IEC 19795-1
defines them. Comparisons of few people among themselves are not independent, so the bound of an
FMR resamples people, not comparisons.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Distances = NDArray[np.float32]
Names = NDArray[np.str_]

RESAMPLES: Final = 2000


@dataclass(frozen=True, slots=True)
class Strangers:
    """Comparisons across people: each distance with the two people's numbers, nearest first."""

    distances: Distances
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    pictures_each: NDArray[np.intp]


def strangers(embeddings: NDArray[np.float32], names: Names) -> Strangers:
    """Return the comparison of every picture with every one of another person (unit-length embeddings)."""
    _, people, counts = np.unique(names, return_inverse=True, return_counts=True)
    rows, columns = np.triu_indices(len(names), 1)
    is_across = people[rows] != people[columns]
    rows, columns = rows[is_across], columns[is_across]
    distances = (1 - embeddings @ embeddings.T)[rows, columns]
    order = np.argsort(distances)
    return Strangers(distances[order], people[rows][order], people[columns][order], counts)


def share_within(distances: Distances, threshold: float) -> float:
    """Return the share of distances that the threshold accepts."""
    return float(np.mean(distances <= threshold))


def claimable_threshold(data: Strangers, rate: float, rng: np.random.Generator) -> tuple[float, float]:
    """Return the largest threshold whose FMR is below `rate` with 95 % confidence, and that bound.

    The bound is one-sided and comes from resampling people (bootstrap). The threshold is rounded
    down to four places. Raises ValueError when the data are too few to claim such a rate.
    """
    candidates = math.floor(rate * len(data.distances))
    bounds = _false_match_bounds(data, candidates, rng)
    claimable = int(np.searchsorted(bounds, rate, side="right"))
    if claimable < 1:
        raise ValueError(f"{len(data.distances)} comparisons of {len(data.pictures_each)} people cannot show {rate}")
    return math.floor(float(data.distances[claimable - 1]) * 10_000) / 10_000, float(bounds[claimable - 1])


def _false_match_bounds(data: Strangers, candidates: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """The 95 % upper bound of the FMR when the nearest 1, 2, 3 ... comparisons are accepted; ascending."""
    people = len(data.pictures_each)
    weights = rng.multinomial(people, np.full(people, 1 / people), size=RESAMPLES).astype(np.float64)
    hits = weights[:, data.first[:candidates]] * weights[:, data.second[:candidates]]
    pictures = weights * data.pictures_each
    comparisons = (pictures.sum(axis=1) ** 2 - (pictures**2).sum(axis=1)) / 2
    return np.asarray(np.quantile(np.cumsum(hits, axis=1) / comparisons[:, None], 0.95, axis=0))


def upper_bound(errors: int, trials: int) -> float:
    """Return the exact 95 % one-sided upper bound of an error rate (Clopper and Pearson 1934).

    Raises ValueError without trials.
    """
    if trials < 1 or not 0 <= errors <= trials:
        raise ValueError(f"{errors} errors of {trials} trials have no rate")
    if errors == trials:
        return 1.0
    low, high = errors / trials, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if _at_most(errors, trials, middle) > 0.05 else (low, middle)
    return high


def _at_most(errors: int, trials: int, rate: float) -> float:
    """The binomial probability of no more than so many errors."""
    if rate <= 0 or rate >= 1:
        return 1.0 if rate <= 0 else 0.0
    logs: list[Any] = [
        math.lgamma(trials + 1) - math.lgamma(k + 1) - math.lgamma(trials - k + 1)
        + k * math.log(rate) + (trials - k) * math.log1p(-rate)
        for k in range(errors + 1)
    ]  # fmt: skip
    return math.fsum(math.exp(log) for log in logs)
