"""The lockout rule, as a table and as properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.lockout import LONGEST_WAIT_S, Counter, decide, wait_s

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
    assert decide(Counter(count, NOW), Counter()).locked_until == expected
    assert decide(Counter(), Counter(count, NOW)).locked_until == expected


@pytest.mark.parametrize(
    ("count", "face_disabled", "account_disabled"),
    [(0, False, False), (49, False, False), (50, True, False), (99, True, False), (100, True, True), (101, True, True)],
)
def test_many_failures_over_all_disable(count: int, face_disabled: bool, account_disabled: bool):
    ruling = decide(Counter(), Counter(count, NOW))
    assert (ruling.face_disabled, ruling.account_disabled) == (face_disabled, account_disabled)


@given(failures)
def test_failures_at_one_kiosk_alone_never_disable(count: int):
    ruling = decide(Counter(count, NOW), Counter())
    assert (ruling.face_disabled, ruling.account_disabled) == (False, False)


@given(failures)
def test_the_wait_never_shrinks_with_another_failure_and_is_never_above_an_hour(count: int):
    assert wait_s(count) <= wait_s(count + 1) <= LONGEST_WAIT_S


@given(counters, counters)
def test_the_later_lock_holds(pair: Counter, overall: Counter):
    both = decide(pair, overall).locked_until
    alone = [decide(pair, Counter()).locked_until, decide(Counter(), overall).locked_until]
    assert both == max((lock for lock in alone if lock), default=None)


@given(counters, counters)
def test_one_more_failure_never_unlocks(pair: Counter, overall: Counter):
    before = decide(pair, overall)
    after = decide(Counter(pair.failures + 1, pair.last_failure_at), overall)
    if before.locked_until is not None:
        assert after.locked_until is not None
        assert after.locked_until >= before.locked_until


def test_no_failure_no_lock():
    assert decide(Counter(), Counter()).locked_until is None
    assert decide(Counter(9, None), Counter()).locked_until is None
