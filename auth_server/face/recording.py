"""A recording: the frames of one attempt, when each was taken, and what the person was asked to do. Pure.

The kiosk times its frames itself; what it says is held against the server's own clock and against what
a person can do.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from auth_contract.actions import Movement
from auth_contract.limits import ATTEMPT_TTL_S
from auth_contract.messages import FrameMark
from auth_server.errors import Malformed

PART_MIN_MS: Final = 250
"""From a movement's first frame to the next part's: a blink takes 100 to 400 ms, and has to be asked for first."""

PART_MAX_MS: Final = 12_000
"""Twice as long as a kiosk waits for a movement."""

GAP_MAX_MS: Final = 1500
"""Between two frames; in a longer one somebody else could step in unseen."""

CLOCK_SPARE_MS: Final = 1000
"""By which a kiosk may have counted more time than passed between the opening and the submission here."""


@dataclass(frozen=True, slots=True)
class Recording:
    """The JPEG frames of one attempt, in their order, with a mark for each where movements were asked for.

    `age_ms` is the time from the attempt's opening to its submission by the server's clock. `is_still` says
    that nobody could be asked for movements, so none are missed.
    """

    frames: tuple[bytes, ...] = field(repr=False)
    marks: tuple[FrameMark, ...] = ()
    movements: tuple[Movement, ...] = ()
    age_ms: int = ATTEMPT_TTL_S * 1000
    is_still: bool = False

    def part(self, number: int) -> range:
        """Return the places of a part's frames: 0 before the first movement, k during the k-th."""
        parts = [mark.part for mark in self.marks]
        places = [place for place, part in enumerate(parts) if part == number]
        return range(places[0], places[-1] + 1) if places else range(0)

    @property
    def frontal(self) -> tuple[int, ...]:
        """The places of the frames in which nothing was asked: all of them where there are no movements."""
        if not self.movements:
            return tuple(range(len(self.frames)))
        return (*self.part(0), *self.part(len(self.movements) + 1))


def recording_of(frames: "Recording | Sequence[bytes]") -> Recording:
    """Return frames alone as a recording in which nothing was asked."""
    return frames if isinstance(frames, Recording) else Recording(tuple(frames))


def check_form(recording: Recording) -> None:
    """Raise Malformed unless each frame of a recording with movements has its mark; ValueError without a frame."""
    if not recording.frames:
        raise ValueError("there is no frame to look at")
    if recording.movements and len(recording.marks) != len(recording.frames):
        raise Malformed("marks", "there is one for each frame where movements were asked for")


def problem_of_marks(recording: Recording) -> str | None:
    """Return what is wrong with the order and times of a recording with movements: a word for the audit."""
    if not recording.movements:
        return None
    marks = recording.marks
    parts, times = [mark.part for mark in marks], [mark.at_ms for mark in marks]
    gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
    steps = {later - earlier for earlier, later in itertools.pairwise(parts)}
    is_whole = parts[0] == 0 and parts[-1] == len(recording.movements) + 1 and steps <= {0, 1}
    if not is_whole or any(gap <= 0 for gap in gaps):
        return "out_of_order"
    starts = [times[recording.part(number)[0]] for number in range(len(recording.movements) + 2)]
    lengths = [later - earlier for earlier, later in itertools.pairwise(starts)]
    if times[-1] > recording.age_ms + CLOCK_SPARE_MS or min(lengths[1:]) < PART_MIN_MS:
        return "too_fast"
    if max(gaps) > GAP_MAX_MS or max(lengths) > PART_MAX_MS:
        return "too_slow"
    return None
