"""The interface `eth0` (e1000): a MAC set beside the one it was made with is seen, and stops the start."""

import subprocess
import sys
import tempfile
from pathlib import Path

from checks import Checks, require

from kiosk_agent.nic import read_nic

_OTHER = "dc:a6:32:04:0a:17"
_SETTINGS = """
kiosk_id = "lobby-1"
site = "head-office"
key_file = "{folder}/device.pem"
interface = "eth0"
[server]
url = "https://127.0.0.1:8443"
pins = ["{pin}"]
[camera]
kind = "opencv"
device = "/dev/video0"
[keypad]
kind = "terminal"
"""


def run(checks: Checks) -> None:
    """Try it."""
    with tempfile.TemporaryDirectory() as name:
        settings = Path(name) / "kiosk.toml"
        settings.write_text(_SETTINGS.format(folder=name, pin="0" * 64), encoding="utf-8")
        Path(name).chmod(0o700)
        made = read_nic("eth0")
        with checks.check("the MAC that an interface was made with is without fault") as seen:
            require(made.mac == made.permanent_mac and not made.faults, str(made))
            seen.append(made.mac)
        with checks.check("with it, production may start"):
            require((done := _check(settings)).returncode == 0, done.stderr)
        _set(_OTHER)
        with checks.check("a MAC that was set is told beside it") as seen:
            nic = read_nic("eth0")
            require((nic.mac, nic.permanent_mac) == (_OTHER, made.mac), str(nic))
            seen += nic.faults
        with checks.check("with it, production is refused: by --check-config and by the start") as seen:
            for options in (("--check-config",), ()):
                done = _check(settings, options)
                require(done.returncode == 78, f"exit {done.returncode}: {done.stderr}")
                require("MAC changed" in done.stderr, done.stderr)
            seen.append("exit 78")
        _set(made.mac)
        with checks.check("set back by hand, it is still told as set by a user") as seen:
            nic = read_nic("eth0")
            require(nic.mac == made.mac and len(nic.faults) == 1, str(nic))
            seen += nic.faults


def _set(mac: str) -> None:
    subprocess.run(["ip", "link", "set", "eth0", "address", mac], check=True)  # noqa: S603, S607 - the guest's own


def _check(settings: Path, options: tuple[str, ...] = ("--check-config",)) -> "subprocess.CompletedProcess[str]":
    program = [sys.executable, "-m", "kiosk_agent", "--settings", str(settings), *options]
    return subprocess.run(program, capture_output=True, text=True, timeout=120)  # noqa: S603 - our own program
