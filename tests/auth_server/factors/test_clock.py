"""The clock factor: at most 120 s, to the microsecond, on either side."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.domain import Factor
from auth_server.factors import clock

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("ahead", "passed"),
    [
        (timedelta(0), True),
        (timedelta(seconds=119), True),
        (timedelta(seconds=120), True),
        (timedelta(seconds=120) + MICROSECOND, False),
        (timedelta(seconds=121), False),
        (timedelta(seconds=-120), True),
        (timedelta(seconds=-120) - MICROSECOND, False),
        (timedelta(seconds=-121), False),
        (timedelta(hours=1), False),
        (timedelta(days=-3650), False),
    ],
)
def test_the_limit_is_the_same_on_both_sides(ahead: timedelta, passed: bool) -> None:
    verdict = clock.verify(claim=NOW + ahead, now=NOW)
    assert verdict.factor is Factor.CLOCK
    assert verdict.passed is passed
    assert verdict.evidence == {"skew_s": round(ahead.total_seconds(), 3)}


def test_the_limit_can_be_tightened() -> None:
    assert clock.verify(claim=NOW + timedelta(seconds=5), now=NOW, max_skew_s=5).passed
    assert not clock.verify(claim=NOW + timedelta(seconds=6), now=NOW, max_skew_s=5).passed


def test_one_moment_written_in_another_zone_is_the_same_moment() -> None:
    assert clock.verify(claim=NOW.astimezone(timezone(timedelta(hours=14))), now=NOW).evidence == {"skew_s": 0.0}


def test_a_moment_without_offset_fails() -> None:
    assert not clock.verify(claim=NOW.replace(tzinfo=None), now=NOW).passed


@given(
    st.datetimes(
        timezones=st.none() | st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
    )
)
def test_no_moment_raises(claim: datetime) -> None:
    clock.verify(claim=claim, now=NOW)
