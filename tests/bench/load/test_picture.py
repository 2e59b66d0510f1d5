"""The table's lines and the plot."""

import io
import json
import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bench.load.figures import Growth, Seen
from bench.load.measuring import Step
from bench.load.picture import Panel, draw, marks, panels
from bench.load.report import HEAD, Report, caution, growth_line, line, outcomes_line

SEEN = Seen(tried=12, granted=9, rate=1.25, p50=0.9, p95=1.4, p99=1.5, refusals={"unavailable": 3})
STEP = Step("closed", 2, 8, None, 8.0, SEEN, used=0.98, kiosk_ms=11.0, database_cores=0.02, store_ms=24.0)
NOBODY = replace(SEEN, granted=0, rate=0.0, p50=math.nan, p95=math.nan, p99=math.nan)


def test_a_line_stands_under_the_head() -> None:
    words = line(STEP).split()
    assert words == "closed 2 8 1.25 12 0.90 s 1.40 s 1.50 s 25% 98% 24 ms 11 ms 0.02".split()
    assert len(line(STEP)) == len(HEAD)


def test_a_line_of_people_who_come_by_themselves_says_how_many() -> None:
    assert line(replace(STEP, loop="open", offered=1.3)).split()[3] == "1.30"


def test_a_wait_that_was_longer_than_the_measure_is_told_as_such() -> None:
    told = line(replace(STEP, seen=replace(SEEN, p95=41.96, p99=41.96, at_least=("p95", "p99"))))
    assert " 0.90 s >41.96 s >41.96 s " in told
    assert len(told) == len(HEAD)


def test_where_there_is_no_figure_the_file_has_null() -> None:
    found = Report("", {}, opened=[replace(STEP, seen=NOBODY)]).json
    assert json.loads(json.dumps(found, allow_nan=False))["opened"][0]["seen"]["p50"] is None


def test_where_nobody_was_let_in_no_wait_is_told() -> None:
    told = line(replace(STEP, seen=NOBODY))
    assert "nan" not in told and told.split()[5:8] == ["-", "-", "-"]
    assert len(told) == len(HEAD)


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (Growth(2, 1.97, 1.95, 1.99), "2 shares let in 1.97 times as many as one (1.95 to 1.99), 0.985 of 2"),
        (Growth(3, 2.7, 2.6, 2.8), "0.900 of 3   (bar: 0.95) MISSED"),
    ],
)
def test_the_bar_is_told(found: Growth, told: str) -> None:
    assert told in growth_line(found)


def test_all_answers_are_told() -> None:
    found = Report("", {}, outcomes={"unavailable": 3, "granted": 9}, store_faults=1)
    assert outcomes_line(found) == "9 granted, 3 unavailable; 1 transactions failed in the store"


@pytest.mark.parametrize(
    ("used", "told"),
    [
        ([0.99, 1.0, 0.95], None),
        (
            [0.99, 0.94, 0.61],
            "2 of 3 steps of the rounds servers took less than 95% of their shares (at the least 61%)",
        ),
    ],
)
def test_shares_that_were_not_taken_are_told(used: list[float], told: str | None) -> None:
    said = caution([replace(STEP, used=part) for part in used])
    assert said == "" if told is None else told in said


# --- the plot


@given(st.floats(0.001, 5000))
def test_a_scale_has_few_round_marks_and_all_values_lie_on_it(top: float) -> None:
    found = marks(top)
    assert found[0] == 0 and found[-1] >= top * (1 - 1e-9)
    assert 3 <= len(found) <= 6
    step = found[1]
    assert float(f"{step:.0e}") == pytest.approx(step) and f"{step:.0e}"[0] in "125"


@pytest.mark.parametrize("top", [0.0, -1.0, math.nan])
def test_a_scale_of_nothing(top: float) -> None:
    assert marks(top) == [0.0, 1.0]


def test_each_panel_has_a_line_for_each_number_of_servers() -> None:
    ramp = [replace(STEP, servers=servers, kiosks=kiosks) for kiosks in (1, 4) for servers in (1, 2)]
    opened = [replace(STEP, loop="open", servers=servers, offered=servers * 1.2) for servers in (1, 2)]
    found = panels(ramp, opened)
    assert [sorted(part.lines) for part in found] == [[1, 2]] * 6
    assert found[0].lines[2] == [(1.0, 1.25), (4.0, 1.25)]
    assert found[1].lines[1] == [(1.0, 25.0), (4.0, 25.0)]
    assert found[2].lines == {1: [(1.2, 1.4)], 2: [(2.4, 1.4)]} and not found[2].is_doubling
    assert [part.lines[1][0][1] for part in found[3:]] == [0.9, 1.4, 1.5]


def test_a_step_in_which_nobody_was_let_in_has_a_rate_and_no_wait() -> None:
    found = panels([STEP, replace(STEP, kiosks=16, seen=NOBODY)], [])
    assert [len(part.lines.get(2, ())) for part in found] == [2, 2, 0, 1, 1, 1]


def test_waits_that_were_longer_than_the_measure_are_marked() -> None:
    long = replace(STEP, kiosks=16, seen=replace(SEEN, p95=9.0, at_least=("p95",)))
    found = panels([STEP, long], [])
    assert [part.at_least for part in found[3:]] == [frozenset(), {(16.0, 9.0)}, frozenset()]
    drawn = {draw([replace(found[4], at_least=points)], "told") for points in (frozenset(), found[4].at_least)}
    assert len(drawn) == 2


def colours_between(data: bytes) -> set[tuple[int, int, int]]:
    """The colours half way between the two kiosks of the first panel, where there are lines and no marks."""
    with Image.open(io.BytesIO(data), formats=("PNG",)) as picture:
        assert picture.size == (2640, 620)
        found = picture.convert("RGB").crop((470, 60, 480, 440)).getcolors(4096)
    assert found is not None
    return {colour for _, colour in found}  # type: ignore[misc]


def test_the_picture_is_a_png_in_which_each_line_is_drawn() -> None:
    blue, orange = (0x1F, 0x4E, 0x9C), (0xA0, 0x40, 0x00)
    one, two = [(1.0, 1.0), (256.0, 1.2)], [(1.0, 1.9), (256.0, 2.1)]
    both = colours_between(draw([Panel("title", "below", {1: one, 2: two})], "told"))
    assert {blue, orange} <= both
    alone = colours_between(draw([Panel("title", "below", {1: one})], "told"))
    assert blue in alone and orange not in alone


def test_an_empty_panel_can_be_drawn() -> None:
    assert draw([Panel("title", "below", {}), Panel("title", "below", {}, is_doubling=False)], "told")
