"""From what the server says to a reply on the wire: a sentence for the person, and never which factor failed."""

import base64
from typing import Final

from auth_contract.actions import Action, Reason
from auth_contract.messages import ChangeReply, ErrorReply, LoginReply
from auth_contract.wire import WireReply
from auth_server.gateway.requests import Unusable, wire_name
from auth_server.qr import png_of

UNAVAILABLE: Final = "The service is not available right now. Please try again shortly."
BUSY: Final = "The service is busy. Please try again shortly."
TOO_MANY: Final = "There are too many connections from here. Please close one and try again."
TOO_FAST: Final = "There were too many requests from here. Please wait a little."
FULL: Final = "There are too many connections. Please try again shortly."
UNKNOWN_END: Final = "It is not known whether this was done. Please look before you try again."
_REFUSED: Final = "The service cannot be used now. Please tell a member of staff."


def granted(reply: LoginReply | ChangeReply) -> WireReply:
    """Return the reply to what was granted; a new TOTP secret comes as a URI and as a picture of it."""
    uri = _uri(reply) if isinstance(reply, ChangeReply) else None
    picture = None if uri is None else base64.b64encode(png_of(uri)).decode()
    return WireReply(status="ok", message=reply.message, qr_png_b64=picture, provisioning_uri=uri)


def refused(action: Action, reply: ErrorReply) -> WireReply:
    """Return the reply to what the server refused."""
    message = reply.message
    if reply.reason is Reason.KIOSK_REFUSED:
        message = _REFUSED
    elif reply.field is not None and reply.rule is not None:
        message = f"{message} {wire_name(action, reply.field)}: {reply.rule}"
    elif reply.retry_after_s is not None:
        message = f"{message} ({reply.retry_after_s} s)"
    return error(message)


def unusable(fault: Unusable) -> WireReply:
    """Return the reply to what breaks a rule of form."""
    return error(f"This request has a form that cannot be used. {fault.field}: {fault.rule}")


def error(message: str) -> WireReply:
    """Return a refusal in these words."""
    return WireReply(status="error", message=message)


def _uri(reply: ChangeReply) -> str | None:
    return reply.provisioning_uri or (None if reply.pending is None else reply.pending.provisioning_uri)
