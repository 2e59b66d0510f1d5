"""Error rates with the bounds that the data allow to claim. Pure functions of numbers.

A rate's interval is the exact one of Clopper and Pearson (1934), two-sided, 95 %. It takes trials for
independent: comparisons of few people among themselves are not, so `comparisons` bounds an FMR by
resampling people as well.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

CONFIDENCE: Final = 0.95
_ITERATIONS: Final = 20_000
_TINY: Final = 1e-300


@dataclass(frozen=True, slots=True)
class Rate:
    """Errors of trials, and the bounds between which the true rate lies with 95 % confidence."""

    errors: int
    trials: int
    low: float
    high: float

    @property
    def value(self) -> float:
        """The share seen."""
        return self.errors / self.trials

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it: `rate`, `low` and `high` to three digits."""
        rounded = {"rate": self.value, "low": self.low, "high": self.high}
        return {"errors": self.errors, "trials": self.trials} | {
            key: float(f"{value:.3g}") for key, value in rounded.items()
        }


def rate(errors: int, trials: int) -> Rate:
    """Return an error rate with its two-sided interval. Raises ValueError without trials."""
    _check(errors, trials)
    tail = (1 - CONFIDENCE) / 2
    low = 0.0 if errors == 0 else _quantile(tail, errors, trials - errors + 1)
    high = 1.0 if errors == trials else _quantile(1 - tail, errors + 1, trials - errors)
    return Rate(errors, trials, low, high)


def rate_or_none(errors: int, trials: int) -> Rate | None:
    """Return an error rate, or None where nothing was tried."""
    return rate(errors, trials) if trials else None


def upper_bound(errors: int, trials: int) -> float:
    """Return the one-sided 95 % upper bound of an error rate. Raises ValueError without trials."""
    _check(errors, trials)
    return 1.0 if errors == trials else _quantile(CONFIDENCE, errors + 1, trials - errors)


def most_errors(trials: int, limit: float) -> int | None:
    """Return the most errors whose interval ends at or below a limit, or None where even none would not show it."""
    if not trials or rate(0, trials).high > limit:
        return None
    low, high = 0, math.ceil(limit * trials)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if rate(middle, trials).high <= limit else (low, middle)
    return low


def _check(errors: int, trials: int) -> None:
    if trials < 1 or not 0 <= errors <= trials:
        raise ValueError(f"{errors} errors of {trials} trials have no rate")


def _quantile(share: float, a: float, b: float) -> float:
    """The point below which a beta distribution has such a share."""
    low, high = 0.0, 1.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if beta_share(middle, a, b) < share else (low, middle)
    return (low + high) / 2


def beta_share(x: float, a: float, b: float) -> float:
    """Return the share of a beta distribution below x: the regularised incomplete beta function."""
    if x <= 0 or x >= 1:
        return 0.0 if x <= 0 else 1.0
    # The continued fraction converges fast on one side of the mean; the other is its mirror image.
    if x > (a + 1) / (a + b + 2):
        return 1 - beta_share(1 - x, b, a)
    front = math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    return math.exp(front) / a / _continued_fraction(x, a, b)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """The fraction of the incomplete beta function (Abramowitz and Stegun 26.5.8), by Lentz's method."""
    value, above, below = 1.0, 1.0, 0.0
    for step in range(1, _ITERATIONS):
        half, is_odd = divmod(step, 2)
        if is_odd:
            term = -(a + half) * (a + b + half) * x / ((a + 2 * half) * (a + 2 * half + 1))
        else:
            term = half * (b - half) * x / ((a + 2 * half - 1) * (a + 2 * half))
        below = 1 / ((1 + term * below) or _TINY)
        above = (1 + term / above) or _TINY
        value *= above * below
        if abs(above * below - 1) < 1e-14:
            return value
    raise ArithmeticError(f"no convergence for {x}, {a}, {b}")
