"""Taking pictures: what is asked for, what is waited for, what is sent, and when it is left."""

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import pytest

from auth_contract.actions import CaptureHint, Movement
from auth_contract.limits import BODY_MAX_BYTES, FRAMES_MAX
from auth_vision.movement import is_done, rest_of
from kiosk_agent.capture import Capturer
from kiosk_agent.effects import Capture
from kiosk_agent.errors import NobodyWaits, PicturesUnfit
from kiosk_agent.events import Captured, Event, Guided, Pictured
from kiosk_agent.recording import GAP_MAX_MS, part_max
from kiosk_agent.settings import CaptureSettings
from tests.kiosk_agent.people import AWAY, DARK, GOOD, Person

LEFT, RIGHT, UP, BLINK, CLOSER = Movement
SEQUENCES = [(LEFT,), (LEFT, RIGHT, UP), (BLINK, CLOSER, LEFT, BLINK), (UP, BLINK, RIGHT)]


@dataclass
class Taken:
    """What came of a capture, what was told meanwhile, and how long it took."""

    captured: Captured
    told: list[Event]
    took_s: float

    @property
    def parts(self) -> list[int]:
        return [mark.part for mark in self.captured.marks]

    def of(self, part: int) -> list[bytes]:
        return [frame for frame, number in zip(self.captured.frames, self.parts, strict=True) if number == part]


@pytest.fixture
def take(around, clock):
    """Lets a person be captured; `is_guided` says whether there are models on the kiosk."""

    def run(person, *movements, is_guided=True, is_enrolment=False, is_wanted=lambda: True, **settings) -> Taken:
        capturer = Capturer(person, CaptureSettings(**settings), person if is_guided else None, around)
        told: list[Event] = []
        began = clock.moved_s
        errand = Capture(7, is_enrolment, movements, began)
        return Taken(capturer.take(errand, told.append, is_wanted), told, clock.moved_s - began)

    return run


# --- recordings


@pytest.mark.parametrize("movements", SEQUENCES)
@pytest.mark.parametrize("is_guided", [True, False])
@pytest.mark.parametrize("reaction", [1, 3, 30, 60])
def test_a_recording_has_the_form_that_the_server_asks_for(movements, is_guided, reaction, take) -> None:
    person = Person(reaction)
    taken = take(person, *movements, is_guided=is_guided)
    assert len(taken.captured.frames) == len(taken.captured.marks) <= FRAMES_MAX
    parts, times = taken.parts, [mark.at_ms for mark in taken.captured.marks]
    assert parts == sorted(parts) and set(parts) == set(range(len(movements) + 2))
    assert (parts.count(0), parts.count(len(movements) + 1)) == (3, 2)
    assert max(parts.count(number) for number in range(1, len(movements) + 1)) <= (
        6 if len(movements) == 4 and reaction < 30 else 9
    )
    assert all(0 < later - earlier <= GAP_MAX_MS for earlier, later in pairwise(times))
    starts = [times[parts.index(number)] for number in range(len(movements) + 2)]
    assert min(later - earlier for earlier, later in pairwise(starts[1:])) >= 250
    assert person.asked == [None, *movements, None]
    assert [person.seen_in(frame) for frame in (*taken.of(0), *taken.of(len(movements) + 1))] == [GOOD] * 5


@pytest.mark.parametrize("movement", Movement)
@pytest.mark.parametrize(("reaction", "lasts"), [(1, 2), (3, 1), (12, 2), (30, 2), (40, 5)])
def test_what_is_sent_of_a_movement_shows_it_whenever_it_was_made(movement, reaction, lasts, take) -> None:
    """The server sees only what is sent."""
    person = Person(reaction, lasts)
    taken = take(person, RIGHT if movement is LEFT else LEFT, movement)
    rest = rest_of([person.seen_in(frame) for frame in taken.of(0)])
    assert is_done(movement, rest, [person.seen_in(frame) for frame in taken.of(2)])


def test_the_next_movement_is_asked_for_as_soon_as_one_was_seen(take) -> None:
    assert take(Person(2), LEFT, BLINK, UP).took_s < 5
    assert take(Person(2, refuses=frozenset({BLINK})), LEFT, BLINK, UP).took_s > 6, "and no sooner"


def test_a_movement_that_is_not_made_ends_with_its_time_and_is_sent_as_it_was(take) -> None:
    taken = take(Person(refuses=frozenset(Movement)), UP, movement_s=4.0)
    assert set(taken.parts) == {0, 1, 2}
    seconds = [event.seconds_left for event in taken.told if isinstance(event, Guided) and event.part == 1]
    assert seconds == [4, 3, 2, 1], "it is counted down"


def test_who_still_holds_the_last_movement_has_not_made_the_next_one_with_it(take) -> None:
    """Eyes that look up seem shut: the blink begins when they are open again."""
    person = Person(0, lasts=1)
    held = [AWAY[BLINK]] * 4
    person.at_rest = lambda number: held.pop() if held and person.asked[-1] is BLINK else GOOD
    person.reaction = 6
    taken = take(person, UP, BLINK)
    assert person.seen_in(taken.of(2)[0]) == GOOD
    assert person.seen_in(taken.of(1)[-1]) == AWAY[BLINK]


def test_the_last_pictures_wait_until_the_person_looks_into_the_camera_again(take) -> None:
    person = Person(1, lasts=12)
    away = [AWAY[LEFT]] * 6
    person.at_rest = lambda number: away.pop() if away and person.asked[-2:] == [LEFT, None] else GOOD
    taken = take(person, LEFT)
    assert [person.seen_in(frame) for frame in taken.of(2)] == [GOOD, GOOD]
    assert person.seen_in(taken.of(1)[-1]) == AWAY[LEFT], "the pictures until then are the movement's"


def test_a_face_that_never_comes_back_is_sent_as_it_is(take) -> None:
    person = Person(1)
    person.at_rest = lambda _number: None if len(person.asked) == 3 else GOOD
    taken = take(person, LEFT)
    assert [person.seen_in(frame) for frame in taken.of(2)] == [None, None]
    assert taken.took_s < 6


def test_pictures_without_a_face_are_left_out_where_others_are_there(take) -> None:
    person = Person(8)
    person.at_rest = lambda number: None if person.asked[-1] is UP and number % 2 else GOOD
    taken = take(person, UP)
    seen = [person.seen_in(frame) for frame in taken.of(1)]
    assert seen.count(None) <= 1


def test_each_part_is_told_of_and_what_is_wrong_with_the_picture(take) -> None:
    person = Person(2, refuses=frozenset({LEFT}))
    person.at_rest = lambda number: DARK if number in {0, 1, 10, 11} else GOOD
    told = [(event.part, event.hint) for event in take(person, LEFT, UP).told if isinstance(event, Guided)]
    changes = [one for one, other in zip(told, [None, *told], strict=False) if one != other]
    dark = CaptureHint.TOO_DARK
    assert changes == [(0, dark), (0, None), (1, None), (1, dark), (1, None), (2, None), (3, None)]


@pytest.mark.parametrize("side", [640, 1920])
def test_a_recording_fits_into_a_message_whatever_the_camera_gives(side, take) -> None:
    """Noise is what JPEG is worst at."""

    class Noisy(Person):
        def picture(self, number: int) -> np.ndarray:
            return np.random.default_rng(number).integers(0, 256, (side * 3 // 4, side, 3), np.uint8)

    taken = take(Noisy(40), LEFT, RIGHT, UP, CLOSER)
    assert sum(4 * -(-len(frame) // 3) for frame in taken.captured.frames) < BODY_MAX_BYTES - 8192
    assert max(cv2.imdecode(np.frombuffer(taken.captured.frames[0], np.uint8), 1).shape) == 640


# --- pictures without movements


@pytest.mark.parametrize("is_guided", [True, False])
def test_without_movements_there_are_pictures_and_no_marks(is_guided, take) -> None:
    taken = take(Person(), is_guided=is_guided, frames=3)
    assert (len(taken.captured.frames), taken.captured.marks) == (3, ())
    assert taken.told == ([Guided(taken.captured.ticket, 0, is_good=True)] if is_guided else [])
    assert taken.took_s == pytest.approx(0.4)


@pytest.mark.parametrize("movements", [(), (LEFT,)])
def test_a_bad_picture_is_not_sent_but_told_of(movements, take) -> None:
    person = Person(at_rest=lambda number: DARK if number in {0, 1, 3} else GOOD)
    taken = take(person, *movements)
    assert [person.seen_in(frame) for frame in taken.captured.frames[:3]] == [GOOD] * 3
    hints = [event.hint for event in taken.told if isinstance(event, Guided) and event.part == 0]
    assert hints == [CaptureHint.TOO_DARK, None, CaptureHint.TOO_DARK, None]


@pytest.mark.parametrize("movements", [(), (LEFT,)])
@pytest.mark.parametrize(("shown", "hint"), [(None, CaptureHint.NO_FACE), (DARK, CaptureHint.TOO_DARK)])
def test_pictures_that_stay_bad_are_given_up(shown, hint, movements, take, clock) -> None:
    person = Person(at_rest=lambda _number: shown)
    with pytest.raises(PicturesUnfit) as caught:
        take(person, *movements, patience_s=5.0)
    assert caught.value.hint is hint
    assert clock.moved_s == pytest.approx(5.5, abs=0.5)


def test_without_guidance_the_server_is_left_to_say_what_is_wrong(take) -> None:
    assert len(take(Person(at_rest=lambda _number: DARK), is_guided=False).captured.frames) == 3


def test_a_new_face_is_asked_for_one_pose_after_another(take) -> None:
    person = Person(at_rest=lambda number: DARK if number == 1 else GOOD)
    taken = take(person, is_enrolment=True, enrol_frames=3, enrol_interval_s=1.0)
    assert len(taken.captured.frames) == 3
    assert [event.taken for event in taken.told if isinstance(event, Pictured)] == [1, 1, 2], "a bad one again"


@pytest.mark.parametrize("is_enrolment", [True, False])
def test_a_new_face_with_movements_is_the_same_recording(is_enrolment, take) -> None:
    taken = take(Person(), LEFT, UP, is_enrolment=is_enrolment)
    assert set(taken.parts) == {0, 1, 2, 3}


# --- leaving


@pytest.mark.parametrize("movements", [(), (LEFT, UP)])
@pytest.mark.parametrize("is_guided", [True, False])
@pytest.mark.parametrize("left_after", [0, 1, 2])
def test_a_capture_is_left_as_soon_as_nobody_waits_for_it(movements, is_guided, left_after, take, clock) -> None:
    person = Person(refuses=frozenset(Movement))
    gone_at = []

    def is_wanted() -> bool:
        is_here = len(person.shown) < left_after
        if not is_here and not gone_at:
            gone_at.append(clock.moved_s)
        return is_here

    with pytest.raises(NobodyWaits):
        take(person, *movements, is_guided=is_guided, is_wanted=is_wanted)
    assert clock.moved_s - gone_at[0] <= 0.25
    assert len(person.shown) <= left_after, "no picture is taken of the next person"


@pytest.mark.parametrize(("movements", "most"), [(1, 9), (2, 9), (3, 9), (4, 6)])
def test_as_many_pictures_of_each_movement_are_sent_as_there_is_room_for(movements, most) -> None:
    assert part_max(movements) == most
    assert 3 + 2 + movements * most <= FRAMES_MAX


def test_a_slow_movement_takes_the_room_of_the_others_and_no_gap_is_cut(take) -> None:
    person = Person(60, refuses=frozenset({UP}))
    taken = take(person, UP, LEFT, RIGHT, movement_s=10.0)
    times = [mark.at_ms for mark in taken.captured.marks]
    assert len(times) <= FRAMES_MAX
    assert all(later - earlier <= GAP_MAX_MS for earlier, later in pairwise(times))
