"""The one pipeline through which every submission of an attempt is decided.

lockout -> all factors, always all of them -> effect and audit -> reply or refusal.

A denial says nothing of why. The audit row holds every verdict. Whatever breaks inside a factor
is a failed verdict; whatever breaks elsewhere ends in a refusal. Nothing fails open.
"""

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import structlog

from auth_contract.actions import Action, Reason
from auth_contract.messages import LoginReply
from auth_server.accounts import Accounts
from auth_server.assertions import Assertions
from auth_server.audit import AuditLog
from auth_server.domain import Attempt, AuditEntry, Claims, Enrolment, Factor, Kiosk, Template, Verdict
from auth_server.errors import CaptureAgain, Denied, Locked, RequestRefused, Unavailable
from auth_server.face.engine import FaceEngine
from auth_server.factors import clock, device, face, password, totp
from auth_server.incidents import report_incident
from auth_server.lockouts import LockedUntil, Lockouts, Reservation
from auth_server.metrics import STAGE_SECONDS
from auth_server.policy import POLICY
from auth_server.store.database import Database

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Submission:
    """One used attempt with the claims that came with it."""

    action: Action
    attempt: Attempt
    kiosk: Kiosk
    claims: Claims
    source_address: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Decides submissions. `executor` runs bcrypt beside the face check; both leave the GIL."""

    database: Database
    accounts: Accounts
    lockouts: Lockouts
    audit: AuditLog
    assertions: Assertions
    face_engine: FaceEngine
    executor: ThreadPoolExecutor

    def submit(self, submission: Submission, *, now: datetime) -> LoginReply:
        """Decide one submission and write its audit row.

        Raises Denied, CaptureAgain, Locked, Unavailable, or Malformed for a picture that does not
        decode; each has been audited by then.
        """
        enrolment = self.accounts.enrolment(submission.claims.username)
        reservation = self._reserve(submission, enrolment, now)
        try:
            verdicts = self._judge(submission, enrolment, now)
        except RequestRefused as error:
            # A picture that does not decode is no kiosk's: it stays counted, or guesses were free of limit.
            if isinstance(error, Unavailable):
                self.lockouts.release(reservation)
            self._record(submission, error.reason, {"why": error.why}, now)
            raise
        hint = next((verdict.capture_hint for verdict in verdicts if verdict.capture_hint), None)
        if hint is not None:
            self.lockouts.release(reservation)
            self._record(submission, Reason.CAPTURE_AGAIN, _detail(verdicts), now)
            raise CaptureAgain(hint)
        if not _is_granted(enrolment, verdicts):
            self._record(submission, Reason.DENIED, _detail(verdicts, enrolment), now)
            raise Denied("not all factors passed")
        return self._grant(submission, verdicts, now)

    def _reserve(self, submission: Submission, enrolment: Enrolment, now: datetime) -> Reservation:
        outcome = self.lockouts.reserve(
            username=submission.claims.username,
            kiosk_id=submission.kiosk.kiosk_id,
            is_own_kiosk=submission.kiosk.mac_address in enrolment.mac_addresses,
            now=now,
        )
        if isinstance(outcome, LockedUntil):
            wait_s = max(1, math.ceil((outcome.until - now).total_seconds()))
            self._record(submission, Reason.LOCKED, {"locked_for_s": wait_s}, now)
            raise Locked(retry_after_s=wait_s)
        return outcome

    def _judge(self, submission: Submission, enrolment: Enrolment, now: datetime) -> tuple[Verdict, ...]:
        """All verdicts of the action's policy, in its order; the slow pair side by side."""
        claims = submission.claims
        bcrypt_check = self.executor.submit(password.verify, claim=claims.password, enrolment=enrolment.password_hash)
        checks: Mapping[Factor, Callable[[], Verdict]] = {
            Factor.FACE: partial(self._judge_face, claims.frames, enrolment),
            Factor.PASSWORD: bcrypt_check.result,
            Factor.TOTP: partial(totp.verify, claim=claims.totp, enrolment=enrolment, now=now),
            Factor.DEVICE: partial(
                device.verify,
                claim=claims.mac,
                enrolment=enrolment.mac_addresses,
                kiosk_mac=submission.kiosk.mac_address,
            ),
            Factor.CLOCK: partial(clock.verify, claim=claims.client_ts_utc, now=now),
        }
        factors = POLICY[submission.action].factors
        try:
            judged = {factor: _guarded(factor, check) for factor, check in checks.items() if factor in factors}
        finally:
            bcrypt_check.cancel()  # where the pictures were refused and it has not begun, nobody needs it
        return tuple(judged[factor] for factor in factors)

    def _judge_face(self, frames: tuple[bytes, ...], enrolment: Enrolment) -> Verdict:
        with STAGE_SECONDS.labels("face").time():
            return face.verify(
                claim=self.face_engine.observe(frames),
                enrolment=self._current_template(enrolment),
                threshold=self.face_engine.threshold,
                presence_threshold=self.face_engine.presence_threshold,
            )

    def _current_template(self, enrolment: Enrolment) -> Template:
        """The template for today's model, made again from the enrolled picture after a model change."""
        if enrolment.is_decoy or enrolment.template.model == self.face_engine.model:
            return enrolment.template
        template = self.face_engine.reembed(self.accounts.face_picture(enrolment.username))
        self.accounts.store_template(enrolment.username, template)
        return template

    def _grant(self, submission: Submission, verdicts: tuple[Verdict, ...], now: datetime) -> LoginReply:
        """Burn the code, clear the counters and write the row, all in one transaction or none."""
        username, kiosk_id = submission.claims.username, submission.kiosk.kiosk_id
        issued = self.assertions.issue(username, kiosk_id, submission.attempt.nonce, now)
        step = next(int(str(v.evidence["step"])) for v in verdicts if v.factor is Factor.TOTP)
        with self.database.transaction() as session:
            is_granted = self.accounts.burn_totp_step(session, username, step)
            if is_granted:
                self.lockouts.clear(session, username, kiosk_id)
                detail = {**_detail(verdicts), "assertion": issued.jti}
                self.audit.append(session, _entry(submission, None, detail), now)
            else:
                detail = {**_detail(verdicts), "why": "the code was used, or the account disabled, meanwhile"}
                self.audit.append(session, _entry(submission, Reason.DENIED, detail), now)
        if not is_granted:
            raise Denied("code used meanwhile")
        return LoginReply(username=username, granted_at=now, message="Access granted.", assertion=issued.token)

    def _record(self, submission: Submission, reason: Reason, detail: Mapping[str, object], now: datetime) -> None:
        self.audit.record(_entry(submission, reason, detail), now)


def _guarded(factor: Factor, check: Callable[[], Verdict]) -> Verdict:
    """Run one check; what breaks inside it is a failed verdict with an incident number."""
    try:
        return check()
    except RequestRefused:  # a full queue or a picture that does not decode: nothing was judged
        raise
    except Exception as error:  # a factor that breaks must deny, whatever broke
        incident = report_incident(log, error, factor=factor.value)
        return Verdict(factor, passed=False, evidence={"incident": incident})


def _is_granted(enrolment: Enrolment, verdicts: tuple[Verdict, ...]) -> bool:
    is_live = enrolment.enabled and enrolment.face_enabled and not enrolment.is_decoy
    return is_live and bool(verdicts) and all(verdict.passed for verdict in verdicts)


def _detail(verdicts: tuple[Verdict, ...], enrolment: Enrolment | None = None) -> dict[str, object]:
    detail: dict[str, object] = {
        "verdicts": {verdict.factor.value: {"passed": verdict.passed, **verdict.evidence} for verdict in verdicts}
    }
    if enrolment is not None:
        detail["account"] = _standing(enrolment)
    return detail


def _standing(enrolment: Enrolment) -> str:
    if enrolment.is_decoy:
        return "unknown"
    if not enrolment.enabled:
        return "disabled"
    return "enabled" if enrolment.face_enabled else "face disabled"


def _entry(submission: Submission, reason: Reason | None, detail: Mapping[str, object]) -> AuditEntry:
    return AuditEntry(
        action=submission.action.value,
        success=reason is None,
        outcome_reason="granted" if reason is None else reason.value,
        username=submission.claims.username,
        kiosk_id=submission.kiosk.kiosk_id,
        source_address=submission.source_address,
        detail={"attempt": submission.attempt.attempt_id, **detail},
    )
