"""Comparisons across people: each once, none with oneself, and no threshold claimed that was not shown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from auth_server.face.comparisons import claimable, strangers

RATES = [1e-2, 1e-3, 1e-4]


def people(count: int, each: int, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count * each, 16))
    embeddings = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return embeddings, np.array([f"person {i // each}" for i in range(count * each)])


def test_strangers_are_compared_once_and_nobody_with_himself() -> None:
    embeddings, names = people(20, 3)
    data = strangers(embeddings, names)
    assert data.total == 60 * 59 // 2 - 20 * 3
    assert (data.people[data.first] != data.people[data.second]).all()
    assert (data.first < data.second).all()
    assert (np.diff(data.nearest) >= 0).all()
    assert len({*zip(data.first.tolist(), data.second.tolist(), strict=True)}) == len(data.nearest)


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(1, 4), st.integers(0, 99), st.floats(0.01, 1.99))
def test_accepted_is_what_one_counts_by_hand(count: int, each: int, seed: int, threshold: float) -> None:
    embeddings, names = people(count, each, seed)
    table = np.clip(1 - embeddings @ embeddings.T, 0, 2)
    by_hand = sum(
        table[i, j] <= threshold for i in range(len(names)) for j in range(i + 1, len(names)) if names[i] != names[j]
    )
    in_a_bin = sum(abs(table[i, j] - threshold) < 0.0011 for i in range(len(names)) for j in range(i + 1, len(names)))
    assert abs(strangers(embeddings, names).accepted(threshold) - by_hand) <= in_a_bin


def test_blocks_leave_no_seam() -> None:
    embeddings, names = people(300, 4)  # more than two blocks
    data = strangers(embeddings, names)
    assert data.total == 1200 * 1199 // 2 - 300 * 6
    table = 1 - embeddings @ embeddings.T
    across = np.triu(names[:, None] != names, 1)
    assert np.allclose(data.nearest[:500], np.sort(table[across])[:500], atol=1e-6)


def test_a_threshold_accepts_at_most_what_was_asked() -> None:
    data = strangers(*people(60, 2))
    for accepted in (1, 2, 17, 100):
        threshold = data.threshold_of(accepted)
        assert threshold is not None and data.accepted(threshold) <= accepted
    assert data.threshold_of(0) is data.threshold_of(None) is data.threshold_of(10**9) is None


def test_a_claimed_rate_is_above_the_seen_one() -> None:
    data = strangers(*people(100, 2))
    rates = [0.02, 0.01, 0.005]
    found = claimable(data, rates, np.random.default_rng(1))
    for rate, claim in zip(rates, found, strict=True):
        assert claim is not None
        accepted, bound = claim
        assert accepted / data.total < bound <= rate


def test_few_people_show_no_low_rate() -> None:
    assert claimable(strangers(*people(20, 2)), RATES[1:], np.random.default_rng(1)) == [None, None]


def test_many_pictures_of_few_people_claim_less_than_as_many_people() -> None:
    few, many = strangers(*people(40, 10)), strangers(*people(400, 1))
    (of_few,), (of_many,) = (claimable(data, [1e-2], np.random.default_rng(1)) for data in (few, many))
    assert of_few is not None and of_many is not None
    assert of_few[0] / few.total < of_many[0] / many.total


@pytest.mark.parametrize("names", [["a", "a"], []])
def test_one_person_alone_has_no_strangers(names: list[str]) -> None:
    embeddings = people(1, 2)[0][: len(names)]
    with pytest.raises(ValueError, match="compare nobody with a stranger"):
        strangers(embeddings, np.array(names, dtype=str))
