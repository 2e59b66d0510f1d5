"""Error rates: what may be claimed is never better than what was seen."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.face import statistics


@pytest.mark.parametrize(
    ("errors", "trials", "bound"),
    [(0, 1, 0.95), (0, 4, 0.5271), (0, 29_956, 1e-4), (1, 10, 0.3942), (10, 10, 1.0)],
)
def test_exact_binomial_bounds(errors: int, trials: int, bound: float) -> None:
    assert statistics.upper_bound(errors, trials) == pytest.approx(bound, rel=2e-4)


@given(st.integers(1, 300).flatmap(lambda trials: st.tuples(st.integers(0, trials), st.just(trials))))
def test_a_bound_is_above_the_rate(counts: tuple[int, int]) -> None:
    errors, trials = counts
    assert errors / trials <= statistics.upper_bound(errors, trials) <= 1


@pytest.mark.parametrize(("errors", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_no_rate_without_trials(errors: int, trials: int) -> None:
    with pytest.raises(ValueError, match="have no rate"):
        statistics.upper_bound(errors, trials)


def people(count: int, each: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    vectors = rng.normal(size=(count * each, 16))
    embeddings = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return embeddings, np.array([f"person {i // each}" for i in range(count * each)])


def test_strangers_are_compared_once_and_nobody_with_himself() -> None:
    embeddings, names = people(20, 3)
    data = statistics.strangers(embeddings, names)
    assert len(data.distances) == 60 * 59 // 2 - 20 * 3
    assert (data.first != data.second).all()
    assert (np.diff(data.distances) >= 0).all()


@pytest.mark.parametrize("rate", [0.2, 0.05, 0.01])
def test_a_claimed_rate_is_above_the_seen_one(rate: float) -> None:
    data = statistics.strangers(*people(60, 2))
    threshold, bound = statistics.claimable_threshold(data, rate, np.random.default_rng(1))
    assert statistics.share_within(data.distances, threshold) < bound <= rate


def test_few_people_show_no_low_rate() -> None:
    data = statistics.strangers(*people(20, 2))
    with pytest.raises(ValueError, match=r"of 20 people cannot show 0\.0001"):
        statistics.claimable_threshold(data, 1e-4, np.random.default_rng(1))
