"""From a frame's JSON to an action and its message. Pure.

What breaks a rule of form is told by field and rule, never by value, and in the words of the wire.
"""

from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from pydantic import ValidationError

from auth_contract.actions import Action
from auth_contract.fields import canonical_username
from auth_contract.messages import SUBMISSIONS, SubmissionRequest
from auth_contract.strict_json import StrictJsonError, parse_object
from auth_contract.wire import WIRE_REQUESTS, WireRequest

_FIELD_MAX: Final = 100
_RULE_MAX: Final = 200

_MEMBERS: Final = MappingProxyType(
    {
        Action.LOGIN: {"frames": "faceID"},
        Action.REGISTER: {"permission": "admin_secret", "new_password": "password", "new_frames": "faceID"},
        Action.RECOVER_TOTP: {"frames": "faceID"},
        Action.RECOVER_PASSWORD: {"frames": "faceID"},
        Action.RECOVER_FACE: {"new_frames": "new_faceID"},
        Action.UPDATE_MAC: {"frames": "faceID"},
    }
)
"""The wire's name of each member that the contract calls otherwise."""


class Unusable(Exception):
    """A request breaks a rule of form. `username` and `action` are set as far as they could be read."""

    def __init__(self, field: str, rule: str, username: str | None = None, action: Action | None = None) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field[:_FIELD_MAX]
        self.rule = rule[:_RULE_MAX]
        self.username = username
        self.action = action


def empty() -> Unusable:
    """Return what is wrong with a frame without a byte."""
    return Unusable("frame", "is empty")


def read_request(text: bytes) -> WireRequest:
    """Return the request in a frame. Raises Unusable."""
    if not text:
        raise empty()
    try:
        members = parse_object(text)
    except StrictJsonError as error:
        raise Unusable("frame", str(error)) from None
    code, username = members.get("cmd"), _username(members)
    model = WIRE_REQUESTS.get(code) if isinstance(code, str) else None
    if model is None:
        raise Unusable("cmd", f"is one of {', '.join(WIRE_REQUESTS)}, as a string", username)
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False, include_context=False)[0]
        # Members that no code knows are passed over, so a location is always a name of ours.
        field = str(first["loc"][0]) if first["loc"] else "frame"
        raise Unusable(field, first["msg"].removeprefix("Value error, "), username, model.action) from None


def submission_of(request: WireRequest, *, attempt_id: str, peer: str, now: datetime) -> SubmissionRequest:
    """Return the contract's message for a request; registering has no time of the client's, so `now` stands for it."""
    names = _MEMBERS[request.action]
    members: dict[str, Any] = {"attempt_id": attempt_id, "peer": peer, "client_ts_utc": now}
    for name in SUBMISSIONS[request.action].model_fields:
        told = names.get(name, name)
        if told in type(request).model_fields:
            value = getattr(request, told)
            members[name] = (value,) if name in {"frames", "new_frames"} else value
    return SUBMISSIONS[request.action].model_validate(members)


def wire_name(action: Action, field: str) -> str:
    """Return what the wire calls a member of the contract's message, as a reply should name it."""
    name = field.partition(".")[0]
    return _MEMBERS[action].get(name, name) if action in _MEMBERS else name


def _username(members: dict[str, Any]) -> str | None:
    """The name, where it has the form of one, so that what went wrong can be written down under it."""
    name = members.get("username")
    try:
        return canonical_username(name) if isinstance(name, str) else None
    except ValueError:
        return None
