"""Settings of each door backend."""

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from auth_client.settings import Pin
from kiosk_agent.settings.keypads import GpioPin
from kiosk_agent.settings.section import Section


class LogDoor(Section):
    """Writes a log line where a relay would close."""

    kind: Literal["log"]


class GpioRelayDoor(Section):
    """A relay at a GPIO pin, held by a process of its own that lets go of it when the pulse or the agent ends."""

    kind: Literal["gpio_relay"]
    pin: GpioPin = 17
    active_high: bool = Field(default=True, description="Whether the relay is on while the pin is high")
    pulse_s: float = Field(default=3.0, ge=0.5, le=30, description="For which the door is open")


class CommandDoor(Section):
    """Runs a program, without a shell, that opens the door and answers with exit code 0."""

    kind: Literal["command"]
    argv: tuple[Annotated[str, Field(min_length=1, max_length=1000)], ...] = Field(
        min_length=1, max_length=32, description="The program by its whole path, and its arguments"
    )
    timeout_s: float = Field(default=5.0, ge=0.5, le=30, description="After which the program is killed")
    tells_who: bool = Field(default=False, description="Set FOURAUTH_USERNAME and FOURAUTH_JTI for the program")

    @model_validator(mode="after")
    def _program_has_a_path(self) -> "CommandDoor":
        if not self.argv[0].startswith("/"):
            raise ValueError(f"argv: {self.argv[0]!r} is not a whole path, as in /usr/local/bin/open-door")
        return self


def _webhook_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"https", "http"} or not parts.hostname or parts.username or parts.fragment:
        raise ValueError("an address such as https://door.example/open, without a name or fragment")
    if parts.scheme == "http" and not _is_loopback(parts.hostname):
        raise ValueError("http only to this machine (127.0.0.1, ::1): use https with pins or ca_file")
    return value


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


class WebhookDoor(Section):
    """Posts JSON to a door controller, which answers with a status from 200 to 299.

    `patience_s` and the last try end within the 60 s for which the assertion is good.
    """

    kind: Literal["webhook"]
    url: Annotated[str, Field(max_length=300), AfterValidator(_webhook_url)] = Field(
        description="https, or http to this machine alone"
    )
    pins: tuple[Pin, ...] = Field(default=(), max_length=2, description="Keys that the controller may have")
    ca_file: Path | None = Field(default=None, description="PEM of the authority that vouches for it, instead of pins")
    secret_file: Path | None = Field(default=None, description="Closed file of 16 bytes or more, shared with it")
    secret_use: Literal["hmac", "bearer"] = Field(default="hmac", description="How the secret is shown")
    timeout_s: float = Field(default=3.0, ge=0.5, le=10, description="For one try")
    patience_s: float = Field(default=10.0, ge=0, le=45, description="After which no other try begins; 0 for one try")

    @model_validator(mode="after")
    def _one_thing_vouches(self) -> "WebhookDoor":
        if self.pins and self.ca_file is not None:
            raise ValueError("pins and ca_file: only one of them can vouch for the controller")
        if self.url.startswith("https:") and not self.pins and self.ca_file is None:
            raise ValueError("https needs pins or ca_file, by which the controller is known")
        if self.url.startswith("http:") and (self.pins or self.ca_file is not None):
            raise ValueError("pins and ca_file are for https")
        return self


AnyDoor = Annotated[GpioRelayDoor | CommandDoor | WebhookDoor | LogDoor, Field(discriminator="kind")]
"""The settings of one door, of whatever kind."""
