"""The one pipeline through which every submission of an attempt is decided.

lockout -> all factors, always all of them -> effect and audit -> reply or refusal.

What differs between actions is a row of the policy table. A denial says nothing of why. The audit
row holds every verdict. Whatever breaks ends in a refusal. Nothing fails open.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from auth_contract.actions import Action, CaptureHint, Reason
from auth_server.accounts import Accounts
from auth_server.audit import AuditLog
from auth_server.changes import Change, Changes
from auth_server.domain import AuditEntry, Enrolment, through_gateway_of
from auth_server.effects import Done, Effects, Order, Reply
from auth_server.enforcement import EffectRefused
from auth_server.errors import AttemptRefused, CaptureAgain, Denied, Locked, RequestRefused, Unavailable
from auth_server.judging import Case, Judge, Judged, Submission
from auth_server.lockouts import REGISTRATIONS, LockedUntil, Lockouts, Reservation
from auth_server.policy import ActionPolicy, Counting, through_gateway
from auth_server.snapshots import Snapshots
from auth_server.store.database import Database

__all__ = ["Authenticator", "Submission"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Decides submissions by the site's policies."""

    database: Database
    accounts: Accounts
    changes: Changes
    lockouts: Lockouts
    audit: AuditLog
    judge: Judge
    effects: Effects
    snapshots: Snapshots
    policies: Mapping[Action, ActionPolicy]

    def submit(self, submission: Submission, *, now: datetime) -> Reply:
        """Decide one submission and write its audit row.

        Raises Denied, CaptureAgain, Locked, Unavailable, AttemptRefused where a pending change is gone,
        or Malformed for a picture that does not decode and for what only somebody who passed may be
        told; each has been audited by then.
        """
        policy = self.policies[submission.action]
        if submission.kiosk.is_gateway:
            policy = through_gateway(policy)
        case = Case(submission, self._enrolment(submission, policy))
        reservation = self._reserve(case, policy, now)
        case = Case(submission, case.enrolment, self._pending(case, policy, now))
        judged = self._judge(case, policy, reservation, now)
        if judged.capture_hint is not None:
            # A movement that was not made counts: it is what a recording made beforehand fails by.
            if judged.capture_hint is not CaptureHint.MOVEMENT:
                self._release(reservation)
            self._record(submission, Reason.CAPTURE_AGAIN, judged.detail(), now)
            raise CaptureAgain(judged.capture_hint)
        if not _is_granted(case.enrolment, judged):
            self._record(submission, Reason.DENIED, {**judged.detail(), **_standing(case.enrolment)}, now)
            self.snapshots.keep(submission, now)
            raise Denied("not all factors passed")
        return self._grant(self.effects.order(case, judged, policy, now), reservation, now)

    def _enrolment(self, submission: Submission, policy: ActionPolicy) -> Enrolment | None:
        return self.accounts.enrolment(submission.claims.username) if policy.has_account else None

    def _reserve(self, case: Case, policy: ActionPolicy, now: datetime) -> Reservation | None:
        """Count a failure ahead. A pending change counts its own tries. Raises Locked."""
        if policy.counting is Counting.TRIES:
            return None
        submission, enrolment = case.submission, case.enrolment
        outcome = self.lockouts.reserve(
            username=REGISTRATIONS if enrolment is None else submission.claims.username,
            kiosk_id=submission.kiosk.kiosk_id,
            is_own_kiosk=enrolment is not None and submission.kiosk.mac_address in enrolment.mac_addresses,
            is_anywhere=policy.counting is Counting.ANYWHERE,
            is_through_gateway=policy.counting is Counting.GATEWAYS,
            now=now,
        )
        if isinstance(outcome, LockedUntil):
            wait_s = max(1, math.ceil((outcome.until - now).total_seconds()))
            self._record(submission, Reason.LOCKED, {"locked_for_s": wait_s}, now)
            raise Locked(retry_after_s=wait_s)
        return outcome

    def _pending(self, case: Case, policy: ActionPolicy, now: datetime) -> Change | None:
        """The change that a first code is for, with one of its tries used. Raises AttemptRefused."""
        if policy.counting is not Counting.TRIES:
            return None
        submission = case.submission
        change = self.changes.take_try(
            username=submission.claims.username,
            change_id=submission.claims.change_id,
            kiosk_id=submission.kiosk.kiosk_id,
            now=now,
        )
        if change is None:
            why = "no new secret waits here for a first code: it has expired, was replaced, or five codes were wrong"
            self._record(submission, Reason.START_AGAIN, {"why": why}, now)
            raise AttemptRefused(why)
        return change

    def _judge(self, case: Case, policy: ActionPolicy, reservation: Reservation | None, now: datetime) -> Judged:
        try:
            return self.judge.judge(case, policy.factors, now)
        except RequestRefused as error:
            # A picture that does not decode is no kiosk's: it stays counted, or guesses were free of limit.
            if isinstance(error, Unavailable):
                self._release(reservation)
            self._record(case.submission, error.reason, {"why": error.why}, now)
            raise

    def _grant(self, order: Order, reservation: Reservation | None, now: datetime) -> Reply:
        """Carry the effect out and write its row, both in one transaction; where it is refused, the denial's row."""
        submission, detail = order.submission, order.judged.detail()
        with self.database.transaction() as session:
            outcome: Done | RequestRefused
            try:
                with session.begin_nested():
                    outcome = self.effects.carry_out(session, order, now)
                    if reservation is not None:
                        self.lockouts.take_back(session, reservation)
            except EffectRefused as error:
                outcome = error.refusal
                detail |= self.effects.tell_refusal(session, error, now)
            if isinstance(outcome, Done):
                self.audit.append(session, _entry(submission, None, {**detail, **outcome.detail}), now)
            else:
                self.audit.append(session, _entry(submission, outcome.reason, {**detail, "why": outcome.why}), now)
        if isinstance(outcome, Denied):
            self.snapshots.keep(submission, now)
        if isinstance(outcome, RequestRefused):
            raise outcome
        return outcome.reply

    def _release(self, reservation: Reservation | None) -> None:
        if reservation is not None:
            self.lockouts.release(reservation)

    def _record(self, submission: Submission, reason: Reason, detail: Mapping[str, object], now: datetime) -> None:
        self.audit.record(_entry(submission, reason, detail), now)


def _is_granted(enrolment: Enrolment | None, judged: Judged) -> bool:
    is_live = enrolment is None or (enrolment.enabled and enrolment.face_enabled and not enrolment.is_decoy)
    return is_live and judged.all_passed


def _standing(enrolment: Enrolment | None) -> dict[str, object]:
    """What a denial's row says of the account; an action without one has nothing to say."""
    if enrolment is None:
        return {}
    if enrolment.is_decoy:
        return {"account": "unknown"}
    if not enrolment.enabled:
        return {"account": "disabled"}
    return {"account": "enabled" if enrolment.face_enabled else "face disabled"}


def _entry(submission: Submission, reason: Reason | None, detail: Mapping[str, object]) -> AuditEntry:
    return AuditEntry(
        action=submission.action.value,
        success=reason is None,
        outcome_reason="granted" if reason is None else reason.value,
        username=submission.claims.username,
        kiosk_id=submission.kiosk.kiosk_id,
        source_address=submission.source_address,
        detail={"attempt": submission.attempt.attempt_id, **through_gateway_of(submission.claims.peer), **detail},
    )
