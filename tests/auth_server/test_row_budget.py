"""Strangers write a bounded number of rows, and nobody's refusal is forgotten."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.buckets import SOURCES_MAX
from auth_server.row_budget import BURST, ROWS_PER_S, RowBudget


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_a_burst_is_written_whole_and_the_rest_counted_in_the_next_row(clock):
    budget = RowBudget(clock)
    assert [budget.spend("192.0.2.1") for _ in range(int(BURST))] == [0] * int(BURST)
    assert [budget.spend("192.0.2.1") for _ in range(7)] == [None] * 7
    clock.seconds += 1 / ROWS_PER_S
    assert budget.spend("192.0.2.1") == 7
    assert budget.spend("192.0.2.1") is None


def test_one_source_does_not_use_up_another_ones(clock):
    budget = RowBudget(clock)
    for _ in range(1000):
        budget.spend("192.0.2.1")
    assert budget.spend("192.0.2.2") == 0


@pytest.mark.parametrize(
    ("first", "second", "is_one"),
    [
        ("2001:db8::1", "2001:db8::ffff", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("192.0.2.1", "192.0.2.2", False),
        (None, "", True),
    ],
)
def test_an_ipv6_network_is_one_source(clock, first, second, is_one):
    budget = RowBudget(clock)
    for _ in range(int(BURST)):
        budget.spend(first)
    assert (budget.spend(second) is None) == is_one


def test_what_was_not_written_can_be_drained_once(clock):
    budget = RowBudget(clock)
    for _ in range(int(BURST) + 3):
        budget.spend("192.0.2.1")
    assert budget.drain() == {"192.0.2.1": 3}
    assert budget.drain() == {}


def test_memory_is_bounded_and_given_back(clock):
    budget = RowBudget(clock)
    for number in range(3 * SOURCES_MAX):
        budget.spend(f"10.{number // 65536}.{number // 256 % 256}.{number % 256}")
    assert len(budget._buckets._buckets) <= SOURCES_MAX + 1
    clock.seconds += BURST / ROWS_PER_S + 1
    budget.drain()
    assert budget._buckets._buckets == {}


@given(st.lists(st.floats(0, 10), max_size=300))
def test_rows_never_outrun_the_budget_and_every_refusal_is_written_or_counted(pauses):
    clock = Clock()
    budget, written, told = RowBudget(clock), 0, 0
    for pause in pauses:
        clock.seconds += pause
        unwritten = budget.spend("192.0.2.1")
        if unwritten is not None:
            written, told = written + 1, told + unwritten
    assert written <= BURST + clock.seconds * ROWS_PER_S + 1e-6
    assert written + told + sum(budget.drain().values()) == len(pauses)
