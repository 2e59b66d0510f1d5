"""Error rates of the face match, from sightings of many people's pictures. Pure.

One picture is compared with one. FNMR is over the genuine pairs of the file; FMR over all comparisons
across people, of every picture and of each person's first. A picture without a face is counted as a failure
to enrol and compared with none; one that login would refuse for its quality is counted by its code, and
compared all the same, unless a figure says otherwise.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from auth_server.errors import EvaluationRefused
from auth_server.face import statistics
from auth_server.face.comparisons import Distances, Strangers, claimable, strangers
from auth_server.face.lfw import Pair, Portrait
from auth_server.face.pipeline import Embedding, unit
from auth_server.face.sighting import Sighting
from auth_server.face.statistics import Rate

RATES: Final = {"1e-2": 1e-2, "1e-3": 1e-3, "1e-4": 1e-4, "1e-5": 1e-5, "1e-6": 1e-6}
_SEED: Final = 4

Sightings = Mapping[Portrait, Sighting]


@dataclass(frozen=True, slots=True)
class Compared:
    """A pair, with its distance and whether login would have taken both pictures."""

    pair: Pair
    distance: float
    is_good: bool


@dataclass(frozen=True, slots=True)
class Enrolled:
    """Distances of later pictures from two that are enrolled as one: of each person's third, and of all."""

    third: Distances
    later: Distances

    def document(self, threshold: float) -> dict[str, Any]:
        """Return both FNMRs as JSON has them."""
        return {"third": _told(fnmr(self.third, threshold)), "later": _told(fnmr(self.later, threshold))}


@dataclass(frozen=True, slots=True)
class Claim:
    """A threshold whose FMR is below a rate with 95 % confidence, and that bound."""

    threshold: float
    bound: float


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All that was measured; `portraits` names the pictures that `every` and `one_each` have places for."""

    pictures: int
    failures: Rate
    codes: Mapping[str, int]
    portraits: Sequence[Portrait]
    first_portraits: Sequence[Portrait]
    every: Strangers
    one_each: Strangers
    pairs: Sequence[Compared]
    enrolled: Enrolled
    claims: Mapping[str, Claim | None]

    @property
    def people(self) -> int:
        """How many people have a picture with a face."""
        return len(self.first_portraits)

    def genuine(self, *, only_good: bool = False) -> Distances:
        """Return the distances of the file's pairs of one person."""
        return _distances(one for one in self.pairs if one.pair.is_genuine and (one.is_good or not only_good))

    def strangest(self) -> list[Compared]:
        """Return the pairs of one person, farthest first."""
        return sorted((one for one in self.pairs if one.pair.is_genuine), key=lambda one: -one.distance)

    def seen_threshold(self, rate: float) -> float | None:
        """Return the largest threshold whose FMR, of one picture a person, was seen to be at most a rate."""
        return self.one_each.threshold_of(int(rate * self.one_each.total))

    def document(self, threshold: float) -> dict[str, Any]:
        """Return the error rates at a threshold as JSON has them."""
        return {
            "threshold": threshold,
            "fmr_one_each": _told(statistics.rate(self.one_each.accepted(threshold), self.one_each.total)),
            "fmr_every": _told(statistics.rate(self.every.accepted(threshold), self.every.total)),
            "fnmr": _told(fnmr(self.genuine(), threshold)),
            "fnmr_taken": _told(fnmr(self.genuine(only_good=True), threshold)),
            "fnmr_two_enrolled": self.enrolled.document(threshold),
        }


def evaluate(sightings: Sightings, pairs: Sequence[Pair]) -> Evaluation:
    """Return the error rates of what was seen of every picture.

    Raises EvaluationRefused for a pair without a picture, and for too few people.
    """
    usable = {portrait: seen for portrait, seen in sorted(sightings.items()) if seen.embedding is not None}
    first = _first_of_each(usable)
    if len(first) < 2:
        raise EvaluationRefused(f"faces of {len(first)} people compare nobody with a stranger: two are the least")
    every = _strangers(usable, list(usable))
    claims = claimable(every, list(RATES.values()), np.random.default_rng(_SEED))
    return Evaluation(
        pictures=len(sightings),
        failures=statistics.rate(len(sightings) - len(usable), len(sightings)),
        codes=dict(sorted(Counter(seen.code for seen in sightings.values() if seen.code).items())),
        portraits=list(usable),
        first_portraits=first,
        every=every,
        one_each=_strangers(usable, first),
        pairs=_compared(sightings, pairs),
        enrolled=_enrolled(usable),
        claims={name: _claim(every, found) for name, found in zip(RATES, claims, strict=True)},
    )


def fnmr(genuine: Distances, threshold: float) -> Rate | None:
    """Return the share of genuine distances above a threshold, or None where there are none."""
    return statistics.rate_or_none(int((genuine > threshold).sum()), len(genuine))


def _strangers(usable: Sightings, portraits: Sequence[Portrait]) -> Strangers:
    embeddings = np.stack([_embedding(usable[portrait]) for portrait in portraits])
    return strangers(embeddings, np.array([portrait.name for portrait in portraits]))


def _first_of_each(usable: Sightings) -> list[Portrait]:
    first: dict[str, Portrait] = {}
    for portrait in usable:
        first.setdefault(portrait.name, portrait)
    return list(first.values())


def _claim(every: Strangers, found: tuple[int, float] | None) -> Claim | None:
    threshold = every.threshold_of(found[0]) if found else None
    return Claim(threshold, found[1]) if found and threshold is not None else None


def _compared(sightings: Sightings, pairs: Sequence[Pair]) -> list[Compared]:
    found = []
    for pair in pairs:
        absent = [one for one in (pair.first, pair.second) if one not in sightings]
        if absent:
            raise EvaluationRefused(f"a pair names {absent[0]}, and there is no such picture")
        first, second = sightings[pair.first], sightings[pair.second]
        if first.embedding is not None and second.embedding is not None:
            is_good = first.code is None and second.code is None
            found.append(Compared(pair, float(1 - first.embedding @ second.embedding), is_good))
    return found


def _enrolled(usable: Sightings) -> Enrolled:
    of_person: dict[str, list[Embedding]] = {}
    for portrait, seen in usable.items():
        of_person.setdefault(portrait.name, []).append(_embedding(seen))
    third, later = [], []
    for one, other, *probes in (found for found in of_person.values() if len(found) > 2):
        distances = [float(1 - unit((one + other) / 2) @ probe) for probe in probes]
        third.append(distances[0])
        later += distances
    return Enrolled(np.array(third, np.float32), np.array(later, np.float32))


def _embedding(seen: Sighting) -> NDArray[np.float32]:
    if seen.embedding is None:
        raise ValueError("a picture without a face has no embedding")
    return seen.embedding


def _distances(pairs: Iterable[Compared]) -> Distances:
    return np.array([one.distance for one in pairs], np.float32)


def _told(rate: Rate | None) -> dict[str, Any] | None:
    return rate.document() if rate else None
