"""The accuracy by LFW's own protocol: each fold judged by the threshold that was best on all others. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from auth_server.face.evaluation import Compared


@dataclass(frozen=True, slots=True)
class Accuracy:
    """The share judged rightly in each fold. `is_held_out` is false for one fold, which chose its own threshold."""

    folds: tuple[float, ...]
    is_held_out: bool

    @property
    def mean(self) -> float:
        """Of the folds."""
        return float(np.mean(self.folds))

    @property
    def standard_error(self) -> float | None:
        """Of the mean; None for one fold."""
        return float(np.std(self.folds, ddof=1) / np.sqrt(len(self.folds))) if len(self.folds) > 1 else None

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        error = self.standard_error
        return {
            "mean": round(self.mean, 5),
            "standard_error": None if error is None else round(error, 5),
            "folds": [round(fold, 5) for fold in self.folds],
            "is_held_out": self.is_held_out,
        }


def accuracy(pairs: Sequence[Compared]) -> Accuracy | None:
    """Return the accuracy by folds, or None without pairs of one person and of two."""
    distances = np.array([one.distance for one in pairs])
    is_genuine = np.array([one.pair.is_genuine for one in pairs], bool)
    folds = np.array([one.pair.fold for one in pairs])
    if not is_genuine.any() or is_genuine.all():
        return None
    numbers = np.unique(folds)
    is_held_out = len(numbers) > 1
    shares = []
    for number in numbers:
        inside = folds == number
        outside = ~inside if is_held_out else inside
        threshold = best_threshold(distances[outside], is_genuine[outside])
        shares.append(float(((distances <= threshold) == is_genuine)[inside].mean()))
    return Accuracy(tuple(shares), is_held_out)


def best_threshold(distances: NDArray[np.float64], is_genuine: NDArray[np.bool_]) -> float:
    """Return the threshold by which most pairs are judged rightly: of equals the smallest."""
    order = np.argsort(distances, kind="stable")
    right = np.cumsum(np.where(is_genuine[order], 1, -1))
    best = int(right.argmax())
    return float(distances[order][best]) if right[best] > 0 else -1.0
