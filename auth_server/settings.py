"""The server's settings: one TOML file, unknown keys refused, secrets only as paths of files."""

from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, IPvAnyAddress, model_validator

from auth_contract.limits import CLOCK_SKEW_MAX_S, MOVEMENTS_MAX
from auth_server.action_settings import ActionsSettings
from auth_server.store.location import Location


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
    proxy: IPvAnyAddress | None = Field(
        default=None,
        description="Address of a proxy before all kiosks: its X-Forwarded-For, and nobody else's, tells who they are",
    )
    handshake_timeout_s: float = Field(default=3.0, gt=0, le=30)
    graceful_timeout_s: int = Field(default=30, ge=1, le=300, description="For requests in flight on SIGTERM")


class HealthSettings(_Section):
    """The local port of liveness, readiness and Prometheus metrics."""

    host: Literal["127.0.0.1"] = "127.0.0.1"
    port: int = Field(ge=1, le=65535)


class StoreSettings(_Section):
    """The store and the keys that open it; keep the two on different media in backups."""

    database: Location = Field(
        description='SQLCipher file, by its path or as `{kind = "sqlcipher", path = ...}`; or a database of a '
        'PostgreSQL server, as `{kind = "postgresql", hosts = [...], ...}`'
    )
    keys: Path = Field(description="Folder of key files, mode 0700, or a systemd credentials folder")
    checkpoints: Path = Field(description="Signed audit checkpoints, one JSON line each, apart from the database")
    checkpoint_every_s: float = Field(default=60.0, ge=1, le=3600)

    @property
    def folder(self) -> Path:
        """Where on this machine there is room for what is made of the store: beside its file, or its checkpoints."""
        return (self.database if isinstance(self.database, Path) else self.checkpoints).parent


class FaceSettings(_Section):
    """The face engine. Names are DeepFace's; those of 4Auth's own plug-ins begin with `4auth`."""

    models: Path = Field(description="Folder of model files, made by `4auth-provision models fetch`")
    recogniser: str = Field(default="4auth", max_length=40)
    detector: str = Field(default="4auth", max_length=40)
    threshold: float | None = Field(
        default=None, gt=0, lt=2, description="Cosine distance; needed only for a recogniser without a calibration"
    )
    presence: Literal["both", "active", "passive", "off"] = Field(
        default="both",
        description="Real-face check: by movements that are drawn for each attempt (active), by the look of the "
        "pictures (passive), or by both; `off` is for development only",
    )
    movements: int = Field(
        default=3, ge=2, le=MOVEMENTS_MAX, description="Movements of one attempt, where presence is active or both"
    )
    calibration: Path | None = Field(
        default=None, description="File that `4auth-provision face calibrate` wrote  [default: the one of the package]"
    )
    refuse_duplicates: bool = Field(
        default=True, description="Whether a face that is enrolled under another name is refused, and not only told of"
    )
    follow: bool = Field(
        default=False, description="Whether the template follows slow change after good logins, near the enrolled one"
    )
    keep_refused_days: int | None = Field(
        default=None,
        ge=1,
        le=90,
        description="Keep a picture of each refused attempt so long, encrypted; never when left out",
    )

    @property
    def is_active(self) -> bool:
        """Whether movements are asked for."""
        return self.presence in {"both", "active"}

    @property
    def cost(self) -> str | None:
        """What a site gives up that switched a layer of presence off, in a sentence; None where both are on."""
        if self.presence == "both":
            return None
        if self.is_active:
            return (
                'face.presence = "active": the look of the pictures is not judged, so a recording of the person that '
                "happens to do what is drawn, or a face that software moves, passes for the person"
            )
        return (
            f'face.presence = "{self.presence}": nobody is asked to move, so a print, screen or video '
            + ("that the look of the pictures does not give away" if self.is_passive else "of the person")
            + " passes for the person"
        )

    @property
    def is_passive(self) -> bool:
        """Whether the look of the pictures is judged."""
        return self.presence in {"both", "passive"}

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


def _program(argv: tuple[str, ...]) -> tuple[str, ...]:
    if not argv[0].startswith("/"):
        raise ValueError(f"argv[0] = {argv[0]!r}: name the program by its whole path, because no shell looks for it")
    if any("\0" in word for word in argv):
        raise ValueError("argv: no argument may hold a NUL")
    return argv


def _webhook_url(url: str) -> str:
    parts = urlsplit(url)
    is_safe = parts.scheme == "https" or _is_this_machine(parts)
    if not is_safe or not parts.hostname or parts.username is not None or parts.fragment or not url.isprintable():
        raise ValueError("url: https with a host, without user, password and #; http is for 127.0.0.1 in development")
    return url


def _is_this_machine(parts: SplitResult) -> bool:
    return parts.scheme == "http" and parts.hostname == "127.0.0.1"


class NoNotify(_Section):
    """Nobody is told; notifications are not kept."""

    kind: Literal["none"] = "none"


class CommandNotify(_Section):
    """A program of the site's gets each notification as JSON on standard input; exit 0 says that it has it."""

    kind: Literal["command"]
    argv: Annotated[tuple[str, ...], AfterValidator(_program)] = Field(
        min_length=1, max_length=64, description="The program's whole path and its arguments; no shell reads them"
    )
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="Then it is killed with all that it started")


class WebhookNotify(_Section):
    """A server of the site's gets each notification as a POST of JSON; a status 200 to 299 says that it has it."""

    kind: Literal["webhook"]
    url: Annotated[str, AfterValidator(_webhook_url)] = Field(max_length=2000)
    timeout_s: float = Field(default=10.0, gt=0, le=60, description="For all of one delivery")
    secret_file: Path | None = Field(default=None, description="Mode 0600; signs each body: X-4Auth-Signature")
    ca_file: Path | None = Field(default=None, description="PEM; trusted in the place of the public authorities")
    certificate_sha256: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="Of the one certificate to trust, whoever issued it"
    )

    @model_validator(mode="after")
    def _one_kind_of_trust(self) -> "WebhookNotify":
        if self.ca_file is not None and self.certificate_sha256 is not None:
            raise ValueError("ca_file and certificate_sha256: name one, because the second would go unused")
        return self


NotifySettings = Annotated[NoNotify | CommandNotify | WebhookNotify, Field(discriminator="kind")]


class ThroughGatewaySettings(_Section):
    """What may come through `4auth-gateway`, whose clients no signature proves. Nothing, unless it is enabled."""

    enabled: bool = Field(default=False, description="Whether a registered gateway is let in at all")
    users: Literal["listed", "all"] = Field(
        default="listed", description="Who may come through: names of `4auth-provision gateway allow`, or everybody"
    )
    passive_alone: bool = Field(
        default=False,
        description="Whether the look of one picture may stand for a live person; else clients are told to use a kiosk",
    )
    recoveries: bool = Field(
        default=False,
        description="Whether factors may be changed through it, which then hold at kiosks; else they are told the same",
    )


class AuditSettings(_Section):
    """How long the audit log keeps more than its hashes."""

    keep_details_days: int | None = Field(
        default=None, ge=1, le=36_500, description="After so many days a row's details are erased; never when left out"
    )


class AdministrationSettings(_Section):
    """How administrators use `4auth-provision`."""

    require_name: bool = Field(default=False, description="Whether each command needs --as NAME and the secret")


class ServerSettings(_Section):
    """One 4Auth server."""

    site: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="Site name; audience of its assertions")
    environment: Literal["production", "development"] = "production"
    listen: ListenSettings
    health: HealthSettings
    store: StoreSettings
    face: FaceSettings
    time: TimeSettings = TimeSettings()
    actions: ActionsSettings = ActionsSettings()
    notify: NotifySettings = NoNotify()
    administration: AdministrationSettings = AdministrationSettings()
    audit: AuditSettings = AuditSettings()
    gateway: ThroughGatewaySettings = ThroughGatewaySettings()
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

    @model_validator(mode="after")
    def _gateway_judges_pictures(self) -> "ServerSettings":
        is_blind = self.gateway.enabled and self.gateway.passive_alone and not self.face.is_passive
        if self.environment == "production" and is_blind:
            raise ValueError(
                f'gateway.passive_alone needs face.presence = "both" or "passive", not "{self.face.presence}": '
                "through a gateway the look of the picture is all that is judged"
            )
        return self

    @model_validator(mode="after")
    def _production_notifies_over_tls(self) -> "ServerSettings":
        is_plain = isinstance(self.notify, WebhookNotify) and _is_this_machine(urlsplit(self.notify.url))
        if self.environment == "production" and is_plain:
            raise ValueError('notify.url over http can be read on its way; it needs environment = "development"')
        return self
