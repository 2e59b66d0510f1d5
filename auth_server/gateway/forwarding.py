"""A request's way to the auth server and back. Each takes a thread, in which it waits."""

import threading
from collections.abc import Callable
from time import perf_counter
from typing import Any

import structlog

from auth_client.client import AuthClient, Surroundings
from auth_client.errors import Refused, ServerError, ServerNotTrusted, ServerUnavailable, ServerUnreachable
from auth_contract.actions import Action
from auth_contract.messages import GatewayRefusal, SubmissionRequest
from auth_contract.neutral import neutral
from auth_contract.wire import WireReply, WireRequest, to_json
from auth_server.gateway import answers
from auth_server.gateway.metrics import REQUEST_SECONDS, REQUESTS
from auth_server.gateway.requests import Unusable, read_request, submission_of
from auth_server.incidents import report_incident

log = structlog.get_logger(__name__)


class Forwarder:
    """Hands requests to the server. May be used from any thread; each has a client of its own."""

    def __init__(self, make_client: Callable[[], AuthClient], around: Surroundings) -> None:
        self._make_client = make_client
        self._around = around
        self._own = threading.local()

    def answer(self, text: bytes, peer: str) -> bytes:
        """Return the reply's JSON to a frame of the client at `peer`, never raising."""
        began = perf_counter()
        action, outcome = "none", "unforeseen"
        try:
            request = read_request(text)
            action = request.action.value
            outcome, reply = self._forward(request, peer)
        except Unusable as fault:
            action = "none" if fault.action is None else fault.action.value
            outcome, reply = "malformed", answers.unusable(fault)
            self._note(fault, peer)
        except Exception as error:  # whatever broke, the client is answered and the next request served
            incident = report_incident(log, error, action=action)
            reply = answers.error(f"{answers.UNAVAILABLE} ({incident})")
        seconds = perf_counter() - began
        REQUESTS.labels(action, outcome).inc()
        REQUEST_SECONDS.labels(action).observe(seconds)
        log.info("request", action=action, outcome=outcome, peer=peer, ms=round(seconds * 1000, 1))
        return to_json(reply)

    def _forward(self, request: WireRequest, peer: str) -> tuple[str, WireReply]:
        client, action = self._client(), request.action
        try:
            attempt = client.open_attempt(action, request.username, peer=peer)
            now = self._around.now()
            submission = submission_of(request, attempt_id=attempt.attempt_id, peer=peer, now=now)
            return self._submitted(client, action, submission, attempt.nonce)
        except Refused as refusal:
            return refusal.reply.reason.value, answers.refused(action, refusal.reply)
        except ServerError as fault:
            log.warning("server_away", error=str(fault))
            return "unavailable", answers.error(answers.UNAVAILABLE)

    def _submitted(
        self, client: AuthClient, action: Action, submission: SubmissionRequest, nonce: str
    ) -> tuple[str, WireReply]:
        """Send what may be done once. Raises Refused, or ServerError where nothing of it was sent."""
        try:
            return "granted", answers.granted(client.submit(action, submission, nonce))
        except (ServerUnreachable, ServerNotTrusted):
            raise
        except ServerUnavailable as lost:  # also a reply that cannot be understood: it may have been done
            log.warning("reply_lost", error=str(lost))
            return "lost", answers.error(answers.UNKNOWN_END)

    def _note(self, fault: Unusable, peer: str) -> None:
        """Have the server write down what came in somebody's name; a server that is away cannot."""
        if fault.username is None:
            return
        try:
            rule = neutral(fault.rule)
            self._client().note_refusal(
                GatewayRefusal(peer=peer, username=fault.username, action=fault.action, field=fault.field, rule=rule)
            )
        except ServerError as error:
            log.warning("not_noted", error=str(error))
        except Exception as error:  # the client is answered all the same
            report_incident(log, error, action="note_refusal")

    def _client(self) -> AuthClient:
        own: Any = self._own
        if not hasattr(own, "client"):
            own.client = self._make_client()
        client: AuthClient = own.client
        return client
