"""One strict, frozen, length-limited model for each message on the wire.

Secrets and pictures have `repr=False`, and validation errors hide their input, so that neither
reaches a log by way of an exception.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from auth_contract.actions import Action, CaptureHint, Movement, Need, Reason
from auth_contract.fields import (
    Address,
    FrameJpeg,
    Mac,
    Password,
    Permission,
    Printable,
    Timestamp,
    Token,
    TotpCode,
    Username,
)
from auth_contract.limits import ATTEMPT_TTL_S, FRAMES_MAX, MOVEMENTS_MAX

Message = Annotated[Printable, Field(max_length=200, description="A sentence for the person")]


class WireModel(BaseModel):
    """Base of all messages: unknown keys, loose types and later changes are refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", hide_input_in_errors=True)


class AttemptRequest(WireModel):
    """Opens an attempt at one action; `username` lets the server ask only for movements that the person can do.

    `peer` is the client for whom a gateway asks; a kiosk sends none.
    """

    action: Action
    username: Username | None = None
    peer: Address | None = None


class AttemptReply(WireModel):
    """An opened attempt: the submission names `attempt_id` and is signed over `nonce`.

    `movements` are to be done before the camera, in this order; none are asked for where the action uses no
    face or the site switched them off.
    """

    attempt_id: Token
    nonce: Token
    expires_at: Timestamp
    movements: tuple[Movement, ...] = Field(default=(), max_length=MOVEMENTS_MAX)


class SubmissionRequest(WireModel):
    """What the submission of an attempt at any action has: who, at which device, when.

    From a kiosk `mac` is its own. From a gateway it is what the client at `peer` claims; a kiosk sends no `peer`.
    """

    attempt_id: Token
    username: Username
    mac: Mac
    client_ts_utc: Timestamp
    peer: Address | None = None


class FrameMark(WireModel):
    """When a frame was taken, and in which part of the recording.

    `at_ms` counts from the opening of the attempt by the kiosk's monotonic clock. `part` is 0 before the first
    movement, k during the k-th, and one more than their number after the last.
    """

    at_ms: int = Field(ge=0, le=ATTEMPT_TTL_S * 1000)
    part: int = Field(ge=0, le=MOVEMENTS_MAX + 1)


Marks = Annotated[tuple[FrameMark, ...], Field(max_length=FRAMES_MAX)]
"""One for each frame, in their order; none where no movement was asked for."""

Frames = Annotated[tuple[FrameJpeg, ...], Field(min_length=1, max_length=FRAMES_MAX, repr=False)]
Secret = Annotated[Password, Field(repr=False)]
Code = Annotated[TotpCode, Field(repr=False)]


class LoginRequest(SubmissionRequest):
    """Log in: all factors at once."""

    password: Secret
    totp: Code
    frames: Frames
    marks: Marks = ()


class RegisterRequest(SubmissionRequest):
    """Register `username`, a new name, with an administrator's permission. A first code is asked for next."""

    permission: Permission = Field(repr=False)
    new_password: Secret
    new_frames: Frames
    marks: Marks = ()


class RecoverTotpRequest(SubmissionRequest):
    """Ask for a new TOTP secret. It is pending until `ConfirmRequest` brings a code of it."""

    password: Secret
    frames: Frames
    marks: Marks = ()


class RecoverPasswordRequest(SubmissionRequest):
    """Set a new password."""

    totp: Code
    frames: Frames
    marks: Marks = ()
    new_password: Secret


class RecoverFaceRequest(SubmissionRequest):
    """Enrol the face anew, captured live."""

    password: Secret
    totp: Code
    new_frames: Frames
    marks: Marks = ()


class UpdateMacRequest(SubmissionRequest):
    """Bind the account to the kiosk at which the person stands, in place of those before; `mac` is its MAC.

    A gateway names in `new_mac` what its client is bound to; a kiosk sends none.
    """

    password: Secret
    totp: Code
    frames: Frames
    marks: Marks = ()
    new_mac: Mac | None = None


class ConfirmRequest(SubmissionRequest):
    """A first code of the new TOTP secret that the reply to `RegisterRequest` or `RecoverTotpRequest` held."""

    change_id: Token
    new_totp: Code


class ApproveRequest(SubmissionRequest):
    """A supervisor, who is `username`, approves what `person` asked for at another kiosk."""

    person: Username
    password: Secret
    totp: Code
    frames: Frames
    marks: Marks = ()


class CancelRequest(SubmissionRequest):
    """Cancel one's own pending change, at any kiosk."""

    password: Secret
    totp: Code


SUBMISSIONS: Final[Mapping[Action, type[SubmissionRequest]]] = MappingProxyType(
    {
        Action.LOGIN: LoginRequest,
        Action.REGISTER: RegisterRequest,
        Action.RECOVER_TOTP: RecoverTotpRequest,
        Action.RECOVER_PASSWORD: RecoverPasswordRequest,
        Action.RECOVER_FACE: RecoverFaceRequest,
        Action.UPDATE_MAC: UpdateMacRequest,
        Action.CONFIRM: ConfirmRequest,
        Action.APPROVE: ApproveRequest,
        Action.CANCEL: CancelRequest,
    }
)
"""The message with which an attempt at each action is submitted."""


GATEWAY_MEMBERS: Final = frozenset({"peer", "new_mac"})
"""What a gateway says of its client, and a kiosk, which speaks for itself, never."""


class LoginReply(WireModel):
    """A granted login; `assertion` is a 60 s EdDSA JWT that anyone with the JWKS can verify, empty for a gateway."""

    outcome: Literal["granted"] = "granted"
    username: Username
    granted_at: Timestamp
    message: Message
    assertion: str = Field(max_length=2048, repr=False)


class PendingChange(WireModel):
    """A change that is not in force yet, and what it waits for.

    `provisioning_uri` holds the new TOTP secret and is sent once; it is shown as a QR code, and kept nowhere.
    `in_force_at` is told once nothing is missing but time.
    """

    change_id: Token
    needs: tuple[Need, ...] = Field(min_length=1, max_length=len(Need))
    expires_at: Timestamp
    in_force_at: Timestamp | None = None
    provisioning_uri: str | None = Field(default=None, max_length=512, repr=False)


class ChangeReply(WireModel):
    """What came of any action but a login; without `pending` the change is in force.

    `provisioning_uri` is of a new TOTP secret that is in force without a first code, as through a gateway.
    """

    outcome: Literal["granted"] = "granted"
    username: Username
    granted_at: Timestamp
    message: Message
    pending: PendingChange | None = None
    provisioning_uri: str | None = Field(default=None, max_length=512, repr=False)


class GatewayRefusal(WireModel):
    """A request in somebody's name that a gateway could not take; the server writes it down. `action` where known."""

    peer: Address
    username: Username
    action: Action | None = None
    field: Printable = Field(max_length=100)
    rule: Printable = Field(max_length=200)


class Noted(WireModel):
    """The answer to what only had to be written down."""

    outcome: Literal["noted"] = "noted"


Word = Annotated[Printable, Field(max_length=24, description="One word of a closed set of the kiosk's")]


class KioskState(WireModel):
    """How a kiosk does. What it cannot know (a temperature, say) is left out.

    `interval_s` is until the next sign of life, `uptime_s` the agent's, `clock_offset_s` the kiosk's clock minus
    the server's at the last one. `throttled` are the board's own words for what holds it back.
    """

    interval_s: float = Field(gt=0, le=600)
    uptime_s: int = Field(ge=0, le=10**9)
    temperature_c: float | None = Field(default=None, ge=-100, le=200)
    throttled: tuple[Word, ...] = Field(default=(), max_length=8)
    camera: Word | None = None
    keypad: Word | None = None
    door: Word | None = None
    clock_offset_s: float | None = Field(default=None, ge=-(10**10), le=10**10)
    last_error: Printable | None = Field(default=None, max_length=200)


class HeartbeatRequest(WireModel):
    """A kiosk's sign of life, with what its operator should know; agents of before `state` send none.

    A gateway has no `mac`.
    """

    agent_version: Printable = Field(max_length=32)
    mac: Mac | None = None
    permanent_mac: Mac | None = None
    faults: tuple[Annotated[Printable, Field(max_length=120)], ...] = Field(default=(), max_length=16)
    state: KioskState | None = None


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
