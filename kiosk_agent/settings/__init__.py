"""The kiosk's settings: one TOML file, unknown keys refused, secrets only as paths of files."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from auth_client.settings import ServerSettings
from auth_contract.fields import KioskId, Mac
from kiosk_agent.errors import SettingsRefused
from kiosk_agent.settings.cameras import AnyCamera, OpencvCamera, Picamera2Camera, ReplayCamera
from kiosk_agent.settings.doors import AnyDoor, LogDoor
from kiosk_agent.settings.health import HealthSettings
from kiosk_agent.settings.indicators import AnyIndicators, NoIndicators
from kiosk_agent.settings.keypads import AnyKeypad, ScriptedKeypad, TerminalKeypad
from kiosk_agent.settings.network import MacTrait
from kiosk_agent.settings.screens import AnyScreen, PageScreen, TerminalScreen
from kiosk_agent.settings.section import Section
from kiosk_agent.settings.session import CaptureSettings, SessionSettings
from kiosk_agent.settings.speech import AnySpeech, EspeakSpeech, NoSpeech

__all__ = [
    "CaptureSettings",
    "EspeakSpeech",
    "HealthSettings",
    "KioskSettings",
    "LogDoor",
    "NoSpeech",
    "OpencvCamera",
    "PageScreen",
    "Picamera2Camera",
    "ReplayCamera",
    "ScriptedKeypad",
    "ServerSettings",
    "SessionSettings",
    "TerminalKeypad",
    "TerminalScreen",
    "load_settings",
    "parse_settings",
]


class KioskSettings(Section):
    """One kiosk."""

    kiosk_id: KioskId = Field(description="The id under which the server knows this kiosk")
    site: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,31}$", description="Site name; audience of its assertions")
    environment: Literal["production", "development"] = "production"
    key_file: Path = Field(description="Device key, made on the first start; its folder has mode 0700")
    interface: str = Field(pattern=r"^[A-Za-z0-9._:-]{1,15}$", description="Network interface whose MAC counts")
    allow_mac: tuple[MacTrait, ...] = Field(default=(), description="What its MAC may be in production all the same")
    mac_override: Mac | None = Field(default=None, description="MAC to claim instead; for development only")
    clock_offset_s: float = Field(default=0.0, ge=-86_400, le=86_400, description="Added to the clock; development")
    read_only_root: bool = Field(default=False, description="The disk is read-only on purpose; else that is a fault")
    server: ServerSettings
    session: SessionSettings = SessionSettings()
    capture: CaptureSettings = CaptureSettings()
    camera: AnyCamera
    keypad: AnyKeypad
    screen: AnyScreen = TerminalScreen(kind="terminal")
    door: AnyDoor = LogDoor(kind="log")
    speech: AnySpeech = NoSpeech(kind="none")
    indicators: AnyIndicators = NoIndicators(kind="none")
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
                (
                    self.screen.kind == "page" and self.screen.keyboard,
                    "screen.keyboard lets a browser's keyboard type",
                ),
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
    def _a_page_is_found(self) -> "KioskSettings":
        if self.environment == "production" and self.screen.kind == "page" and self.screen.url_file is None:
            raise ValueError('screen.kind = "page" needs screen.url_file, or no browser would find its address')
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
