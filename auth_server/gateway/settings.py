"""The gateway's settings: one TOML file, unknown keys refused, secrets only as paths of files."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, model_validator

from auth_client.settings import ServerSettings
from auth_contract.fields import KioskId
from auth_contract.wire import FRAME_MAX, PORT
from auth_server.settings import HealthSettings


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ListenSettings(_Section):
    """Where clients reach the gateway."""

    host: IPvAnyAddress = Field(description="Address to bind")
    port: int = Field(default=PORT, ge=1, le=65535)
    tls_certificate: Path = Field(description="PEM file, which clients trust")
    tls_key: Path = Field(description="PEM file, mode 0600")
    client_ca: Path | None = Field(
        default=None, description="PEM file of authorities; then each client must show a certificate of one of them"
    )


Seconds = Annotated[float, Field(gt=0, le=3600)]


class LimitSettings(_Section):
    """How much the gateway takes, and how long it waits. What goes beyond is refused in words, then closed."""

    connections: int = Field(default=512, ge=1, le=65_536, description="Open at once, in all")
    connections_per_address: int = Field(default=64, ge=1, le=65_536, description="Open at once from one address")
    requests_in_flight: int = Field(
        default=4, ge=1, le=64, description="At the server at once; below its listen.connections_per_address"
    )
    requests_waiting: int = Field(default=64, ge=0, le=4096, description="For one of these places, in all")
    requests_per_address: int = Field(default=8, ge=1, le=4096, description="In flight or waiting, of one address")
    requests_per_address_s: float = Field(default=1.0, gt=0, le=1000, description="From one address, on average")
    requests_burst: int = Field(default=20, ge=1, le=10_000, description="From one address, before that counts")
    receiving_max_bytes: int = Field(
        default=128 * 1024 * 1024,
        ge=FRAME_MAX,
        le=2**34,
        description="Of frames that are received or wait for their answer, in all",
    )
    receiving_per_address_bytes: int = Field(
        default=16 * 1024 * 1024, ge=FRAME_MAX, le=2**34, description="The same, of one address"
    )
    handshake_timeout_s: Seconds = 5.0
    idle_timeout_s: Seconds = Field(default=300.0, description="For the first byte of a request")
    request_timeout_s: Seconds = Field(default=15.0, description="For the rest of it, however it is dribbled")
    waiting_timeout_s: Seconds = Field(default=10.0, description="For a place at the server")
    write_timeout_s: Seconds = Field(default=15.0, description="For the client to take a reply")
    drain_timeout_s: Seconds = Field(default=30.0, description="For requests in flight on SIGTERM")

    @model_validator(mode="after")
    def _one_address_is_not_all(self) -> "LimitSettings":
        if self.connections_per_address > self.connections:
            raise ValueError(
                f"connections_per_address = {self.connections_per_address} must not be above "
                f"connections = {self.connections}"
            )
        return self


class GatewaySettings(_Section):
    """One gateway. It is registered at the server like a kiosk, without a MAC."""

    gateway_id: KioskId = Field(description="As `4auth-provision kiosk add ID --gateway` knows it")
    key_file: Path = Field(description="The device key, made on the first start; folder 0700, file 0600")
    listen: ListenSettings
    health: HealthSettings
    server: ServerSettings
    limits: LimitSettings = LimitSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"
