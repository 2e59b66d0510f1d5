"""From bytes on the wire to a typed message, cheapest check first.

headers' signature -> declared size -> body -> digest -> JSON -> schema. Nothing later is touched
when something earlier fails, so that a stranger costs the server next to nothing.
"""

import re
from contextlib import suppress
from datetime import datetime
from typing import Any, TypeVar

from flask import Request
from pydantic import ValidationError
from werkzeug.exceptions import ClientDisconnected

from auth_contract.fields import canonical_address, canonical_username
from auth_contract.limits import BODY_MAX_BYTES
from auth_contract.messages import WireModel
from auth_contract.strict_json import StrictJsonError, parse_object
from auth_server import exchange
from auth_server.errors import KioskRefused, Malformed, TooLarge
from auth_server.signature import SignatureCheck, SignedBy, SignedHeaders, check_digest

Model = TypeVar("Model", bound=WireModel)

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_PLAIN_WORD = re.compile(r"[a-z0-9_]{1,32}")


def admit(request: Request, signatures: SignatureCheck, now: datetime) -> SignedBy:
    """Check who sent this request by its headers alone, then the size it declares.

    Raises KioskRefused, TooLarge or Malformed.
    """
    if request.query_string:
        raise KioskRefused("a query string stands outside the signature", query_length=len(request.query_string))
    headers = [(name.lower(), value) for name, value in request.headers.items()]
    signed = signatures.verify(SignedHeaders(request.method, request.path, headers), now)
    exchange.current().kiosk_id = signed.kiosk.kiosk_id
    if request.content_length is None:
        raise Malformed("content-length", "is required; a chunked body is not read")
    if request.content_length > BODY_MAX_BYTES:
        raise TooLarge("content-length", f"at most {BODY_MAX_BYTES} bytes, this body declares {request.content_length}")
    return signed


def parse_body(request: Request, signed: SignedBy, model: type[Model]) -> Model:
    """Read the body, compare it with the signed digest and return it as `model`.

    Raises Malformed naming the field and the rule, never the value.
    """
    try:
        body = request.get_data(cache=False)
    except (OSError, ClientDisconnected) as error:  # werkzeug makes the second of the first
        raise Malformed("body", "did not arrive whole and in time") from error
    check_digest(body, signed.content_digest)
    try:
        members = parse_object(body)
    except StrictJsonError as error:
        raise Malformed("body", str(error)) from None
    _note_who(members, signed)
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        raise _malformed(error) from None


def _note_who(members: dict[str, Any], signed: SignedBy) -> None:
    """Let row and log name the person, the attempt, and a gateway's client, wherever these have a valid form."""
    name, peer, attempt_id = (members.get(member) for member in ("username", "peer", "attempt_id"))
    if isinstance(attempt_id, str) and _TOKEN.fullmatch(attempt_id):
        exchange.current().attempt_id = attempt_id
    if isinstance(name, str):
        with suppress(ValueError):
            exchange.current().username = canonical_username(name)
    if isinstance(peer, str) and signed.kiosk.is_gateway:
        with suppress(ValueError):
            exchange.current().peer = canonical_address(peer)


def _malformed(error: ValidationError) -> Malformed:
    """The first broken rule. An unknown key is the caller's own text, repeated only where it is a plain word."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    names = [str(part) if _PLAIN_WORD.fullmatch(str(part)) else "(unknown key)" for part in first["loc"]]
    return Malformed(".".join(names)[:100] or "body", first["msg"].removeprefix("Value error, ")[:200])
