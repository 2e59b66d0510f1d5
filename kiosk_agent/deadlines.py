"""When a session step has lasted too long.

Pure: the caller passes the monotonic time. Two clocks run while a person types: one since the last
key press, one since the step began, so that neither silence nor endless typing holds a kiosk.
"""

from dataclasses import dataclass, replace
from typing import Final

from kiosk_agent.events import Step
from kiosk_agent.flows import FIELDS, MENUS
from kiosk_agent.session import Session
from kiosk_agent.settings import SessionSettings

_ENTRIES = frozenset((*FIELDS, *MENUS)) - {Step.QR}
"""Where a key is waited for; at a QR code a person is busy with a phone, not with keys."""

QUIET_S: Final = 2.0
"""Without a key, after an entry timed out: whoever was still typing it has noticed by then."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """The two ends of the present step in monotonic seconds; None where the step has no end.

    `secret_ends` is when a new secret can be confirmed no more: no asking for more time goes beyond.
    """

    settings: SessionSettings
    step_ends: float | None = None
    idle_ends: float | None = None
    secret_ends: float | None = None

    def moved(self, before: Session, after: Session, now: float) -> "Deadlines":
        """The deadlines after an event: anew in a new step or where more time was asked for, and for each key."""
        if after == before:
            return self
        idle_ends = now + self.settings.idle_s if after.step in _ENTRIES else None
        if _stage(after) == _stage(before):
            return replace(self, idle_ends=idle_ends)
        secret_ends = self._secret_ends(before, after, now)
        length_s = self._length_s(after)
        step_ends = None if length_s is None else now + length_s
        if after.step is Step.QR and step_ends is not None and secret_ends is not None:
            step_ends = min(step_ends, secret_ends)
        return replace(self, step_ends=step_ends, idle_ends=idle_ends, secret_ends=secret_ends)

    def left_s(self, now: float) -> float | None:
        """Seconds until the next of the two, never below 0; None where the step has no end."""
        ends = [end for end in (self.step_ends, self.idle_ends) if end is not None]
        return max(0.0, min(ends) - now) if ends else None

    def _secret_ends(self, before: Session, after: Session, now: float) -> float | None:
        if after.secret is None:
            return None
        return now + after.secret.lifetime_s if before.secret is None else self.secret_ends

    def _length_s(self, session: Session) -> float | None:
        if session.step in _ENTRIES:
            return self.settings.step_s
        return {
            Step.QR: self.settings.qr_s,
            Step.ENROL: self.settings.face_s,
            Step.SENDING: self.settings.face_s,
            Step.FACE: self.settings.face_s,
            Step.CHECKING: self.settings.checking_s,
            Step.CAPTURE_AGAIN: self.settings.capture_again_s,
            Step.GRANTED: self.settings.result_s,
            Step.DONE: self.settings.result_s,
            Step.WAITING: self.settings.waiting_s,
            Step.DENIED: self.settings.result_s,
            Step.LOCKED: self.settings.result_s,
            Step.TIMED_OUT: QUIET_S,
        }.get(session.step)


def _stage(session: Session) -> tuple[Step, int, int]:
    return session.step, session.ticket, session.extensions
