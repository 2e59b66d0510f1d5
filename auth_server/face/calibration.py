"""Thresholds and the error rates that were measured for them, from the package's own data file.

`auth_server.face.evaluation --out` writes the file; nothing else does.
"""

import importlib.resources
import json
from dataclasses import dataclass
from typing import Any, Final

DATA_FILE: Final = "calibration.json"


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured for one recogniser; distances are cosine distances, 0 to 2.

    `threshold` is the largest at which the false-match rate is below 1e-4 with 95 % confidence,
    `one_person_max` the same for 1e-3: the looser one is for frames of one submission among
    themselves, which the tighter one then guards as a whole.
    """

    model: str
    threshold: float
    one_person_max: float


def load_calibration(model: str) -> Calibration | None:
    """Return the calibration of a recogniser, or None where it was never measured."""
    measured = _document()["recognisers"].get(model)
    if measured is None:
        return None
    points = measured["operating_points"]
    return Calibration(model, points["1e-4"]["threshold"], points["1e-3"]["threshold"])


def presence_threshold() -> float:
    """Return the mean probability of "real" from which on a submission counts as a present person."""
    return float(_document()["presence"]["threshold"])


def _document() -> dict[str, Any]:
    text = importlib.resources.files(__package__).joinpath(DATA_FILE).read_text(encoding="utf-8")
    return dict(json.loads(text))
