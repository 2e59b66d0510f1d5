"""The lockout rule, as a table and as properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.lockout import FORGOTTEN_AFTER_S, LONGEST_WAIT_S, Counter, decide, is_forgotten, wait_s

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
failures = st.integers(min_value=0, max_value=10_000)
times = st.datetimes(min_value=datetime(2020, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
counters = st.builds(Counter, failures, times)


@pytest.mark.parametrize(
    ("count", "wait"),
    [(0, 0), (1, 0), (4, 0), (5, 30), (6, 60), (7, 120), (8, 240), (9, 480), (10, 960), (11, 1920), (12, 3600)],
)
def test_the_wait_begins_with_the_fifth_failure_and_doubles(count: int, wait: int):
    assert wait_s(count) == wait
    assert wait_s(10**9) == LONGEST_WAIT_S
    expected = NOW + timedelta(seconds=wait) if wait else None
    assert decide(Counter(count, NOW), Counter(), 0).locked_until == expected
    assert decide(Counter(), Counter(count, NOW), count).locked_until == expected


@pytest.mark.parametrize(
    ("count", "face_disabled", "account_disabled"),
    [(0, False, False), (49, False, False), (50, True, False), (99, True, False), (100, True, True), (101, True, True)],
)
def test_many_failures_over_all_disable(count: int, face_disabled: bool, account_disabled: bool):
    ruling = decide(Counter(), Counter(), count)
    assert (ruling.face_disabled, ruling.account_disabled) == (face_disabled, account_disabled)


@given(failures)
def test_failures_at_one_kiosk_alone_never_disable(count: int):
    ruling = decide(Counter(count, NOW), Counter(), 0)
    assert (ruling.face_disabled, ruling.account_disabled) == (False, False)


@given(failures)
def test_the_wait_never_shrinks_with_another_failure_and_is_never_above_an_hour(count: int):
    assert wait_s(count) <= wait_s(count + 1) <= LONGEST_WAIT_S


@given(counters, counters)
def test_the_later_lock_holds(pair: Counter, overall: Counter):
    both = decide(pair, overall, 0).locked_until
    alone = [decide(pair, Counter(), 0).locked_until, decide(Counter(), overall, 0).locked_until]
    assert both == max((lock for lock in alone if lock), default=None)


@given(counters, counters)
def test_one_more_failure_never_unlocks(pair: Counter, overall: Counter):
    before = decide(pair, overall, 0)
    after = decide(Counter(pair.failures + 1, pair.last_failure_at), overall, 0)
    if before.locked_until is not None:
        assert after.locked_until is not None
        assert after.locked_until >= before.locked_until


def test_no_failure_no_lock():
    assert decide(Counter(), Counter(), 0).locked_until is None
    assert decide(Counter(9, None), Counter(), 0).locked_until is None


@pytest.mark.parametrize(
    ("seconds", "forgotten"),
    [(0, False), (LONGEST_WAIT_S, False), (FORGOTTEN_AFTER_S, False), (FORGOTTEN_AFTER_S + 1, True), (-5, False)],
)
def test_a_counter_is_forgotten_a_week_after_its_last_failure(seconds: int, forgotten: bool):
    assert is_forgotten(Counter(99, NOW - timedelta(seconds=seconds)), NOW) is forgotten
    assert not is_forgotten(Counter(), NOW)


@given(counters)
def test_no_wait_outlasts_the_memory_of_it(counter: Counter):
    """So that forgetting a counter lets nobody in early."""
    until = decide(counter, Counter(), 0).locked_until
    assert until is None or not is_forgotten(counter, until)
