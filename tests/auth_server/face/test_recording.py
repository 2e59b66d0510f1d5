"""A recording's marks: whole, in order, and no faster or slower than a person."""

import pytest

from auth_contract.actions import Movement
from auth_contract.messages import FrameMark
from auth_server.errors import Malformed
from auth_server.face.recording import Recording, check_form, problem_of_marks

ASKED = (Movement.TURN_LEFT, Movement.BLINK)
PARTS = (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3)
STEADY = tuple(1000 + 200 * place for place in range(len(PARTS)))


def recording(parts: tuple[int, ...] = PARTS, times: tuple[int, ...] = STEADY, age_ms: int = 60_000) -> Recording:
    marks = tuple(FrameMark(at_ms=at_ms, part=part) for at_ms, part in zip(times, parts, strict=True))
    return Recording((b"frame",) * len(marks), marks, ASKED, age_ms)


def later(place: int, by_ms: int) -> tuple[int, ...]:
    return tuple(at_ms + by_ms * (index >= place) for index, at_ms in enumerate(STEADY))


@pytest.mark.parametrize(
    "good",
    [
        recording(),
        recording(times=later(5, 1300)),
        recording(age_ms=STEADY[-1] - 1000),
        recording((0, 1, 1, 2, 2, 3), (1, 400, 600, 800, 1000, 1200)),
    ],
)
def test_a_steady_recording_has_no_problem(good: Recording) -> None:
    assert problem_of_marks(good) is None


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (recording(parts=(1, 1, 1, 1, 1, 1, 2, 2, 2, 3, 3)), "out_of_order"),
        (recording(parts=(0, 0, 0, 1, 1, 1, 1, 1, 1, 3, 3)), "out_of_order"),
        (recording(parts=(0, 0, 0, 2, 2, 2, 1, 1, 1, 3, 3)), "out_of_order"),
        (recording(parts=(0, 0, 0, 1, 1, 1, 2, 2, 2, 2, 2)), "out_of_order"),
        (recording(parts=(0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 4)), "out_of_order"),
        (recording(times=STEADY[::-1]), "out_of_order"),
        (recording(times=(STEADY[0], *STEADY[:-1])), "out_of_order"),
        (recording(times=tuple(1000 + 80 * place for place in range(11))), "too_fast"),
        (recording(age_ms=STEADY[-1] - 1001), "too_fast"),
        (recording(times=later(5, 1301)), "too_slow"),
        (
            recording(
                parts=(0,) + (1,) * 11 + (2, 2, 3),
                times=(*range(1000, 16_400, 1200), 16_700, 16_900),
            ),
            "too_slow",
        ),
    ],
    ids=[
        "no beginning", "a part left out", "parts swapped", "no end", "one part too many", "backwards",
        "one time twice",
        "quicker than a blink", "longer than it took", "a gap", "a movement of 13 s",
    ],
)  # fmt: skip
def test_what_no_person_does_is_named(bad: Recording, problem: str) -> None:
    assert problem_of_marks(bad) == problem


def test_parts_are_found_by_their_marks() -> None:
    assert [list(recording().part(number)) for number in range(5)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9, 10], []]


def test_a_recording_with_movements_has_a_mark_for_each_frame() -> None:
    check_form(recording())
    check_form(Recording((b"frame",)))
    for marks in ((), recording().marks[:-1]):
        with pytest.raises(Malformed) as refused:
            check_form(Recording((b"frame",) * len(PARTS), marks, ASKED))
        assert refused.value.field == "marks"
    with pytest.raises(ValueError, match="no frame"):
        check_form(Recording(()))


def test_no_picture_is_in_a_recordings_words() -> None:
    assert "frame" not in repr(Recording((b"frame of a face",)))
