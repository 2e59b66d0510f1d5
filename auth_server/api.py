"""The routes that kiosks use: a view parses one model, calls one function and renders."""

from dataclasses import replace

from flask import Blueprint, Response, current_app, request

from auth_contract import paths
from auth_contract.actions import Action
from auth_contract.messages import (
    SUBMISSIONS,
    AttemptReply,
    AttemptRequest,
    GatewayRefusal,
    HeartbeatReply,
    HeartbeatRequest,
    Noted,
    WireModel,
)
from auth_server import exchange
from auth_server.admission import admit, parse_body
from auth_server.authenticator import Submission
from auth_server.claims import claims_of
from auth_server.errors import AttemptRefused, Malformed
from auth_server.gateways import refusal_entry
from auth_server.heartbeats import note_heartbeat
from auth_server.metrics import UNWRITTEN_ROWS
from auth_server.openapi import openapi_document
from auth_server.services import Services

api = Blueprint("api", __name__)


def services() -> Services:
    """The services that `create_app` was given."""
    found: Services = current_app.extensions["fourauth"]
    return found


def render(message: WireModel, status: int = 200) -> Response:
    """A message as a JSON response that no cache keeps."""
    response = Response(message.model_dump_json(exclude_none=True), status, mimetype="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


@api.post(paths.ATTEMPTS)
def open_attempt() -> Response:
    """Open an attempt at an action."""
    now = services().time.trusted_now()
    signed = admit(request, services().signatures, now)
    asked = parse_body(request, signed, AttemptRequest)
    services().gateways.check(signed.kiosk, asked.action, asked.peer)
    if not services().authenticator.policies[asked.action].is_enabled:
        raise Malformed("action", f"{asked.action.value} is switched off at this site")
    attempt = services().attempts.open(
        kiosk_id=signed.kiosk.kiosk_id,
        action=asked.action,
        now=now,
        request_nonce=signed.nonce,
        movements=() if signed.kiosk.is_gateway else services().asking.movements(asked.action, asked.username),
    )
    return render(
        AttemptReply(
            attempt_id=attempt.attempt_id,
            nonce=attempt.nonce,
            expires_at=attempt.expires_at,
            movements=attempt.movements,
        )
    )


def submit(action: Action) -> Response:
    """Decide an attempt. It is used up by the signed headers alone, before a body is read."""
    now = services().time.trusted_now()
    signed = admit(request, services().signatures, now)
    services().housekeeping.require_signed_log()
    attempt = services().attempts.consume(kiosk_id=signed.kiosk.kiosk_id, nonce=signed.nonce, action=action, now=now)
    exchange.current().attempt_id = attempt.attempt_id
    body = parse_body(request, signed, SUBMISSIONS[action])
    if body.attempt_id != attempt.attempt_id:
        raise AttemptRefused("the body names another attempt than the signature's nonce")
    services().gateways.check(signed.kiosk, action, body.peer)
    claims = claims_of(body, site=services().site, is_gateway=signed.kiosk.is_gateway)
    # Asked again: the body may have taken seconds to arrive, and codes and waits are judged by this.
    now = services().time.trusted_now()
    submission = Submission(action, attempt, signed.kiosk, claims, exchange.current().source_address)
    exchange.current().is_audited = True
    return render(services().authenticator.submit(submission, now=now))


for _action, _path in paths.SUBMISSION.items():
    api.post(_path, endpoint=_action.value, defaults={"action": _action})(submit)


@api.post(paths.HEARTBEAT)
def heartbeat() -> Response:
    """Note that a kiosk is alive and tell it the server's time."""
    now = services().time.trusted_now()
    signed = admit(request, services().signatures, now)
    services().attempts.remember_nonce(signed.kiosk.kiosk_id, signed.nonce, now)
    report = parse_body(request, signed, HeartbeatRequest)
    note_heartbeat(services(), signed.kiosk, report, exchange.current().source_address, now)
    return render(HeartbeatReply(server_ts_utc=now))


@api.post(paths.GATEWAY_REFUSALS)
def gateway_refusal() -> Response:
    """Write down what a gateway could not take of a client who named a person."""
    now = services().time.trusted_now()
    signed = admit(request, services().signatures, now)
    services().attempts.remember_nonce(signed.kiosk.kiosk_id, signed.nonce, now)
    refusal = parse_body(request, signed, GatewayRefusal)
    entry = refusal_entry(signed.kiosk, refusal, exchange.current().source_address)
    # Strangers cause these, and cheaply: they have a budget like what nobody signed.
    unwritten = services().row_budget.spend(f"gateway {signed.kiosk.kiosk_id}")
    if unwritten is None:
        UNWRITTEN_ROWS.inc()
    else:
        more = {"unwritten_before": unwritten} if unwritten else {}
        services().audit.record(replace(entry, detail={**entry.detail, **more}), now)
    return render(Noted())


@api.get(paths.JWKS)
def jwks() -> Response:
    """The public keys that verify assertions (RFC 7517)."""
    return _document(services().assertions.jwks(), "application/jwk-set+json")


@api.get(paths.OPENAPI)
def openapi() -> Response:
    """This interface, described from its own models."""
    return _document(openapi_document(), "application/json")


def _document(document: object, mimetype: str) -> Response:
    response = Response(current_app.json.dumps(document), mimetype=mimetype)
    response.headers["Cache-Control"] = "max-age=60"
    return response
