"""The effects that take time: the server's exchanges and the camera's pictures.

Each errand returns the event that the session waits for, whatever happens; an error nobody foresaw
becomes an ending without a login, with its kind and place in the log and nothing of its content.
"""

from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Final

import structlog

from auth_client.client import AuthClient, Surroundings
from auth_client.errors import Refused, ReplyLost, ServerNotTrusted, ServerUnavailable, ServerUnreachable
from auth_contract.actions import Need
from auth_contract.messages import (
    GATEWAY_MEMBERS,
    SUBMISSIONS,
    ChangeReply,
    LoginReply,
    PendingChange,
    SubmissionRequest,
)
from kiosk_agent.assertion import AssertionVerifier
from kiosk_agent.camera import Camera
from kiosk_agent.capture import Capturer, IsWanted
from kiosk_agent.effects import Capture, OpenAttempt, Submit
from kiosk_agent.errors import AssertionRefused, CameraFault, IdentityRefused, NobodyWaits, PicturesUnfit
from kiosk_agent.events import (
    AttemptOpened,
    CameraFailed,
    Changed,
    Ending,
    Event,
    Granted,
    NewSecret,
    Turned,
    Unfit,
    Waits,
)
from kiosk_agent.flows import ISSUES_SECRET
from kiosk_agent.guide import Guide
from kiosk_agent.health import Health
from kiosk_agent.hints import HINTS
from kiosk_agent.identity import Identity
from kiosk_agent.phrases import Phrase
from kiosk_agent.settings import CaptureSettings

UNREACHABLE: Final = "The login service cannot be reached."
UNTRUSTED: Final = "This kiosk does not know the server that it reached, and sent it nothing."
_LOST: Final = "The connection was lost before the answer arrived."
_UNCLEAR: Final = "The login service gave no answer that can be used."
_UNPROVEN: Final = "The answer of the login service could not be proven."
BROKEN: Final = "Something went wrong at this kiosk."

Errand = OpenAttempt | Capture | Submit


@dataclass(frozen=True, slots=True)
class Errands:
    """Runs effects against the server and the camera; used by one thread at a time."""

    client: AuthClient
    verifier: AssertionVerifier
    camera: Camera
    capture: CaptureSettings
    identity: Identity
    around: Surroundings
    health: Health
    guide: Guide | None = None

    def run(self, errand: Errand, tell: Callable[[Event], None], is_wanted: IsWanted) -> Event | None:
        """Return what came of an errand, never raising, or None where it was left because nobody waits for it.

        `tell` hears meanwhile of what the person before the camera should know.
        """
        began = self.around.monotonic()
        try:
            return self._run(errand, tell, is_wanted)
        except NobodyWaits:
            return None
        except Exception as error:  # an unforeseen fault must end one session, not the kiosk
            _log().error("errand_broke", errand=type(errand).__name__, error=type(error).__name__, at=place(error))
            return Turned(errand.ticket, Ending.UNAVAILABLE, BROKEN)
        finally:
            took_s = self.around.monotonic() - began
            self.health.metrics.errand_s.labels(type(errand).__name__).observe(took_s)

    def _run(self, errand: Errand, tell: Callable[[Event], None], is_wanted: IsWanted) -> Event:
        if isinstance(errand, Submit):
            return self._submit(errand)
        if not is_wanted():
            raise NobodyWaits
        return self._open(errand) if isinstance(errand, OpenAttempt) else self._capture(errand, tell, is_wanted)

    def _open(self, errand: OpenAttempt) -> Event:
        try:
            attempt = self.client.open_attempt(errand.action, errand.name)
            # By its id what happened here is found in the server's log and in its audit rows.
            _log().info("attempt_opened", attempt=attempt.attempt_id, action=errand.action.value)
            return AttemptOpened(errand.ticket, attempt, self.around.monotonic())
        except Refused as error:
            _log().warning("attempt_refused", status=error.status, reason=error.reply.reason.value)
            return turned(error, errand.ticket)
        except ServerUnavailable as error:
            _log().warning("server_unavailable", error=str(error))
            return Turned(errand.ticket, Ending.UNAVAILABLE, unavailable_message(error))

    def _capture(self, errand: Capture, tell: Callable[[Event], None], is_wanted: IsWanted) -> Event:
        try:
            taken: Event = Capturer(self.camera, self.capture, self.guide, self.around).take(errand, tell, is_wanted)
        except CameraFault as error:
            self.health.camera_fault = str(error)
            _log().error("camera_fault", device=error.device, problem=error.problem, advice=error.advice)
            return CameraFailed(errand.ticket)
        except PicturesUnfit as error:
            _log().warning("pictures_unfit", hint=error.hint)
            taken = Unfit(errand.ticket, error.hint, Phrase("{message}.", message=HINTS[error.hint]))
        self.health.camera_fault = None
        return taken

    def _submit(self, errand: Submit) -> Event:
        try:
            _log().info("attempt_submitted", attempt=errand.attempt.attempt_id)
            reply = self.client.submit(errand.action, self._request(errand), errand.attempt.nonce)
            return self._granted(errand, reply) if isinstance(reply, LoginReply) else _changed(errand, reply)
        except Refused as error:
            return turned(error, errand.ticket)
        except ReplyLost as error:
            _log().warning("reply_lost", error=str(error))
            return Turned(errand.ticket, Ending.UNCERTAIN, _LOST)
        except (ServerNotTrusted, ServerUnreachable) as error:
            _log().warning("server_unavailable", error=str(error))
            return Turned(errand.ticket, Ending.UNAVAILABLE, unavailable_message(error))
        except ServerUnavailable as error:
            _log().warning("server_unavailable", error=str(error))
            return Turned(errand.ticket, Ending.UNCERTAIN, _UNCLEAR)
        except AssertionRefused as error:
            _log().error("assertion_refused", error=str(error))
            return Turned(errand.ticket, Ending.NOT_PROVEN, _UNPROVEN)
        except IdentityRefused as error:
            _log().error("no_mac", error=str(error))
            return Turned(errand.ticket, Ending.UNAVAILABLE, BROKEN)

    def _granted(self, errand: Submit, reply: LoginReply) -> Event:
        proof = self.verifier.verify(
            reply.assertion, username=errand.entries.name, nonce=errand.attempt.nonce, now=self.around.now()
        )
        return Granted(errand.ticket, proof, reply.message)

    def _request(self, errand: Submit) -> SubmissionRequest:
        """The message of the action, each of its members from where it is found here."""
        entries, model = errand.entries, SUBMISSIONS[errand.action]
        members = {
            "attempt_id": errand.attempt.attempt_id,
            "username": entries.name,
            "mac": self.identity.read().mac,
            "client_ts_utc": self.around.now(),
            "person": entries.person,
            "permission": entries.permission,
            "password": entries.password,
            "new_password": entries.new_password,
            "totp": entries.code,
            "new_totp": entries.code,
            "change_id": errand.change_id,
            "frames": errand.frames,
            "new_frames": errand.frames,
            "marks": errand.marks,
        }
        return model.model_validate({name: members[name] for name in model.model_fields.keys() - GATEWAY_MEMBERS})


def _changed(errand: Submit, reply: ChangeReply) -> Event:
    """The event of a granted action that is no login; raises ServerUnavailable where the reply cannot be meant."""
    if reply.username != errand.entries.name:
        raise ServerUnavailable("the reply is about another name than was sent")
    pending = reply.pending
    if pending is None:
        return Changed(errand.ticket, reply.message)
    waits = Waits(pending.needs, pending.expires_at, pending.in_force_at)
    if Need.CODE not in pending.needs or errand.action not in ISSUES_SECRET:
        return Changed(errand.ticket, reply.message, waits)
    return Changed(errand.ticket, reply.message, waits, _new_secret(pending, reply))


def _new_secret(pending: PendingChange, reply: ChangeReply) -> NewSecret:
    if pending.provisioning_uri is None or not pending.provisioning_uri.startswith("otpauth://totp/"):
        raise ServerUnavailable("a first code is asked for, and there is no TOTP secret in the reply")
    # Both times are the server's, so that a kiosk's clock that is off changes nothing.
    lifetime_s = (pending.expires_at - reply.granted_at).total_seconds()
    return NewSecret(pending.change_id, pending.provisioning_uri, max(0.0, lifetime_s))


def turned(error: Refused, ticket: int) -> Turned:
    """The event of a refusal, in the server's own words."""
    reply = error.reply
    return Turned(
        ticket=ticket,
        ending=Ending(reply.reason.value),
        message=reply.message,
        retry_after_s=reply.retry_after_s,
        member=reply.field or "",
        rule=reply.rule or "",
    )


def unavailable_message(error: Exception) -> str:
    """What a person reads when there is no usable answer."""
    return UNTRUSTED if isinstance(error, ServerNotTrusted) else UNREACHABLE


class ErrandThread:
    """Runs errands one after another in a daemon thread, so that the loop never waits for one."""

    def __init__(self, name: str = "errands") -> None:
        self._waiting: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def start(self, errand: Callable[[], None]) -> None:
        """Run this when those before it are done."""
        self._waiting.put(errand)

    def close(self, timeout_s: float) -> None:
        """Take no more, and wait so long for the one under way."""
        self._waiting.put(None)
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (errand := self._waiting.get()) is not None:
            errand()


def place(error: BaseException) -> str:
    """Where an error arose, as module and line: an unforeseen error's text may hold a secret, its place does not."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.errands")
    return logger
