"""A calibration: thresholds, the error rates that were measured for them, and what they belong to. Pure but for `load`.

`4auth-provision face calibrate` writes the file; the package carries one for its own models. A threshold
belongs to recogniser, detector, alignment and fusion together: with another of any of them the same
distance means another rate, so a calibration of others is refused and never stretched.
"""

import importlib.resources
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Final

from auth_server.errors import SettingsRefused

DATA_FILE: Final = "calibration.json"
FORMAT: Final = 2
IN_USE: Final = "1e-4"
"""The operating point of the threshold: one false match in 10,000 comparisons, with its upper bound below that."""

ONE_PERSON: Final = "1e-3"
"""The looser one, for frames of one submission among themselves, which the tighter one then guards as a whole."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a distance was measured with: each a name that changes when a distance may."""

    model: str
    detector: str
    alignment: str
    fusion: str

    def differences(self, other: "Identity") -> list[str]:
        """Return what is another in `other`, in words; empty when they are the same."""
        pairs = [(field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return [f"{name} {mine!r}, not {its!r}" for name, mine, its in pairs if mine != its]


@dataclass(frozen=True, slots=True)
class Calibration:
    """What was measured for one identity; distances are cosine distances, 0 to 2.

    `threshold` is the largest at which the false-match rate is below 1e-4 with 95 % confidence,
    `one_person_max` the same for 1e-3. `curve` has distances and the share of strangers that come as
    near, both ascending. `presence_threshold` is the least mean probability of a real face, measured
    for the `presence_model`. `document` is the file.
    """

    identity: Identity
    threshold: float
    one_person_max: float
    curve: tuple[tuple[float, float], ...]
    presence_model: str
    presence_threshold: float
    document: Mapping[str, Any]

    def false_match_rate(self, distance: float) -> float | None:
        """Return the share of strangers that come as near as a distance, or None where none came so near."""
        if not self.curve or distance < self.curve[0][0]:
            return None
        for (near, low), (far, high) in zip(self.curve, self.curve[1:], strict=False):
            if distance < far:
                part = (distance - near) / (far - near)
                return math.exp(math.log(low) + part * (math.log(high) - math.log(low)))
        return self.curve[-1][1]


def load(path: Path | None = None) -> Calibration:
    """Return the calibration of a file, or of the package where none is named.

    Raises SettingsRefused for a file that cannot be read or is no whole calibration.
    """
    try:
        return _calibration(json.loads(_text(path)))
    except OSError as error:
        raise SettingsRefused(f"face.calibration = {str(path)!r} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise SettingsRefused(
            f"face.calibration = {str(path)!r} is no calibration of format {FORMAT}: "
            "make it with `4auth-provision face calibrate`, or leave it out"
        ) from error


def _text(path: Path | None) -> str:
    if path is None:
        return importlib.resources.files(__package__).joinpath(DATA_FILE).read_text(encoding="utf-8")
    return path.read_text(encoding="utf-8")


def _calibration(document: dict[str, Any]) -> Calibration:
    if document["format"] != FORMAT:
        raise ValueError("another format")
    match, presence = document["match"], document["presence"]
    found = Calibration(
        identity=Identity(**{field.name: str(match[field.name]) for field in fields(Identity)}),
        threshold=float(match["operating_points"][IN_USE]["threshold"]),
        one_person_max=float(match["operating_points"][ONE_PERSON]["threshold"]),
        curve=tuple((float(distance), float(rate)) for distance, rate in match["curve"]),
        presence_model=str(presence["model"]),
        presence_threshold=float(presence["threshold"]),
        document=document,
    )
    _check(found)
    return found


def _check(found: Calibration) -> None:
    """Raise ValueError for numbers that no measurement gives; NaN, which compares false, is one."""
    is_ordered = 0 < found.threshold <= found.one_person_max < 2 and 0 < found.presence_threshold <= 1
    rates = [rate for _, rate in found.curve]
    steps = zip(found.curve, found.curve[1:], strict=False)
    is_rising = all(near < far and low <= high for (near, low), (far, high) in steps)
    if not is_ordered or not is_rising or not all(0 < rate <= 1 for rate in rates):
        raise ValueError("numbers out of order")
