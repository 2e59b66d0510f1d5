"""The kiosk's settings: one TOML file, unknown keys refused, secrets only as paths of files."""

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from auth_contract.actions import Movement
from auth_contract.fields import KioskId, Mac
from auth_contract.limits import ENROL_FRAMES_MIN
from kiosk_agent.errors import SettingsRefused


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _server_url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme != "https" or not parts.hostname or parts.path not in {"", "/"}:
        raise ValueError("an https address without a path, as in https://auth.example:8443")
    if parts.query or parts.fragment or parts.username or parts.password:
        raise ValueError("an https address has no query, fragment, name or password here")
    return value.rstrip("/")


Pin = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$", description="SHA-256 of a SubjectPublicKeyInfo, lower-case hex")]


class ServerSettings(_Section):
    """Where the auth server is and which keys it may have."""

    url: Annotated[str, Field(max_length=300), AfterValidator(_server_url)] = Field(description="https address")
    pins: tuple[Pin, ...] = Field(min_length=1, max_length=2, description="The server's current key, and its next")
    connect_timeout_s: float = Field(default=3.0, gt=0, le=30, description="To connect and shake hands")
    read_timeout_s: float = Field(default=12.0, gt=0, le=60, description="From request sent to reply read")
    retries: int = Field(default=2, ge=0, le=5, description="More tries at what is safe to repeat")
    backoff_s: float = Field(default=0.3, ge=0, le=10, description="Wait before the first retry; doubles")
    heartbeat_s: float = Field(default=30.0, ge=1, le=600, description="Between two signs of life")


class SessionSettings(_Section):
    """How long a person may take, and how often."""

    idle_s: float = Field(default=25.0, ge=5, le=300, description="Without a key press, while typing")
    step_s: float = Field(default=60.0, ge=10, le=600, description="For one entry, however often a key is pressed")
    face_s: float = Field(default=50.0, ge=5, le=55, description="To open the attempt and take the pictures")
    checking_s: float = Field(default=25.0, ge=5, le=180, description="To wait for the server's decision")
    qr_s: float = Field(default=180.0, ge=30, le=600, description="To scan a QR code and type its first code")
    result_s: float = Field(default=6.0, ge=1, le=60, description="To show a result")
    waiting_s: float = Field(default=20.0, ge=1, le=120, description="To show what a change waits for")
    capture_again_s: float = Field(default=4.0, ge=1, le=30, description="To read the hint before the next pictures")


_PICTURES_MAX = 8
"""Of one submission without movements: as many as there are poses to ask for."""


class CaptureSettings(_Section):
    """The pictures of one attempt."""

    models: Path | None = Field(
        default=None, description="Folder of the face models, by which people are guided; left out: no guidance"
    )
    frames: int = Field(default=3, ge=1, le=_PICTURES_MAX, description="Pictures in one submission")
    interval_s: float = Field(default=0.2, ge=0, le=2, description="Between two pictures")
    enrol_frames: int = Field(default=5, ge=ENROL_FRAMES_MIN, le=_PICTURES_MAX, description="Pictures of a new face")
    enrol_interval_s: float = Field(default=1.5, ge=0, le=5, description="Between two of them, to turn the head")
    quality: int = Field(default=90, ge=50, le=100, description="JPEG quality; lowered where a message would be full")
    patience_s: float = Field(default=12.0, ge=1, le=30, description="For pictures that can be judged, when guided")
    movement_s: float = Field(default=6.0, ge=2, le=10, description="For one movement, when guided")
    movement_interval_s: float = Field(default=0.125, ge=0.04, le=0.5, description="Between two pictures of one")


Sources = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=4096)], ...], Field(min_length=1, max_length=1000)
]


class ReplayCamera(_Section):
    """Pictures or a video file instead of a camera; for development only.

    An entry is a picture, a folder of pictures (in order of name, read anew for every picture
    taken), a video, or `fault:` and a sentence, which fails as a camera would. `acts` are shown once each
    when the movement is asked for: somebody who does what the screen says; of those that are not there, nothing.
    """

    kind: Literal["replay"]
    sources: Sources
    acts: dict[Movement, Sources] = Field(default_factory=dict, description="Sources for movements, by their names")
    loop: bool = Field(default=True, description="Begin again after the last picture; else it fails there")
    fps: float = Field(default=0.0, ge=0, le=120, description="Pace as a camera would; 0 gives pictures at once")


class OpencvCamera(_Section):
    """A camera that OpenCV can open."""

    kind: Literal["opencv"]
    device: int | str = Field(description="V4L2 number or device path; in development also a video file")
    width: int = Field(default=1280, ge=160, le=3840, description="Asked of the camera, pixels")
    height: int = Field(default=960, ge=120, le=2160, description="Asked of the camera, pixels")
    read_timeout_s: float = Field(default=5.0, gt=0, le=30, description="To open the camera, or for one picture")
    discard: int = Field(default=2, ge=0, le=30, description="Stale pictures dropped before the first of an attempt")

    @property
    def is_camera(self) -> bool:
        """Whether `device` names a camera and not a file."""
        return isinstance(self.device, int) or self.device.startswith("/dev/")


class ScriptedKeypad(_Section):
    """Keys from a file instead of a keypad; for development only."""

    kind: Literal["scripted"]
    script: Path = Field(description="File of JSON lines, or - for standard input; see keypad/scripted.py")


class TerminalKeypad(_Section):
    """The keyboard of the terminal in which the agent runs; nothing typed is echoed."""

    kind: Literal["terminal"]


class TerminalScreen(_Section):
    """The terminal, or plain lines where standard output is none."""

    kind: Literal["terminal"]


class LogDoor(_Section):
    """Writes a log line where a relay would close."""

    kind: Literal["log"]


class HealthSettings(_Section):
    """The local port of liveness, readiness and Prometheus metrics."""

    host: Literal["127.0.0.1", "::1"] = "127.0.0.1"
    port: int = Field(ge=1, le=65535)


class KioskSettings(_Section):
    """One kiosk."""

    kiosk_id: KioskId = Field(description="The id under which the server knows this kiosk")
    site: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="Site name; audience of its assertions")
    environment: Literal["production", "development"] = "production"
    key_file: Path = Field(description="Device key, made on the first start; its folder has mode 0700")
    interface: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,15}$", description="Network interface whose MAC counts")
    mac_override: Mac | None = Field(default=None, description="MAC to claim instead; for development only")
    clock_offset_s: float = Field(default=0.0, ge=-86_400, le=86_400, description="Added to the clock; development")
    server: ServerSettings
    session: SessionSettings = SessionSettings()
    capture: CaptureSettings = CaptureSettings()
    camera: Annotated[ReplayCamera | OpencvCamera, Field(discriminator="kind")]
    keypad: Annotated[ScriptedKeypad | TerminalKeypad, Field(discriminator="kind")]
    # The unions of one member have room for the page and the relay.
    screen: TerminalScreen = TerminalScreen(kind="terminal")
    door: LogDoor = LogDoor(kind="log")
    health: HealthSettings | None = Field(default=None, description="Left out: no local port")
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @property
    def unsafe_variants(self) -> tuple[str, ...]:
        """The settings in force that a production kiosk must not have, each with what it allows."""
        return tuple(
            text
            for is_on, text in (
                (self.camera.kind == "replay", 'camera.kind = "replay" shows stored pictures instead of a person'),
                (
                    self.camera.kind == "opencv" and not self.camera.is_camera,
                    "camera.device is a file and no camera",
                ),
                (self.keypad.kind == "scripted", 'keypad.kind = "scripted" reads secrets from a file'),
                (self.mac_override is not None, "mac_override claims a MAC that the machine does not have"),
                (self.clock_offset_s != 0, "clock_offset_s makes the clock wrong"),
            )
            if is_on
        )

    @model_validator(mode="after")
    def _production_is_safe(self) -> "KioskSettings":
        if self.environment == "production" and self.unsafe_variants:
            raise ValueError(f'{"; ".join(self.unsafe_variants)}: this needs environment = "development"')
        return self

    @model_validator(mode="after")
    def _checking_outlasts_the_client(self) -> "KioskSettings":
        longest_s = self.server.connect_timeout_s + self.server.read_timeout_s
        if self.session.checking_s <= longest_s:
            raise ValueError(
                f"session.checking_s = {self.session.checking_s} must be above server.connect_timeout_s + "
                f"server.read_timeout_s = {longest_s}, or a decision would arrive after nobody waits for it"
            )
        return self

    @model_validator(mode="after")
    def _pictures_fit_their_time(self) -> "KioskSettings":
        longest_s = self.capture.enrol_interval_s * (self.capture.enrol_frames - 1)
        if self.session.face_s <= longest_s:
            raise ValueError(
                f"session.face_s = {self.session.face_s} must be above capture.enrol_interval_s x "
                f"(capture.enrol_frames - 1) = {longest_s}, or no enrolment would end in time"
            )
        return self


def load_settings(path: Path) -> KioskSettings:
    """Return the settings in a TOML file.

    Raises SettingsRefused naming every field at fault, its value and the rule.
    """
    try:
        members = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsRefused(f"{path}: {error.strerror}: name a readable TOML file with --settings") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsRefused(f"{path}: not TOML: {error}") from error
    return parse_settings(members, source=str(path))


def parse_settings(members: dict[str, Any], *, source: str = "settings") -> KioskSettings:
    """Return the settings in a mapping as TOML gives it; raises SettingsRefused like `load_settings`."""
    try:
        return KioskSettings.model_validate(members)
    except ValidationError as error:
        faults = [
            f"{'.'.join(str(part) for part in fault['loc']) or 'settings'}"
            f"{_shown(fault['input'])}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors(include_url=False, include_context=False)
        ]
        raise SettingsRefused("\n".join(f"{source}: {fault}" for fault in faults)) from error


def _shown(value: object) -> str:
    return "" if isinstance(value, dict | BaseModel) else f" = {str(value)[:80]!r}"
