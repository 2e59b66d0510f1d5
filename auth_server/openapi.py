"""The OpenAPI 3.1 document, generated from the wire models so that it cannot drift from them."""

from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic.json_schema import models_json_schema

from auth_contract import paths, signing
from auth_contract.actions import Action
from auth_contract.messages import (
    SUBMISSIONS,
    AttemptReply,
    AttemptRequest,
    ChangeReply,
    ErrorReply,
    GatewayRefusal,
    HeartbeatReply,
    HeartbeatRequest,
    LoginReply,
    Noted,
    WireModel,
)
from auth_server.signature_form import HEADER_MAX_CHARS

_SUMMARIES = {
    Action.LOGIN: "Log in",
    Action.REGISTER: "Register with an administrator's permission",
    Action.RECOVER_TOTP: "Ask for a new TOTP secret",
    Action.RECOVER_PASSWORD: "Set a new password",
    Action.RECOVER_FACE: "Enrol the face anew",
    Action.UPDATE_MAC: "Bind the account to this kiosk",
    Action.CONFIRM: "Confirm a new TOTP secret by its first code",
    Action.APPROVE: "Approve somebody's change as a supervisor",
    Action.CANCEL: "Cancel one's own pending change",
}
_POSTS: tuple[tuple[str, str, type[WireModel], type[WireModel]], ...] = (
    (paths.ATTEMPTS, "Open an attempt", AttemptRequest, AttemptReply),
    *(
        (path, _SUMMARIES[action], SUBMISSIONS[action], LoginReply if action is Action.LOGIN else ChangeReply)
        for action, path in paths.SUBMISSION.items()
    ),
    (paths.GATEWAY_REFUSALS, "Report what a gateway could not take of a client", GatewayRefusal, Noted),
    (paths.HEARTBEAT, "Report that a kiosk is alive", HeartbeatRequest, HeartbeatReply),
)
_GETS = (
    (paths.JWKS, "Public keys of assertions", "application/jwk-set+json"),
    (paths.OPENAPI, "This document", "application/json"),
)
_REFUSALS = {
    "401": "The kiosk's signature, content type, registration or clock is refused",
    "403": "Denied, pictures to be taken again, or, of a gateway, what is done at kiosks alone",
    "404": "There is no such path",
    "405": "The path has another method",
    "409": "The attempt is unknown, foreign, expired or used",
    "413": "The body is too large",
    "422": "A field breaks a rule",
    "423": "Locked for a time",
    "500": "An unforeseen error, with its incident number",
    "503": "A part of the server cannot answer now",
}
_REFUSALS_OF_A_GET = ("404", "405", "500")
_DESCRIPTION = f"""Every POST is signed by the kiosk's Ed25519 key under RFC 9421: label `{signing.LABEL}`,
tag `{signing.TAG}`, over {", ".join(f"`{name}`" for name in signing.COVERED_COMPONENTS)}, with the parameters
`created`, `keyid`, `nonce` and `alg`. A submission carries the nonce of its attempt, any other request a fresh one."""


@cache
def openapi_document() -> dict[str, Any]:
    """Return the document as plain data."""
    models: list[type[WireModel]] = [model for _, _, request, reply in _POSTS for model in (request, reply)]
    models.append(ErrorReply)
    _, schemas = models_json_schema(
        [(model, "validation") for model in models], ref_template="#/components/schemas/{model}"
    )
    return {
        "openapi": "3.1.0",
        "info": {"title": "4Auth", "version": "1", "description": _DESCRIPTION, "license": {"name": "MIT"}},
        "paths": {
            **{path: {"post": _post(summary, request, reply)} for path, summary, request, reply in _POSTS},
            **{path: {"get": _get(summary, mimetype)} for path, summary, mimetype in _GETS},
        },
        "components": {"schemas": schemas["$defs"]},
    }


def _content(model: type[WireModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{model.__name__}"}}}


def _post(summary: str, request: type[WireModel], reply: type[WireModel]) -> dict[str, Any]:
    return {
        "summary": summary,
        "operationId": request.__name__.removesuffix("Request").lower(),
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "schema": {"type": "string", "minLength": 1, "maxLength": HEADER_MAX_CHARS},
            }
            for name in ("Content-Digest", "Signature-Input", "Signature")
        ],
        "requestBody": {"required": True, "content": _content(request)},
        "responses": {"200": {"description": "Done", "content": _content(reply)}, **_refusals(_REFUSALS)},
    }


def _get(summary: str, mimetype: str) -> dict[str, Any]:
    return {
        "summary": summary,
        "responses": {
            "200": {"description": summary, "content": {mimetype: {"schema": {"type": "object"}}}},
            **_refusals(_REFUSALS_OF_A_GET),
        },
    }


def _refusals(statuses: Iterable[str]) -> dict[str, Any]:
    return {status: {"description": _REFUSALS[status], "content": _content(ErrorReply)} for status in statuses}
