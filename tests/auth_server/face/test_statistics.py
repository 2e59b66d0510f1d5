"""Error rates: intervals as published, and what may be claimed is never better than what was seen."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.face import statistics

COUNTS = st.integers(1, 300).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials)))


@pytest.mark.parametrize(
    ("errors", "trials", "bound"),
    [(0, 1, 0.95), (0, 4, 0.5271), (0, 29_956, 1e-4), (1, 10, 0.3942), (10, 10, 1.0)],
)
def test_one_sided_bounds(errors: int, trials: int, bound: float) -> None:
    assert statistics.upper_bound(errors, trials) == pytest.approx(bound, rel=2e-4)


@pytest.mark.parametrize(
    ("errors", "trials", "low", "high"),
    [
        # Published: R's binom.test(682, 925) and its manual; Brown, Cai and DasGupta 2001; ISO/IEC 19795-1's rule of 3.
        (682, 925, 0.7076683, 0.7654066),
        (0, 10, 0.0, 0.3084971),
        (1, 10, 0.002528579, 0.4450161),
        (5, 10, 0.187086, 0.812914),
        (10, 10, 0.6915029, 1.0),
        (0, 1000, 0.0, 0.003682084),
    ],
)
def test_two_sided_intervals_as_published(errors: int, trials: int, low: float, high: float) -> None:
    found = statistics.rate(errors, trials)
    assert (found.low, found.high) == (pytest.approx(low, rel=1e-5), pytest.approx(high, rel=1e-5))


@given(st.integers(1, 2_000_000))
def test_no_error_at_all_has_a_closed_form(trials: int) -> None:
    assert statistics.rate(0, trials).high == pytest.approx(1 - 0.025 ** (1 / trials), rel=1e-6)
    assert statistics.upper_bound(0, trials) == pytest.approx(1 - 0.05 ** (1 / trials), rel=1e-6)


@given(COUNTS)
def test_an_interval_holds_the_rate_and_mirrors_that_of_the_others(counts: tuple[int, int]) -> None:
    errors, trials = counts
    found, others = statistics.rate(errors, trials), statistics.rate(trials - errors, trials)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert found.low == pytest.approx(1 - others.high, abs=1e-9)
    assert found.value <= statistics.upper_bound(errors, trials) <= found.high


@given(COUNTS)
def test_the_ends_leave_a_fortieth_on_each_side(counts: tuple[int, int]) -> None:
    errors, trials = counts
    found = statistics.rate(errors, trials)

    def at_most(count: int, rate: float) -> float:
        return sum(math.comb(trials, k) * rate**k * (1 - rate) ** (trials - k) for k in range(count + 1))

    if errors < trials:
        assert at_most(errors, found.high) == pytest.approx(0.025, rel=1e-4)
    if errors:
        assert 1 - at_most(errors - 1, found.low) == pytest.approx(0.025, rel=1e-4)


@pytest.mark.parametrize(("errors", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_no_rate_without_trials(errors: int, trials: int) -> None:
    for ask in (statistics.upper_bound, statistics.rate):
        with pytest.raises(ValueError, match="have no rate"):
            ask(errors, trials)
    assert statistics.rate_or_none(0, 0) is None


def test_large_counts_are_told_as_well() -> None:
    found = statistics.rate(12_500, 1_250_180)
    assert (found.low, found.high) == (pytest.approx(0.00982490, rel=1e-5), pytest.approx(0.0101745, rel=1e-5))


def test_a_document_has_three_digits() -> None:
    assert statistics.rate(19, 600).document() == {
        "errors": 19,
        "trials": 600,
        "rate": 0.0317,
        "low": 0.0192,
        "high": 0.049,
    }
