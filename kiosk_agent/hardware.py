"""The command `4auth-kiosk hardware`: each part with the settings in force, and whether it works; the servers too.

A part is a row of the table `PARTS`: where its settings stand, and the check, imported on use.
"""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from importlib import import_module
from itertools import zip_longest
from pathlib import Path
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import BaseModel

from auth_client.client import AuthClient, real_surroundings
from auth_client.errors import ServerUnavailable
from kiosk_agent.errors import KioskAgentError
from kiosk_agent.settings import KioskSettings


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of a check: what was measured, and what is wrong; nothing wrong is good."""

    facts: Mapping[str, str] = field(default_factory=dict)
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Options:
    """What a check may be told beside the settings.

    `picture` is where the camera's picture goes; `pulses_door` lets the relay be turned on once.
    """

    picture: Path | None = None
    pulses_door: bool = False


class Check(Protocol):
    """Tries one part for a few seconds and lets go of it again; may raise KioskAgentError for what is wrong."""

    def __call__(self, settings: KioskSettings, options: Options) -> Finding:
        """Return what was found."""


@dataclass(frozen=True, slots=True)
class Part:
    """One row: the names of the settings to show, sections or single fields, and `module:function` of the check."""

    settings: tuple[str, ...]
    check: str


PARTS: Final[Mapping[str, Part]] = {
    "camera": Part(("camera",), "kiosk_agent.camera.checking:check_camera"),
    "keypad": Part(("keypad",), "kiosk_agent.keypad.checking:check_keypad"),
    "door": Part(("door",), "kiosk_agent.door.checking:check_door"),
    "indicators": Part(("indicators",), "kiosk_agent.indicators.checking:check_indicators"),
    "speech": Part(("speech",), "kiosk_agent.speech.checking:check_speech"),
    "nic": Part(("interface", "allow_mac", "mac_override"), "kiosk_agent.hardware:check_nic"),
    "key": Part(("key_file",), "kiosk_agent.hardware:check_key"),
    "server": Part(("server",), "kiosk_agent.hardware:check_server"),
}


def settings_of(part: Part, settings: KioskSettings) -> dict[str, str]:
    """Return the settings of a part that are in force, each as text."""
    shown: dict[str, str] = {}
    for name in part.settings:
        value = getattr(settings, name)
        members: dict[str, Any] = value.model_dump(mode="json") if isinstance(value, BaseModel) else {name: value}
        shown |= {key: _text(member) for key, member in members.items()}
    return shown


def check(part: Part, settings: KioskSettings, options: Options) -> Finding:
    """Return what the check of a part finds, never raising what the agent knows as an error."""
    module, _, name = part.check.partition(":")
    try:
        function: Check = getattr(import_module(module), name)
        return function(settings, options)
    except KioskAgentError as error:
        return Finding(faults=(str(error),))


def check_nic(settings: KioskSettings, options: Options) -> Finding:
    """Read the interface's MAC addresses; `options` say nothing to it."""
    from kiosk_agent.nic import read_nic

    nic = read_nic(settings.interface)
    doubts = zip_longest(nic.faults, nic.traits)
    faults = tuple(str(fault) for fault, trait in doubts if trait not in settings.allow_mac)
    faults = faults if settings.mac_override is None else ()
    return Finding({"mac": nic.mac, "permanent_mac": nic.permanent_mac or "the driver does not say"}, faults)


def check_key(settings: KioskSettings, options: Options) -> Finding:
    """Look at the device key, and make none; `options` say nothing to it."""
    from kiosk_agent.identity import has_device_key

    return Finding({"key": "good" if has_device_key(settings) else "none yet, the first start makes it"})


def check_server(settings: KioskSettings, options: Options) -> Finding:
    """Ask the server at each address for its public keys; `options` say nothing to it."""
    around = real_surroundings()
    facts, faults = {}, list[str]()
    for url in settings.server.urls:
        alone = settings.server.model_copy(update={"urls": (url,), "retries": 0})
        # Whoever asks for public keys signs nothing, so the device key need not be there yet.
        with closing(AuthClient(alone, settings.kiosk_id, Ed25519PrivateKey.generate(), around)) as client:
            began = around.monotonic()
            try:
                client.jwks()
                facts[url] = f"answered in {around.monotonic() - began:.2f} s"
            except ServerUnavailable as error:
                faults.append(f"{url}: {str(error).removeprefix(f'{url}: ')}")
    return Finding(facts, tuple(faults))


def report(settings: KioskSettings, options: Options, *, is_checked: bool) -> bool:
    """Print each part, and with `is_checked` what its check finds; return whether nothing is wrong."""
    is_good = True
    for name, part in PARTS.items():
        print(name)
        _print(settings_of(part, settings))
        if not is_checked:
            continue
        finding = check(part, settings, options)
        _print(finding.facts)
        for fault in finding.faults:
            print(f"  fault: {fault}")
        print("  not good" if finding.faults else "  good")
        is_good = is_good and not finding.faults
    return is_good


def _print(lines: Mapping[str, str]) -> None:
    for name, value in lines.items():
        print(f"  {name:<18} {value}")


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value[:8])) + (", ..." if len(value) > 8 else "")
    return "not set" if value is None else str(value)
