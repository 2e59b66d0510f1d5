"""Comparisons of pictures across people, and the thresholds that they allow to claim. Pure.

FMR is the share of comparisons of two people that a threshold accepts, as ISO/IEC 19795-1 has it. All
distances are cosine distances, 0 to 2.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from auth_server.face import statistics

Embeddings = NDArray[np.float32]
Distances = NDArray[np.float32]
Places = NDArray[np.intp]

BINS: Final = 2000
"""Of the histogram: a thousandth of the distance each."""

KEPT_SHARE: Final = 0.02
"""Of all comparisons, the nearest: these are kept one by one, of the others their number in each bin is enough."""

RESAMPLES: Final = 2000
_STEPS: Final = 500
_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class Strangers:
    """Comparisons across people. The nearest are listed, nearest first, by the places of the two pictures.

    `people` has the number of each picture's person; `counts` all comparisons by distance, in `BINS` from 0 to 2.
    """

    nearest: Distances
    first: Places
    second: Places
    people: Places
    counts: NDArray[np.int64]

    @property
    def total(self) -> int:
        """The number of comparisons."""
        return int(self.counts.sum())

    def accepted(self, threshold: float) -> int:
        """Return how many a threshold accepts; to the width of a bin above the distances that are listed."""
        if len(self.nearest) and threshold <= self.nearest[-1]:
            return int((self.nearest <= threshold).sum())
        return max(len(self.nearest), int(self.counts[: int(threshold * BINS / 2)].sum()))

    def threshold_of(self, accepted: int | None) -> float | None:
        """Return the largest threshold of four places that accepts at most so many, or None for none or too many."""
        if not accepted or accepted > len(self.nearest):
            return None
        return math.floor(float(self.nearest[accepted - 1]) * 10_000) / 10_000


def strangers(embeddings: Embeddings, names: NDArray[np.str_]) -> Strangers:
    """Return the comparison of every picture with every one of another person (unit-length embeddings).

    Raises ValueError for fewer than two people.
    """
    found, people = np.unique(names, return_inverse=True)
    if len(found) < 2:
        raise ValueError(f"pictures of {len(found)} people compare nobody with a stranger")
    counts = np.zeros(BINS, np.int64)
    for _, distances, is_across in _blocks(embeddings, people):
        counts += np.histogram(distances[is_across], BINS, (0, 2))[0]
    edge = _edge(counts)
    parts = [_nearer(*block, edge) for block in _blocks(embeddings, people)]
    nearest, first, second = (np.concatenate(column) for column in zip(*parts, strict=True))
    order = np.argsort(nearest, kind="stable")
    return Strangers(nearest[order], first[order], second[order], people, counts)


def _blocks(embeddings: Embeddings, people: Places) -> Iterator[tuple[int, Distances, NDArray[np.bool_]]]:
    """Some rows of the table of all distances at a time, and which of them compare two people, each pair once."""
    places = np.arange(len(people))
    for start in range(0, len(people), _BLOCK):
        rows = places[start : start + _BLOCK]
        distances = np.clip(1 - embeddings[rows] @ embeddings.T, 0, 2)
        yield start, distances, (people[rows][:, None] != people) & (places > rows[:, None])


def _edge(counts: NDArray[np.int64]) -> float:
    """The distance up to which comparisons are listed: at least `KEPT_SHARE` of them, or 1000."""
    wanted = max(KEPT_SHARE * counts.sum(), 1000)
    return (int(np.searchsorted(np.cumsum(counts), wanted)) + 1) * 2 / BINS


def _nearer(
    start: int, distances: Distances, is_across: NDArray[np.bool_], edge: float
) -> tuple[Distances, Places, Places]:
    rows, columns = np.nonzero(is_across & (distances < edge))
    return distances[rows, columns], rows + start, columns


def claimable(data: Strangers, rates: Sequence[float], rng: np.random.Generator) -> list[tuple[int, float] | None]:
    """Return for each rate the most accepted comparisons whose FMR is below it with 95 % confidence, and that bound.

    The bound is one-sided and comes from resampling people (bootstrap), because comparisons of the same
    people are not independent. None where the data are too few for a rate.
    """
    most = min(math.floor(max(rates) * data.total), len(data.nearest))
    if most < 1:
        return [None] * len(rates)
    steps = (
        np.unique(np.geomspace(1, most, min(most, _STEPS)).astype(np.intp)) if most > _STEPS else np.arange(1, most + 1)
    )
    bounds = _bounds(data, steps, rng)
    found = [int(np.searchsorted(bounds, rate, side="right")) for rate in rates]
    return [(int(steps[one - 1]), float(bounds[one - 1])) if one else None for one in found]


def _bounds(data: Strangers, steps: Places, rng: np.random.Generator) -> NDArray[np.float64]:
    """The 95 % upper bound of the FMR when so many of the nearest are accepted, for each step; ascending."""
    pictures_each = np.bincount(data.people)
    people = len(pictures_each)
    last = int(steps[-1])
    one, other = data.people[data.first[:last]], data.people[data.second[:last]]
    starts = np.concatenate(([0], steps[:-1]))
    rates = np.empty((RESAMPLES, len(steps)))
    for row, weights in enumerate(rng.multinomial(people, np.full(people, 1 / people), size=RESAMPLES)):
        pictures = weights * pictures_each
        comparisons = (pictures.sum() ** 2 - (pictures**2).sum()) / 2
        rates[row] = np.cumsum(np.add.reduceat(weights[one] * weights[other], starts)) / comparisons
    return np.maximum.accumulate(np.quantile(rates, statistics.CONFIDENCE, axis=0))
