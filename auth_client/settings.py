"""Where the auth server is, which keys it may have, and how long it is waited for."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _server_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("an https address without a path, as in https://auth.example:8443")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("an https address has no query, fragment, name or password here")
    return value.rstrip("/")


Pin = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of a SubjectPublicKeyInfo, lower-case hex")]


class ServerSettings(BaseModel):
    """Where the auth server is and which keys it may have."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: Annotated[str, Field(max_length=300), AfterValidator(_server_url)] = Field(description="https address")
    pins: tuple[Pin, ...] = Field(min_length=1, max_length=2, description="The server's current key, and its next")
    connect_timeout_s: float = Field(default=3.0, gt=0, le=30, description="To connect and shake hands")
    read_timeout_s: float = Field(
        default=20.0, gt=0, le=60, description="From request sent to reply read; longer than a server's start takes"
    )
    retries: int = Field(default=2, ge=0, le=5, description="More tries at what is safe to repeat")
    backoff_s: float = Field(default=0.3, ge=0, le=10, description="Wait before the first retry; doubles")
    heartbeat_s: float = Field(default=30.0, ge=1, le=600, description="Between two signs of life")
