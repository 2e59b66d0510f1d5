"""When a session step has lasted too long.

Pure: the caller passes the monotonic time. Two clocks run while a person types: one since the last
key press, one since the step began, so that neither silence nor endless typing holds a kiosk.
"""

from dataclasses import dataclass, replace
from typing import Final

from kiosk_agent.events import Step
from kiosk_agent.session import Session
from kiosk_agent.settings import SessionSettings

_ENTRIES = frozenset({Step.NAME, Step.PASSWORD, Step.CODE})

QUIET_S: Final = 2.0
"""Without a key, after an entry timed out: whoever was still typing it has noticed by then."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The two ends of the present step in monotonic seconds; None where the step has no end."""

    settings: SessionSettings
    step_ends: float | None = None
    idle_ends: float | None = None

    def moved(self, before: Session, after: Session, now: float) -> "Deadlines":
        """The deadlines after an event: anew in a new step, and for each key while typing."""
        if after == before:
            return self
        idle_ends = now + self.settings.idle_s if after.step in _ENTRIES else None
        if (after.step, after.ticket) == (before.step, before.ticket):
            return replace(self, idle_ends=idle_ends)
        length_s = self._length_s(after)
        return replace(self, step_ends=None if length_s is None else now + length_s, idle_ends=idle_ends)

    def left_s(self, now: float) -> float | None:
        """Seconds until the next of the two, never below 0; None where the step has no end."""
        ends = [end for end in (self.step_ends, self.idle_ends) if end is not None]
        return max(0.0, min(ends) - now) if ends else None

    def _length_s(self, session: Session) -> float | None:
        if session.step in _ENTRIES:
            return self.settings.step_s
        return {
            Step.FACE: self.settings.face_s,
            Step.CHECKING: self.settings.checking_s,
            Step.CAPTURE_AGAIN: self.settings.capture_again_s,
            Step.GRANTED: self.settings.result_s,
            Step.DENIED: self.settings.result_s,
            Step.LOCKED: self.settings.result_s,
            Step.TIMED_OUT: QUIET_S,
        }.get(session.step)
