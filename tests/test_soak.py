"""What `make soak` calls too much, and that its picture is whole."""

import re
from dataclasses import replace

import pytest

from bench.soak_figures import Figures, Sample, faults, figures
from bench.soak_picture import draw

GOOD = Figures("page", 500, 0.6, 0, 120.0, 117.0, 118.0, 0.0085, (11, 11), (6, 6))


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, None),
        ({"growth": 0.05}, None),
        ({"growth": 0.051}, "memory grew by 5.1%"),
        ({"rss_max_mb": 150.1}, "over 150"),
        ({"threads": (11, 12)}, "threads grew from 11 to 12"),
        ({"threads": (12, 11)}, None),
        ({"descriptors": (6, 7)}, "open files grew from 6 to 7"),
        ({"idle_percent": 3.1}, "idle took 3.1 %"),
        ({"written_bytes": 4096}, "4096 bytes were written"),
    ],
)
def test_each_thing_that_is_too_much(changes, told) -> None:
    found = faults(replace(GOOD, **changes))
    assert found == [] if told is None else (len(found) == 1 and found[0].startswith("page: ") and told in found[0])


def samples(*rss_mb: float) -> list[Sample]:
    return [Sample(50 * number, 10.0 * number, mb, 11, 6, 0) for number, mb in enumerate(rss_mb)]


def test_growth_is_counted_from_the_hundredth_session_and_by_medians() -> None:
    steady = samples(60, 90, *[100] * 4, 140, *[100] * 4, 104, 104, 104)
    found = figures("page", 0.5, 0, steady)
    assert (found.rss_first_mb, found.rss_last_mb, found.growth) == (100, 104, 0.04)
    assert (found.sessions, found.rss_max_mb) == (650, 140)


def test_the_picture_has_a_line_for_each_screen_and_each_panel() -> None:
    drawn = draw({"terminal": samples(100, 101), "page": samples(110, 111)})
    points = re.findall(r'<polyline points="([^"]+)"', drawn)
    assert [len(line.split()) for line in points] == [2, 2, 2, 2]
    assert drawn.startswith("<svg ") and drawn.endswith("</svg>\n")
