"""The lockout rule, as a table and as properties."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.lockout import FORGOTTEN_AFTER_S, LONGEST_WAIT_S, Counter, Counters, decide, is_forgotten, wait_s

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
    assert decide(Counters(pair=Counter(count, NOW), overall=Counter(), in_a_row=0)).locked_until == expected
    assert decide(Counters(pair=Counter(), overall=Counter(count, NOW), in_a_row=count)).locked_until == expected


@pytest.mark.parametrize(
    ("count", "face_disabled", "account_disabled"),
    [(0, False, False), (49, False, False), (50, True, False), (99, True, False), (100, True, True), (101, True, True)],
)
def test_many_failures_over_all_disable(count: int, face_disabled: bool, account_disabled: bool):
    ruling = decide(Counters(pair=Counter(), overall=Counter(), in_a_row=count))
    assert (ruling.face_disabled, ruling.account_disabled) == (face_disabled, account_disabled)


@given(failures)
def test_failures_at_one_kiosk_alone_never_disable(count: int):
    ruling = decide(Counters(pair=Counter(count, NOW), overall=Counter(), in_a_row=0))
    assert (ruling.face_disabled, ruling.account_disabled) == (False, False)


@given(failures)
def test_the_wait_never_shrinks_with_another_failure_and_is_never_above_an_hour(count: int):
    assert wait_s(count) <= wait_s(count + 1) <= LONGEST_WAIT_S


@given(counters, counters)
def test_the_later_lock_holds(pair: Counter, overall: Counter):
    both = decide(Counters(pair=pair, overall=overall, in_a_row=0)).locked_until
    alone = [
        decide(Counters(pair=pair, overall=Counter(), in_a_row=0)).locked_until,
        decide(Counters(pair=Counter(), overall=overall, in_a_row=0)).locked_until,
    ]
    assert both == max((lock for lock in alone if lock), default=None)


@given(counters, counters)
def test_one_more_failure_never_unlocks(pair: Counter, overall: Counter):
    before = decide(Counters(pair=pair, overall=overall, in_a_row=0))
    after = decide(Counters(pair=Counter(pair.failures + 1, pair.last_failure_at), overall=overall, in_a_row=0))
    if before.locked_until is not None:
        assert after.locked_until is not None
        assert after.locked_until >= before.locked_until


def test_no_failure_no_lock():
    assert decide(Counters(pair=Counter(), overall=Counter(), in_a_row=0)).locked_until is None
    assert decide(Counters(pair=Counter(9, None), overall=Counter(), in_a_row=0)).locked_until is None


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
    until = decide(Counters(pair=counter, overall=Counter(), in_a_row=0)).locked_until
    assert until is None or not is_forgotten(counter, until)


@given(counters, counters, counters)
def test_the_latest_of_three_locks_holds(pair: Counter, overall: Counter, anywhere: Counter):
    locks = [
        decide(Counters(**{name: counter})).locked_until
        for name, counter in {"pair": pair, "overall": overall, "anywhere": anywhere}.items()
    ]
    together = decide(Counters(pair=pair, overall=overall, anywhere=anywhere)).locked_until
    assert together == max((lock for lock in locks if lock), default=None)


@pytest.mark.parametrize(("count", "is_closed"), [(0, False), (50, False), (99, False), (100, True), (101, True)])
def test_many_failures_anywhere_close_those_actions_and_disable_nobody(count: int, is_closed: bool):
    """Else anybody who knows a name could lock its person out, at a kiosk that is not the person's own."""
    ruling = decide(Counters(anywhere=Counter(count, NOW), anywhere_in_a_row=count))
    assert ruling.is_closed is is_closed
    assert (ruling.face_disabled, ruling.account_disabled) == (False, False)


@given(failures)
def test_failures_at_own_kiosks_close_nothing(count: int):
    assert not decide(Counters(overall=Counter(count, NOW), in_a_row=count)).is_closed
