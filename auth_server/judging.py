"""The verdicts of one submission: every factor that its action's policy names, always all of them.

Whatever breaks inside a factor is a failed verdict with an incident number. Nothing fails open.
"""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial

import structlog

from auth_contract.actions import Action, CaptureHint
from auth_server.accounts import Accounts
from auth_server.admins import Admins, Role
from auth_server.changes import Change
from auth_server.domain import Attempt, Claims, Enrolment, Factor, Granted, Kiosk, Template, Verdict
from auth_server.errors import FaceUnusable, RequestRefused
from auth_server.exemptions import Exemptions
from auth_server.face.challenge import is_drawn_for
from auth_server.face.copies import against_copies
from auth_server.face.engine import FaceEngine
from auth_server.face.observation import EnrolledFace
from auth_server.face.recording import Recording
from auth_server.factors import clock, device, face, password, permission, supervisor, totp
from auth_server.gateways import Gateways
from auth_server.incidents import report_incident
from auth_server.metrics import STAGE_SECONDS
from auth_server.store.database import Database
from auth_server.tickets import Tickets

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Submission:
    """One used attempt with the claims that came with it."""

    action: Action
    attempt: Attempt
    kiosk: Kiosk
    claims: Claims
    source_address: str | None


@dataclass(frozen=True, slots=True)
class Case:
    """A submission with what its claims are compared with: an account's enrolment, or a pending change."""

    submission: Submission
    enrolment: Enrolment | None = None
    change: Change | None = None


@dataclass(slots=True)
class Judged:
    """The verdicts in the policy's order, and what the judgement found on the way."""

    verdicts: tuple[Verdict, ...] = ()
    seen: Template | None = field(default=None, repr=False)
    new_face: EnrolledFace | None = field(default=None, repr=False)
    permission: Granted | None = None

    @property
    def capture_hint(self) -> CaptureHint | None:
        """Why pictures could not be judged, if any could not."""
        return next((verdict.capture_hint for verdict in self.verdicts if verdict.capture_hint), None)

    @property
    def all_passed(self) -> bool:
        """Whether every factor passed."""
        return bool(self.verdicts) and all(verdict.passed for verdict in self.verdicts)

    def step(self, factor: Factor) -> int | None:
        """The time step that a code belongs to, None where no such code was asked for."""
        steps = [verdict.evidence["step"] for verdict in self.verdicts if verdict.factor is factor]
        return int(str(steps[0])) if steps else None

    def detail(self) -> dict[str, object]:
        """All verdicts with their evidence, for the audit."""
        return {"verdicts": {verdict.factor.value: _kept(verdict) for verdict in self.verdicts}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Judges cases. `executor` runs bcrypt beside the face check; both leave the GIL."""

    database: Database
    accounts: Accounts
    admins: Admins
    tickets: Tickets
    exemptions: Exemptions
    gateways: Gateways
    face_engine: FaceEngine
    executor: ThreadPoolExecutor

    def judge(self, case: Case, factors: tuple[Factor, ...], now: datetime) -> Judged:
        """Return all verdicts; the slow pair runs side by side.

        Raises Unavailable, or Malformed for a picture that does not decode.
        """
        found = Judged()
        checks = self._checks(case, found, now)
        # Started first, so that bcrypt runs while the pictures are looked at.
        begun = self.executor.submit(checks[Factor.PASSWORD]) if Factor.PASSWORD in factors else None
        if begun is not None:
            checks[Factor.PASSWORD] = begun.result
        try:
            judged = {factor: _guarded(factor, checks[factor]) for factor in sorted(factors, key=_pictures_first)}
        finally:
            if begun is not None:
                begun.cancel()  # where the pictures were refused and it has not begun, nobody needs it
        found.verdicts = tuple(judged[factor] for factor in factors)
        return found

    def _checks(self, case: Case, found: Judged, now: datetime) -> dict[Factor, Callable[[], Verdict]]:
        claims = case.submission.claims
        checks: dict[Factor, Callable[[], Verdict]] = {
            Factor.KIOSK: partial(self._kiosk, case.submission),
            Factor.CLOCK: partial(clock.verify, claim=claims.client_ts_utc, now=now),
            Factor.PERMISSION: partial(self._permission, claims, found, now),
            Factor.NEW_FACE: partial(self._new_face, case.submission, found, now),
            Factor.SUPERVISOR: partial(self._supervisor, claims.username),
        }
        if case.change is not None:
            secret = case.change.new.totp_secret or ""
            checks[Factor.NEW_TOTP] = partial(totp.verify_first, claim=claims.new_totp, secret=secret, now=now)
        if case.enrolment is not None:
            checks |= self._person(case.submission, case.enrolment, found, now)
        return checks

    def _person(
        self, submission: Submission, enrolment: Enrolment, found: Judged, now: datetime
    ) -> Mapping[Factor, Callable[[], Verdict]]:
        claims = submission.claims
        return {
            Factor.FACE: partial(self._face, _recording(submission, claims.frames, now), enrolment, found, now),
            Factor.PASSWORD: partial(password.verify, claim=claims.password, enrolment=enrolment.password_hash),
            Factor.TOTP: partial(totp.verify, claim=claims.totp, enrolment=enrolment, now=now),
            Factor.DEVICE: partial(self._device, submission, enrolment),
        }

    def _kiosk(self, submission: Submission) -> Verdict:
        """A kiosk's own MAC; through a gateway, whose client has none, the name's leave to come that way."""
        claims, kiosk = submission.claims, submission.kiosk
        if kiosk.mac_address is not None:
            return device.verify_kiosk(claim=claims.mac, kiosk_mac=kiosk.mac_address)
        mac = claims.new_mac or claims.mac
        standing = self.gateways.standing(claims.username, mac)
        return device.verify_gateway(claim=mac, has_leave=standing.has_leave, is_a_kiosks=standing.is_a_kiosks)

    def _device(self, submission: Submission, enrolment: Enrolment) -> Verdict:
        claims, kiosk, bound = submission.claims, submission.kiosk, enrolment.mac_addresses
        if kiosk.mac_address is not None:
            return device.verify(claim=claims.mac, enrolment=bound, kiosk_mac=kiosk.mac_address)
        found = self.gateways.standing(claims.username, claims.mac)
        return device.verify_through_gateway(
            claim=claims.mac, enrolment=bound, has_leave=found.has_leave, is_a_kiosks=found.is_a_kiosks
        )

    def _face(self, recording: Recording, enrolment: Enrolment, found: Judged, now: datetime) -> Verdict:
        with STAGE_SECONDS.labels("face").time():
            seen = against_copies(
                self.face_engine.observe(recording), enrolment.face_png, with_movements=bool(recording.movements)
            )
            found.seen = seen.template
            return face.verify(
                claim=replace(seen, problem=seen.problem or self._foreign(recording, enrolment.username)),
                enrolment=self._current_template(enrolment, now),
                followed=enrolment.followed,
                threshold=self.face_engine.threshold,
                presence_threshold=self.face_engine.presence_threshold,
            )

    def _foreign(self, recording: Recording, username: str) -> str | None:
        """What is wrong where the attempt was opened under the name of somebody who is asked for less."""
        is_own = not recording.movements or is_drawn_for(recording.movements, self.exemptions.of(username))
        return None if is_own else "drawn_for_another"

    def _current_template(self, enrolment: Enrolment, now: datetime) -> Template:
        """The template of today's model; where none was made yet, made of the enrolled picture and kept beside it."""
        if enrolment.is_decoy or enrolment.template.model == self.face_engine.model:
            return enrolment.template
        template = self.face_engine.reembed(enrolment.face_png)
        self.accounts.store_migrated(enrolment, template, now)
        return template

    def _new_face(self, submission: Submission, found: Judged, now: datetime) -> Verdict:
        recording = _recording(submission, submission.claims.new_frames, now)
        with STAGE_SECONDS.labels("enrol").time():
            try:
                # One picture shows no second pose. Of presence its look is left to judge by.
                taken = recording.frames if recording.is_still else recording
                seen = self.face_engine.enrol(taken)
            except FaceUnusable as error:
                return face.verify_new(claim=error.hint, presence_threshold=None)
        found.new_face = replace(seen, problem=seen.problem or self._foreign(recording, submission.claims.username))
        return face.verify_new(claim=found.new_face, presence_threshold=self.face_engine.presence_threshold)

    def _permission(self, claims: Claims, found: Judged, now: datetime) -> Verdict:
        # Both are looked for, whatever the length says: each look-up takes the same time found or not.
        ticket = self.tickets.find(claims.permission, now)
        admin = self.admins.find_by_secret(claims.permission)
        if ticket is not None:
            found.permission = Granted("ticket", ticket.invited_by, ticket.ticket_hash, frozenset(ticket.mac_addresses))
        elif admin is not None and admin.role is Role.ADMIN:
            found.permission = Granted("admin", admin.name)
        return permission.verify(
            username=claims.username, found=found.permission, ticket_name=None if ticket is None else ticket.username
        )

    def _supervisor(self, username: str) -> Verdict:
        with self.database.read() as session:
            role = self.admins.role_of(session, username)
        return supervisor.verify(role=None if role is None else role.value)


def _recording(submission: Submission, frames: tuple[bytes, ...], now: datetime) -> Recording:
    """The submission's frames with what was asked when its attempt was opened, and how long ago that was."""
    attempt = submission.attempt
    age_ms = round((now - attempt.opened_at).total_seconds() * 1000)
    is_still = submission.kiosk.is_gateway
    return Recording(frames, submission.claims.marks, attempt.movements, age_ms, is_still=is_still)


def _kept(verdict: Verdict) -> dict[str, object]:
    """A verdict as the audit keeps it."""
    hint = {"hint": verdict.capture_hint.value} if verdict.capture_hint else {}
    return {"passed": verdict.passed, **verdict.evidence, **hint}


def _pictures_first(factor: Factor) -> int:
    return 0 if factor in {Factor.FACE, Factor.NEW_FACE} else 1


def _guarded(factor: Factor, check: Callable[[], Verdict]) -> Verdict:
    """Run one check; what breaks inside it is a failed verdict with an incident number."""
    try:
        return check()
    except RequestRefused:  # a full queue or a picture that does not decode: nothing was judged
        raise
    except Exception as error:  # a factor that breaks must deny, whatever broke
        incident = report_incident(log, error, factor=factor.value)
        return Verdict(factor, passed=False, evidence={"incident": incident})
