"""Where the auth servers are, which keys they may have, and how long they are waited for."""

from typing import Annotated
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

URLS_MAX = 8


def _server_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("an https address without a path, as in https://auth.example:8443")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("an https address has no query, fragment, name or password here")
    _place(parts)
    return value.rstrip("/")


def _place(parts: SplitResult) -> tuple[str | None, int]:
    try:
        port = 443 if parts.port is None else parts.port
    except ValueError:
        port = 0
    if port == 0:
        raise ValueError("an https address has a port of 1 to 65535")
    return parts.hostname, port


def _one_as_several(value: object) -> object:
    """One address as a list of one; it is judged here already, so that a refusal names no place in a list."""
    return (_server_url(value),) if isinstance(value, str) else value


def _each_once(urls: tuple[str, ...]) -> tuple[str, ...]:
    if not 1 <= len(urls) <= URLS_MAX:
        raise ValueError(f"an https address, or a list of 1 to {URLS_MAX}; these are {len(urls)}")
    places = [_place(urlsplit(url)) for url in urls]
    for url, place in zip(urls, places, strict=True):
        if places.count(place) > 1:
            raise ValueError(f"{url} stands there twice: name each server once")
    return urls


def _as_written(urls: tuple[str, ...]) -> str | tuple[str, ...]:
    return urls[0] if len(urls) == 1 else urls


Pin = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of a SubjectPublicKeyInfo, lower-case hex")]
ServerUrl = Annotated[str, Field(max_length=300), AfterValidator(_server_url)]
ServerUrls = Annotated[
    tuple[ServerUrl, ...], BeforeValidator(_one_as_several), AfterValidator(_each_once), PlainSerializer(_as_written)
]


class ServerSettings(BaseModel):
    """Where the auth servers are and which keys they may have; where there are several, they share one store."""

    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)

    urls: ServerUrls = Field(alias="url", description="https address, or a list of them that are tried in order")
    pins: tuple[Pin, ...] = Field(min_length=1, max_length=2, description="The servers' current key, and its next")
    connect_timeout_s: float = Field(default=3.0, gt=0, le=30, description="To connect and shake hands")
    read_timeout_s: float = Field(
        default=20.0, gt=0, le=60, description="From request sent to reply read; longer than a server's start takes"
    )
    retries: int = Field(default=2, ge=0, le=5, description="More tries at what is safe to repeat")
    backoff_s: float = Field(default=0.3, ge=0, le=10, description="Wait before the first retry; doubles")
    heartbeat_s: float = Field(default=30.0, ge=1, le=600, description="Between two signs of life")
    away_s: float = Field(
        default=60.0, ge=1, le=3600, description="An address that failed is tried after the others for so long"
    )
