"""The wire protocol of the clients that speak with a gateway: frames of JSON over TLS.

Not to be taken for what kiosk and gateway send the server by HTTPS, which `messages` holds.

A frame is a length of 4 bytes, big-endian, and that many bytes of UTF-8 JSON. A connection carries any number
of requests, each answered before the next is read. Members that a code does not know are passed over.
"""

import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, ClassVar, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from auth_contract.actions import Action
from auth_contract.fields import FrameJpeg, Mac, Password, Permission, TotpCode, Username
from auth_contract.limits import BODY_MAX_BYTES

PORT: Final = 65432
HEADER: Final = struct.Struct(">I")
FRAME_MAX: Final = BODY_MAX_BYTES
"""Bytes of JSON in one frame; a header that says more ends the connection."""


def _read_time(value: object) -> object:
    """ISO 8601 in any of its forms; without an offset it is UTC, as the name of the field says."""
    if isinstance(value, datetime) and value.utcoffset() is None:
        raise ValueError("a datetime carries its offset, as datetime.now(UTC) does")
    if not isinstance(value, str):
        return value
    try:
        moment = datetime.fromisoformat(value[:64])
        return (moment if moment.utcoffset() is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("a time is ISO 8601 in UTC, as in 2026-11-22T09:30:00Z") from None


Picture = Annotated[FrameJpeg, Field(repr=False)]
Secret = Annotated[Password, Field(repr=False)]
Code = Annotated[TotpCode, Field(repr=False)]
WireTime = Annotated[datetime, BeforeValidator(_read_time)]


class WireRequest(BaseModel):
    """What every code's request has."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)
    action: ClassVar[Action]

    username: Username
    mac: Mac


class LogIn(WireRequest):
    """100: log in."""

    action = Action.LOGIN
    cmd: Literal["100"] = "100"
    password: Secret
    totp: Code
    faceID: Picture
    client_ts_utc: WireTime


class Register(WireRequest):
    """200: register a new name by an administrator's secret or an enrolment ticket."""

    action = Action.REGISTER
    cmd: Literal["200"] = "200"
    admin_secret: Permission = Field(repr=False)
    password: Secret
    totp: Literal["new"] = "new"
    faceID: Picture


class RecoverTotp(WireRequest):
    """300: a new TOTP secret."""

    action = Action.RECOVER_TOTP
    cmd: Literal["300"] = "300"
    password: Secret
    faceID: Picture
    client_ts_utc: WireTime


class RecoverPassword(WireRequest):
    """310: a new password."""

    action = Action.RECOVER_PASSWORD
    cmd: Literal["310"] = "310"
    totp: Code
    faceID: Picture
    client_ts_utc: WireTime
    new_password: Secret


class RecoverFace(WireRequest):
    """320: a new face."""

    action = Action.RECOVER_FACE
    cmd: Literal["320"] = "320"
    password: Secret
    totp: Code
    new_faceID: Picture
    client_ts_utc: WireTime


class UpdateMac(WireRequest):
    """330: the account is bound to another device."""

    action = Action.UPDATE_MAC
    cmd: Literal["330"] = "330"
    password: Secret
    totp: Code
    faceID: Picture
    client_ts_utc: WireTime
    new_mac: Mac


WIRE_REQUESTS: Final[Mapping[str, type[WireRequest]]] = MappingProxyType(
    {
        "100": LogIn,
        "200": Register,
        "300": RecoverTotp,
        "310": RecoverPassword,
        "320": RecoverFace,
        "330": UpdateMac,
    }
)
"""The request of each code."""


class WireReply(BaseModel):
    """The answer to any request. The two last are of a new TOTP secret, which is shown once and kept nowhere."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)

    status: Literal["ok", "error"]
    message: str = Field(max_length=600, description="A sentence for the person")
    qr_png_b64: str | None = Field(default=None, repr=False)
    provisioning_uri: str | None = Field(default=None, repr=False)

    @property
    def is_ok(self) -> bool:
        """Whether it was granted."""
        return self.status == "ok"


def to_frame(text: bytes) -> bytes:
    """Return a frame of this JSON. Raises ValueError above `FRAME_MAX`."""
    if len(text) > FRAME_MAX:
        raise ValueError(f"a frame has at most {FRAME_MAX} bytes, this one has {len(text)}")
    return HEADER.pack(len(text)) + text


def to_json(message: BaseModel) -> bytes:
    """Return a request or reply as the JSON of one frame."""
    return message.model_dump_json(exclude_none=True).encode()
