"""The server's settings: one TOML file, unknown keys refused, secrets only as paths of files."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, IPvAnyAddress, model_validator

from auth_contract.limits import CLOCK_SKEW_MAX_S


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=False)


class ListenSettings(_Section):
    """Where kiosks reach the server, and how many may be answered at once."""

    host: IPvAnyAddress = Field(description="Address to bind")
    port: int = Field(ge=1, le=65535)
    tls_certificate: Path = Field(description="PEM file; kiosks pin its key, not its names")
    tls_key: Path = Field(description="PEM file, mode 0600")
    workers: int = Field(default=2, ge=1, le=64, description="Worker processes")
    threads: int = Field(default=8, ge=2, le=64, description="Threads in each worker")
    connections_per_address: int = Field(
        default=6, ge=1, le=10_000, description="In each worker; raise it where a proxy stands before all kiosks"
    )
    handshake_timeout_s: float = Field(default=3.0, gt=0, le=30)
    graceful_timeout_s: int = Field(default=30, ge=1, le=300, description="For requests in flight on SIGTERM")


class HealthSettings(_Section):
    """The local port of liveness, readiness and Prometheus metrics."""

    host: Literal["127.0.0.1"] = "127.0.0.1"
    port: int = Field(ge=1, le=65535)


class StoreSettings(_Section):
    """The encrypted store and the keys that open it; keep the two on different media in backups."""

    database: Path = Field(description="SQLCipher file")
    keys: Path = Field(description="Folder of key files, mode 0700, or a systemd credentials folder")
    checkpoints: Path = Field(description="Signed audit checkpoints, one JSON line each, apart from the database")
    checkpoint_every_s: float = Field(default=60.0, ge=1, le=3600)


class FaceSettings(_Section):
    """The face engine. Names are DeepFace's; those of 4Auth's own plug-ins begin with `4auth`."""

    models: Path = Field(description="Folder of model files, made by `4auth-provision models fetch`")
    recogniser: str = Field(default="4auth", max_length=40)
    detector: str = Field(default="4auth", max_length=40)
    threshold: float | None = Field(
        default=None, gt=0, lt=2, description="Cosine distance; needed only for a recogniser without a calibration"
    )
    presence: Literal["passive", "off"] = Field(
        default="passive", description="Real-face check; `off` is for development only"
    )
    queue_max: int = Field(
        default=6,
        ge=1,
        le=64,
        description="Face checks in a worker at once, below listen.threads; more are answered 503",
    )


class TimeSettings(_Section):
    """The second opinion on the operating system's clock."""

    sources: tuple[Annotated[str, Field(min_length=1, max_length=253)], ...] = Field(
        default=(), max_length=8, description="NTP servers, host or host:port; two or more, or none"
    )
    poll_s: float = Field(default=64.0, ge=1, le=3600)
    max_offset_s: float = Field(default=5.0, gt=0, le=CLOCK_SKEW_MAX_S)

    @model_validator(mode="after")
    def _no_lone_source(self) -> "TimeSettings":
        if len(self.sources) == 1:
            raise ValueError(f"sources = {list(self.sources)}: one can lie unnoticed, name two or more, or none")
        return self


class ServerSettings(_Section):
    """One 4Auth server."""

    site: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="Site name; audience of its assertions")
    environment: Literal["production", "development"] = "production"
    listen: ListenSettings
    health: HealthSettings
    store: StoreSettings
    face: FaceSettings
    time: TimeSettings = TimeSettings()
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _queue_leaves_threads(self) -> "ServerSettings":
        if self.face.queue_max >= self.listen.threads:
            raise ValueError(
                f"face.queue_max = {self.face.queue_max} must be below listen.threads = {self.listen.threads}: "
                "with every thread at a face check no attempt could be opened and nobody be told to come back"
            )
        return self

    @model_validator(mode="after")
    def _production_is_safe(self) -> "ServerSettings":
        if self.environment == "production" and self.face.presence == "off":
            raise ValueError('face.presence = "off" lets a photograph pass; it needs environment = "development"')
        return self
