"""What logins amount to: percentiles, rates, arrivals, and how throughput grows with servers."""

import math
from itertools import pairwise
from statistics import mean, pstdev

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load.figures import (
    GRANTED,
    Growth,
    Login,
    Wait,
    Window,
    arrivals,
    growth,
    percentile,
    seen_closed,
    seen_open,
)

MINUTE = Window(100.0, 160.0)


@pytest.mark.parametrize(
    ("samples", "percent", "expected"),
    [
        # The nearest-rank definition; the first five as in its usual example.
        ([15, 20, 35, 40, 50], 5, 15),
        ([15, 20, 35, 40, 50], 30, 20),
        ([15, 20, 35, 40, 50], 40, 20),
        ([15, 20, 35, 40, 50], 50, 35),
        ([15, 20, 35, 40, 50], 100, 50),
        ([3, 1, 2], 50, 2),
        (list(range(1, 101)), 99, 99),
        (list(range(1, 101)), 95, 95),
        ([7], 1, 7),
        ([7], 99, 7),
    ],
)
def test_percentiles(samples: list[float], percent: float, expected: float) -> None:
    assert percentile(map(Wait, samples), percent) == Wait(expected)


def test_of_nobody_there_is_no_percentile() -> None:
    assert math.isnan(percentile([], 50).seconds)


@pytest.mark.parametrize(
    ("over", "waiting", "percent", "expected"),
    [
        # Half are in within 2 s, whatever becomes of the other two.
        ([1, 2], [5, 5], 50, Wait(2)),
        ([1, 2], [5, 5], 95, Wait(5, is_over=False)),
        ([], [5, 3], 50, Wait(5, is_over=False)),
        # Who was seen for 2 s may wait longer than who was in after 2 s.
        ([2], [2, 2], 50, Wait(2, is_over=False)),
        # Who came late and was seen for a second says nothing of those who wait for 3.
        ([3, 4], [1, 1, 1, 1], 50, Wait(3)),
        # The table of Kaplan and Meier's survivors for remission on 6-mercaptopurine (Freireich 1963): median 23 weeks.
        ([6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35], 50, Wait(23)),
        ([6, 6, 6, 7, 10, 13, 16, 22, 23], [6, 9, 10, 11, 17, 19, 20, 25, 32, 32, 34, 35], 95, Wait(35, is_over=False)),
    ],
)
def test_percentiles_of_waits_that_are_not_over(
    over: list[float], waiting: list[float], percent: float, expected: Wait
) -> None:
    assert percentile([*map(Wait, over), *(Wait(seconds, is_over=False) for seconds in waiting)], percent) == expected


@given(st.lists(st.floats(0.1, 100), min_size=1), st.floats(0.1, 100), st.sampled_from([50, 95, 99]))
def test_what_is_measured_for_less_long_is_never_more(seconds: list[float], ends: float, percent: int) -> None:
    found = percentile([Wait(min(wait, ends), wait < ends) for wait in seconds], percent)
    whole = percentile(map(Wait, seconds), percent)
    assert found == whole if found.is_over else found.seconds <= whole.seconds


# --- closed loop


@given(st.floats(0.05, 9.0), st.floats(0.0, 1.0), st.integers(1, 6))
def test_the_rate_of_steady_kiosks_is_exact_wherever_the_window_lies(seconds: float, phase: float, kiosks: int) -> None:
    begins = [100.0 - 10.0 + phase * seconds / kiosks + seconds * number for number in range(int(80 / seconds) + 1)]
    logins = [Login(kiosk, at, at, at + seconds, GRANTED) for kiosk in range(kiosks) for at in begins]
    assert seen_closed(logins, MINUTE).rate == pytest.approx(kiosks / seconds)


@given(st.floats(90.0, 165.0), st.floats(0.001, 50.0), st.lists(st.floats(60.0, 250.0), max_size=5))
def test_a_login_is_counted_once_over_all_windows(due: float, seconds: float, cuts: list[float]) -> None:
    login, edges = Login(0, due, due, due + seconds, GRANTED), [0.0, *sorted(cuts), 1000.0]
    parts = [Window(*edge).share_of(login) for edge in pairwise(edges)]
    assert sum(parts) == pytest.approx(1.0)
    assert all(0 <= part <= 1 for part in parts)


def test_closed_loop_tells_of_answers_in_the_window_and_of_all_who_came_until_its_end() -> None:
    seen = seen_closed(
        [
            Login(0, 98.0, 98.0, 99.0, GRANTED),  # warm-up
            Login(0, 99.0, 99.0, 102.0, GRANTED),
            Login(1, 120.0, 120.0, 121.0, "unavailable"),
            Login(1, 120.0, 130.0, 150.0, GRANTED),  # the same person again
            Login(2, 157.0, 157.0, 158.0, GRANTED),
            Login(2, 158.0, 158.0, 163.0, GRANTED),  # answered too late to be seen, but for its part
        ],
        MINUTE,
    )
    assert (seen.tried, seen.granted, seen.refusals) == (4, 3, {"unavailable": 1})
    assert (seen.p50, seen.p95, seen.p99, seen.at_least) == (3.0, 30.0, 30.0, ())
    assert seen.rate == pytest.approx((2 / 3 + 1 + 1 + 2 / 5) / 60)
    assert seen.refused == 0.25


def test_who_is_told_to_come_back_until_the_end_has_waited_from_the_first_try() -> None:
    seen = seen_closed([Login(0, 95.0, 95.0 + at, 95.5 + at, "unavailable") for at in range(60)], MINUTE)
    assert (seen.rate, seen.granted, seen.refused) == (0.0, 0, 1.0)
    assert (seen.p50, seen.p99, seen.at_least) == (65.0, 65.0, ("p50", "p95", "p99"))


def test_of_many_who_wait_few_answers_do_not_say_that_waits_are_short() -> None:
    in_time = [Login(kiosk, 98.0, 98.0, 101.0, GRANTED) for kiosk in range(10)]
    too_late = [Login(kiosk, 98.0, 98.0, 190.0, GRANTED) for kiosk in range(10, 100)]
    seen = seen_closed([*in_time, *too_late], MINUTE)
    assert (seen.granted, seen.p50, seen.at_least) == (10, 62.0, ("p50", "p95", "p99"))


# --- open loop


def test_open_loop_tells_of_all_who_came_in_the_window_and_waits_from_when_they_came() -> None:
    seen = seen_open(
        [
            Login(0, 99.9, 99.9, 100.5, GRANTED),  # came in the warm-up
            Login(0, 100.0, 100.5, 101.0, GRANTED),  # found the kiosk taken
            Login(1, 159.0, 159.0, 190.0, GRANTED),  # however late the answer
            Login(1, 159.5, 190.0, 191.0, "unavailable"),
            Login(2, 160.0, 160.0, 160.5, GRANTED),
        ],
        MINUTE,
    )
    assert (seen.tried, seen.granted, seen.rate, seen.p50, seen.p99) == (3, 2, 2 / 60, 1.0, 31.0)


@given(st.floats(0.2, 20.0), st.integers(1, 40), st.integers(0, 10_000))
def test_people_come_in_order_within_the_time_and_to_kiosks_that_there_are(rate: float, kiosks: int, seed: int) -> None:
    found = arrivals(rate, 30.0, kiosks, seed)
    moments = [arrival.after for arrival in found]
    assert moments == sorted(moments) and all(0 < moment < 30.0 for moment in moments)
    assert {arrival.kiosk for arrival in found} <= {*range(kiosks)}
    assert found == arrivals(rate, 30.0, kiosks, seed), "the same seed brings the same people"


@pytest.mark.parametrize("server", [0, 1, 2])
def test_people_come_to_each_server_independently_of_each_other_at_its_part_of_the_rate(server: int) -> None:
    found = [arrival.after for arrival in arrivals(12.0, 10_000.0, 255, seed=1) if arrival.kiosk % 3 == server]
    gaps = [after - before for before, after in pairwise(found)]
    assert mean(gaps) == pytest.approx(1 / 4.0, rel=0.02)
    # Of a Poisson process alone the gaps spread as widely as they are long.
    assert pstdev(gaps) == pytest.approx(mean(gaps), rel=0.02)


def test_another_seed_brings_others() -> None:
    assert arrivals(4.0, 10.0, 3, seed=1) != arrivals(4.0, 10.0, 3, seed=2)


# --- the bar


@pytest.mark.parametrize(
    ("rounds", "expected", "is_met"),
    [
        ({1: [1.0, 2.0, 1.5], 2: [2.0, 4.0, 3.0]}, Growth(2, 2.0, 2.0, 2.0), True),
        # Each round by itself: a machine that was slow in one of them was slow for both.
        ({1: [1.0, 0.5, 1.0], 2: [1.9, 0.95, 2.2]}, Growth(2, 1.9, 1.9, 2.2), True),
        ({1: [1.0, 1.0, 1.0], 2: [1.5, 1.89, 2.0]}, Growth(2, 1.89, 1.5, 2.0), False),
        ({1: [1.0], 3: [2.84]}, Growth(3, 2.84, 2.84, 2.84), False),
        ({1: [1.0], 3: [2.86]}, Growth(3, 2.86, 2.86, 2.86), True),
    ],
)
def test_how_throughput_grows(rounds: dict[int, list[float]], expected: Growth, is_met: bool) -> None:
    assert growth(rounds) == [expected]
    assert growth(rounds)[0].is_met is is_met


def test_one_server_has_nothing_to_be_compared_with() -> None:
    assert growth({1: [1.0, 2.0]}) == []
