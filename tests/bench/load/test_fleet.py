"""Who stands at which kiosk, and whose codes are used when."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from bench.load.fleet import PersonPlan, kiosks_of, standing_at
from bench.load.kiosks import _Person

NUMBERS = st.tuples(st.integers(1, 64), st.integers(1, 200), st.integers(1, 5))


@given(NUMBERS)
def test_nobody_stands_at_two_kiosks_and_each_stays_in_one_process(numbers: tuple[int, int, int]) -> None:
    kiosks, people, processes = numbers
    found = [set(standing_at(kiosk, kiosks, people, processes)) for kiosk in range(kiosks)]
    assert sum(map(len, found)) == len(set().union(*found))
    for kiosk, standing in enumerate(found):
        assert {person % processes for person in standing} <= {kiosk % processes}, "a code could be shown twice"


@given(NUMBERS)
def test_nobody_is_left_out_once_each_process_has_a_kiosk(numbers: tuple[int, int, int]) -> None:
    kiosks, people, processes = numbers
    found = {person for kiosk in range(kiosks) for person in standing_at(kiosk, kiosks, people, processes)}
    assert found == {person for person in range(people) if person % processes < kiosks}


@given(st.integers(1, 200), st.integers(1, 5), st.sets(st.integers(1, 32), min_size=1, max_size=4))
def test_people_are_bound_to_every_kiosk_at_which_they_will_stand(people: int, processes: int, steps: set[int]) -> None:
    bound = kiosks_of(people, processes, steps)
    for kiosks in steps:
        for kiosk in range(kiosks):
            assert all(kiosk in bound[person] for person in standing_at(kiosk, kiosks, people, processes))


@given(st.lists(st.tuples(st.floats(0, 100), st.booleans()), max_size=30))
def test_a_code_that_may_have_been_taken_is_never_shown_again(visits: list[tuple[float, bool]]) -> None:
    person = _Person(PersonPlan("ann", "ABC", (Path("1.jpg"),)), ())
    taken, now = [], 1_000_000.0
    for pause, is_taken in visits:
        now += pause
        step = person.step(now)
        if step is not None:
            assert step in (int(now) // 30, int(now) // 30 + 1), "a server takes it for half a minute more"
            if is_taken:
                person.next_step = step + 1
                taken.append(step)
    assert taken == sorted(set(taken))
