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
    `began` is when the step did, `reveal_ends` until when the last character typed is shown.
    """

    settings: SessionSettings
    step_ends: float | None = None
    idle_ends: float | None = None
    secret_ends: float | None = None
    began: float = 0.0
    reveal_ends: float | None = None

    def moved(self, before: Session, after: Session, now: float) -> "Deadlines":
        """The deadlines after an event: anew in a new step or where more time was asked for, and for each key."""
        if after == replace(before, is_revealed=after.is_revealed):  # hiding a character is no key press
            return self if after.is_revealed else replace(self, reveal_ends=None)
        idle_ends = now + self._idle_s(after) if after.step in _ENTRIES else None
        reveal_ends = now + self.settings.reveal_s if after.is_revealed else None
        if _stage(after) == _stage(before):
            return replace(self, idle_ends=idle_ends, reveal_ends=reveal_ends)
        secret_ends = self._secret_ends(before, after, now)
        length_s = self._length_s(after)
        step_ends = None if length_s is None else now + length_s
        if after.step is Step.QR and step_ends is not None and secret_ends is not None:
            step_ends = min(step_ends, secret_ends)
        began = self.began if (after.step, after.ticket) == (before.step, before.ticket) else now
        ends = replace(self, step_ends=step_ends, idle_ends=idle_ends, secret_ends=secret_ends)
        return replace(ends, began=began, reveal_ends=reveal_ends)

    def left_s(self, now: float) -> float | None:
        """Seconds until the next of the two, never below 0; None where the step has no end."""
        ends = [end for end in (self.step_ends, self.idle_ends) if end is not None]
        return max(0.0, min(ends) - now) if ends else None

    def reveal_left_s(self, now: float) -> float | None:
        """Seconds until the last character typed is to be hidden, never below 0; None where none is shown."""
        return None if self.reveal_ends is None else max(0.0, self.reveal_ends - now)

    def _idle_s(self, session: Session) -> float:
        """Whoever asked for more time gets all of it, with or without a key."""
        return self.settings.step_s if session.extensions else self.settings.idle_s

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
