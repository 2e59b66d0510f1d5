"""One strict, frozen, length-limited model for each message on the wire.

Secrets and pictures have `repr=False`, and validation errors hide their input, so that neither
reaches a log by way of an exception.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from auth_contract.actions import Action, CaptureHint, Reason
from auth_contract.fields import FrameJpeg, Mac, Password, Printable, Timestamp, Token, TotpCode, Username
from auth_contract.limits import FRAMES_MAX

Message = Annotated[Printable, Field(max_length=200, description="A sentence for the person")]


class WireModel(BaseModel):
    """Base of all messages: unknown keys, loose types and later changes are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class AttemptRequest(WireModel):
    """Opens an attempt at one action."""

    action: Action


class AttemptReply(WireModel):
    """An opened attempt: the submission names `attempt_id` and is signed over `nonce`."""

    attempt_id: Token
    nonce: Token
    expires_at: Timestamp


class LoginRequest(WireModel):
    """The submission of one attempt to log in: all four factors at once."""

    attempt_id: Token
    username: Username
    password: Password = Field(repr=False)
    totp: TotpCode = Field(repr=False)
    frames: tuple[FrameJpeg, ...] = Field(min_length=1, max_length=FRAMES_MAX, repr=False)
    mac: Mac
    client_ts_utc: Timestamp


class LoginReply(WireModel):
    """A granted login; `assertion` is a 60 s EdDSA JWT that anyone with the JWKS can verify."""

    outcome: Literal["granted"] = "granted"
    username: Username
    granted_at: Timestamp
    message: Message
    assertion: str = Field(max_length=2048, repr=False)


class HeartbeatRequest(WireModel):
    """A kiosk's sign of life, with what its operator should know."""

    agent_version: Printable = Field(max_length=32)
    mac: Mac
    permanent_mac: Mac | None = None
    faults: tuple[Annotated[Printable, Field(max_length=120)], ...] = Field(default=(), max_length=16)


class HeartbeatReply(WireModel):
    """The server's answer to a heartbeat: its own time, so that a kiosk can report its skew."""

    server_ts_utc: Timestamp


class ErrorReply(WireModel):
    """Any refusal. `field` and `rule` accompany `malformed`; `incident` an unforeseen error."""

    outcome: Literal["refused"] = "refused"
    reason: Reason
    message: Message
    retry_after_s: int | None = Field(default=None, ge=1, le=86_400)
    capture_hint: CaptureHint | None = None
    field: Printable | None = Field(default=None, max_length=100)
    rule: Printable | None = Field(default=None, max_length=200)
    incident: Printable | None = Field(default=None, max_length=16)
