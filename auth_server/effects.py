"""What a granted submission does, within the transaction that also writes its audit row.

Each effect looks again at what it depends on, under the write lock. Where something changed since it
was judged, `EffectRefused` undoes it, and the same transaction writes the denial.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from auth_contract.actions import Action, Need
from auth_contract.messages import ChangeReply, LoginReply, PendingChange
from auth_server.account_faces import FOLLOWED
from auth_server.assertions import Assertions
from auth_server.changes import Asked, Change, NewFactors
from auth_server.domain import Factor, Granted, Template
from auth_server.duplicates import Looked
from auth_server.enforcement import EffectRefused, Enforcement
from auth_server.errors import AttemptRefused, Denied, Malformed
from auth_server.factors.following import followed
from auth_server.factors.supervisor import verify as verify_supervisor
from auth_server.judging import Case, Judged, Submission
from auth_server.lockouts import Lockouts
from auth_server.policy import ActionPolicy, Counting, Effect
from auth_server.replies import change_sentence, login_sentence
from auth_server.second_factor import new_second_factor

Reply = LoginReply | ChangeReply

NO_STEP: Final = 0
"""The time step of a new secret of which no code was shown yet."""


@dataclass(frozen=True, slots=True)
class Done:
    """An effect's reply, and what the audit row says of it."""

    reply: Reply = field(repr=False)
    detail: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Order:
    """An effect to be carried out. `asked` and `uri` are of a change: what will be in force, and its QR code.

    `looked` says how its new face compares with all others; `moved` is the face template that follows a login,
    where one does.
    """

    case: Case
    judged: Judged
    policy: ActionPolicy
    asked: Asked | None = field(default=None, repr=False)
    uri: str | None = field(default=None, repr=False)
    looked: Looked | None = field(default=None, repr=False)
    moved: Template | None = field(default=None, repr=False)

    @property
    def submission(self) -> Submission:
        """The submission that asked for it."""
        return self.case.submission


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects(Enforcement):
    """Carries out what was granted. `hash_password` takes 0.2 s, so it is called outside transactions.

    `follow_within` is the threshold of the face where its template follows good logins, None where it does not.
    """

    site: str
    lockouts: Lockouts
    assertions: Assertions
    policies: Mapping[Action, ActionPolicy]
    hash_password: Callable[[str], bytes]
    follow_within: float | None = None

    def order(self, case: Case, judged: Judged, policy: ActionPolicy, now: datetime) -> Order:
        """Make ready what takes time or chance: the new hash and secret, the look at all faces. Nothing is stored."""
        if policy.effect is not Effect.CHANGE:
            person = case.submission.claims.person
            change = self.changes.pending(person) if policy.effect is Effect.APPROVE else case.change
            moved = self._moved(case, judged, policy, now)
            return Order(case, judged, policy, looked=self.look(change), moved=moved)
        submission, claims = case.submission, case.submission.claims
        new, uri = self._new_factors(case, judged, policy)
        asked = Asked(
            username=claims.username,
            action=submission.action,
            kiosk_id=submission.kiosk.kiosk_id,
            new=new,
            permission=_permission(judged.permission),
        )
        return Order(case, judged, policy, asked, uri, self.look(asked))

    def _moved(self, case: Case, judged: Judged, policy: ActionPolicy, now: datetime) -> Template | None:
        """The template that follows this login; only where the site has it follow, and all factors were shown."""
        is_whole = policy.effect is Effect.LET_IN and policy.clears_failures and judged.all_passed
        if policy.counting is Counting.GATEWAYS:  # one picture, and nobody was asked to move
            return None
        if self.follow_within is None or not is_whole or case.enrolment is None or judged.seen is None:
            return None
        return followed(enrolment=case.enrolment, seen=judged.seen, threshold=self.follow_within, now=now)

    def _new_factors(self, case: Case, judged: Judged, policy: ActionPolicy) -> tuple[NewFactors, str | None]:
        submission, claims, face = case.submission, case.submission.claims, judged.new_face
        is_second_new = submission.action in {Action.REGISTER, Action.RECOVER_TOTP}
        second = new_second_factor(claims.username, self.site) if is_second_new else None
        new = NewFactors(
            password_hash=self.hash_password(claims.new_password) if claims.new_password else None,
            totp_secret=None if second is None else second.secret,
            totp_step=None if second is None or policy.asks_first_code else NO_STEP,
            template=None if face is None else face.template,
            face_png=None if face is None else face.picture_png,
            mac_addresses=self._bindings(case, judged),
            claimed_mac=_claimed(submission),
        )
        return new, None if second is None else second.uri

    def _bindings(self, case: Case, judged: Judged) -> frozenset[str] | None:
        """The devices to which the account will be bound; None where the action changes none.

        Through a gateway an account keeps the kiosks that it is bound to: of these a claim says nothing.
        """
        submission, claims = case.submission, case.submission.claims
        if submission.action not in {Action.REGISTER, Action.UPDATE_MAC}:
            return None
        invited = judged.permission.mac_addresses if judged.permission else frozenset()
        if submission.kiosk.mac_address is not None:
            return invited or frozenset({submission.kiosk.mac_address})
        bound = frozenset() if case.enrolment is None else case.enrolment.mac_addresses
        return invited | (bound & self.kiosks.macs().keys()) | {_claimed(submission) or claims.mac}

    def carry_out(self, session: Session, order: Order, now: datetime) -> Done:
        """Do it in the caller's transaction. Raises EffectRefused, and then nothing of it may be kept."""
        submission = order.submission
        if order.policy.has_account and not self._still_stands(session, order, now):
            raise EffectRefused(Denied("the code was used, the account disabled or a factor changed meanwhile"))
        if order.policy.clears_failures:
            self.lockouts.clear(
                session,
                submission.claims.username,
                submission.kiosk.kiosk_id,
                is_through_gateway=order.policy.counting is Counting.GATEWAYS,
            )
        return {
            Effect.LET_IN: self._let_in,
            Effect.CHANGE: self._change,
            Effect.CONFIRM: self._confirm,
            Effect.APPROVE: self._approve,
            Effect.CANCEL: self._cancel,
        }[order.policy.effect](session, order, now)

    def _still_stands(self, session: Session, order: Order, now: datetime) -> bool:
        """Use the code up, unless what was judged is not what is in force any more."""
        enrolment, submission = order.case.enrolment, order.submission
        return (
            enrolment is not None
            and self.accounts.is_as_read(session, enrolment)
            and self.accounts.spend(
                session,
                submission.claims.username,
                step=order.judged.step(Factor.TOTP),
                opened_at=submission.attempt.opened_at,
                now=now,
            )
        )

    def _let_in(self, session: Session, order: Order, now: datetime) -> Done:
        submission = order.submission
        username, kiosk_id = submission.claims.username, submission.kiosk.kiosk_id
        message = login_sentence(self.changes.glance(session, username))
        if submission.kiosk.is_gateway:  # its clients have no use for one, and whoever breaks into it shall not
            return Done(LoginReply(username=username, granted_at=now, message=message, assertion=""), {})
        issued = self.assertions.issue(username, kiosk_id, submission.attempt.nonce, now)
        reply = LoginReply(username=username, granted_at=now, message=message, assertion=issued.token)
        return Done(reply, {"assertion": issued.jti, **self._follow(session, order, now)})

    def _follow(self, session: Session, order: Order, now: datetime) -> Mapping[str, object]:
        enrolment, moved = order.case.enrolment, order.moved
        if moved is None or enrolment is None or enrolment.factors_changed_at is None:
            return {}
        read_at = enrolment.factors_changed_at
        is_kept = self.accounts.put_further(session, enrolment.username, read_at, FOLLOWED, moved, now)
        return {"template_followed": True} if is_kept else {}

    def _change(self, session: Session, order: Order, now: datetime) -> Done:
        if order.asked is None:
            raise EffectRefused(Denied("nothing was asked for"))
        change = self.changes.new(order.asked, order.policy, now)
        if change.action is Action.REGISTER:
            self.check_free(session, change)
        self.changes.put(session, change)
        return self._settle(session, change, now, order)

    def _confirm(self, session: Session, order: Order, now: datetime) -> Done:
        judged_change, step = order.case.change, order.judged.step(Factor.NEW_TOTP)
        change = self.changes.find(session, order.submission.claims.username)
        if judged_change is None or step is None or change is None or change.change_id != judged_change.change_id:
            raise EffectRefused(AttemptRefused("the change was replaced or cancelled meanwhile"))
        if not change.is_code_needed:
            raise EffectRefused(AttemptRefused("a first code was shown meanwhile"))
        confirmed = change.confirmed(step, self.policies[change.action], now)
        self.changes.put(session, confirmed)
        return self._settle(session, confirmed, now, order)

    def _approve(self, session: Session, order: Order, now: datetime) -> Done:
        submission = order.submission
        supervisor, person = submission.claims.username, submission.claims.person
        change = self.changes.find(session, person)
        if (
            change is None
            or not change.is_approval_needed
            or change.is_code_needed
            or change.expires_at <= now
            or change.kiosk_id == submission.kiosk.kiosk_id
            or person == supervisor
        ):
            raise EffectRefused(Malformed("person", "has no request of another kiosk that waits for your approval"))
        if not verify_supervisor(role=self.admins.role_of(session, supervisor)).passed:
            raise EffectRefused(Denied("the leave to approve was withdrawn meanwhile"))
        approved = change.approved(supervisor, now)
        self.changes.put(session, approved)
        done = self._settle(session, approved, now, order)
        reply = ChangeReply(username=supervisor, granted_at=now, message=change_sentence(Action.APPROVE, None))
        return Done(reply, {"person": person, **done.detail})

    def _cancel(self, session: Session, order: Order, now: datetime) -> Done:
        username = order.submission.claims.username
        change = self.cancel(session, username, f"kiosk {order.submission.kiosk.kiosk_id}", now)
        if change is None:
            raise EffectRefused(Malformed("username", "has no change that could be cancelled"))
        reply = ChangeReply(username=username, granted_at=now, message=change_sentence(Action.CANCEL, None))
        return Done(reply, {"change": _told(change)})

    def _settle(self, session: Session, change: Change, now: datetime, order: Order) -> Done:
        """Put a change in force where nothing is missing, else tell what is."""
        if change.is_due(now):
            faces = self.put_in_force(session, change, now, order.looked)
        else:
            is_told = Need.CODE not in change.needs
            faces = self.check_face(session, change, now, order.looked, is_told=is_told)
            if is_told:
                self.notify(session, "change_requested", change, now)
        pending = None if change.is_due(now) else _pending(change, order.uri)
        reply = ChangeReply(
            username=change.username,
            granted_at=now,
            message=change_sentence(change.action, pending, is_gateway=order.submission.kiosk.is_gateway),
            pending=pending,
            provisioning_uri=order.uri if pending is None else None,
        )
        return Done(reply, {"change": _told(change), **faces})


def _claimed(submission: Submission) -> str | None:
    """The device to which a client of a gateway is to be bound; None of a kiosk, and where none is."""
    if not submission.kiosk.is_gateway or submission.action not in {Action.REGISTER, Action.UPDATE_MAC}:
        return None
    return submission.claims.new_mac or submission.claims.mac


def _permission(granted: Granted | None) -> str | None:
    """Whose leave a registration has, as `Change.permission` spells it."""
    if granted is None:
        return None
    return f"admin:{granted.by}" if granted.ticket_hash is None else f"ticket:{granted.ticket_hash}"


def _pending(change: Change, uri: str | None) -> PendingChange:
    return PendingChange(
        change_id=change.change_id,
        needs=change.needs,
        expires_at=change.in_force_at or change.expires_at,
        in_force_at=change.in_force_at,
        provisioning_uri=uri,
    )


def _told(change: Change) -> dict[str, object]:
    """What the audit keeps of a change: never what will be in force."""
    told: dict[str, object] = {
        "id": change.change_id,
        "action": change.action.value,
        "kiosk": change.kiosk_id,
        "needs": [need.value for need in change.needs],
        "in_force_at": change.in_force_at and change.in_force_at.isoformat(timespec="seconds"),
    }
    if change.approved_by is not None:
        told["approved_by"] = change.approved_by
    return told
