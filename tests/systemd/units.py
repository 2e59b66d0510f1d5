"""The units as data, and a bare system in which systemd's own tools look at them."""

import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "systemd"
TARGETS = (
    *("sysinit", "basic", "shutdown", "timers", "paths", "multi-user", "graphical"),
    *("network", "network-online", "time-sync"),
)


@dataclass(frozen=True)
class Unit:
    """One unit file: its settings by section and name, each a list, because many may stand there twice."""

    path: Path
    sections: dict[str, dict[str, list[str]]]

    @property
    def name(self) -> str:
        """As systemctl takes it."""
        return self.path.name

    def all(self, section: str, name: str) -> list[str]:
        """Every value of a setting."""
        return self.sections.get(section, {}).get(name, [])

    def one(self, section: str, name: str) -> str | None:
        """The one value of a setting, None where it does not stand there."""
        found = self.all(section, name)
        assert len(found) <= 1, f"{self.name}: {name} stands there {len(found)} times"
        return found[0] if found else None

    @property
    def text(self) -> str:
        """The file."""
        return self.path.read_text(encoding="utf-8")


def read(path: Path) -> Unit:
    sections: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    section = ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            name, sign, value = line.partition("=")
            assert sign and re.fullmatch(r"[A-Za-z]+", name), f"{path.name}: {line!r}"
            sections[section][name].append(value)
    return Unit(path, {name: dict(members) for name, members in sections.items()})


def seconds(text: str) -> int:
    """A time as these units spell it."""
    number, unit = re.fullmatch(r"(\d+)(min|h|)", text).groups()  # type: ignore[union-attr]
    return int(number) * {"": 1, "min": 60, "h": 3600}[unit]


UNITS = {path.name: read(path) for path in sorted(FOLDER.glob("4auth-*")) if path.suffix != ".md"}
SERVICES = {name: unit for name, unit in UNITS.items() if name.endswith(".service")}
DAEMONS = {name: unit for name, unit in SERVICES.items() if unit.one("Service", "Type") == "notify"}


def programs(unit: Unit) -> list[list[str]]:
    """Every command line of a service, in words."""
    names = ("ExecStart", "ExecStartPre", "ExecReload", "ExecStopPost")
    return [line.split() for name in names for line in unit.all("Service", name)]


def bare_system(root: Path) -> Path:
    """A system of nothing but these units, the targets that they name, and files in the places of their programs."""
    folder = root / "etc" / "systemd" / "system"
    folder.mkdir(parents=True)
    for name in TARGETS:
        (folder / f"{name}.target").write_text("[Unit]\nDescription=x\n")
    for unit in UNITS.values():
        shutil.copy(unit.path, folder)
    for unit in SERVICES.values():
        for program, *_ in programs(unit):
            place = root / program.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch(mode=0o755)
    return folder


def verify(root: Path, *names: str) -> "subprocess.CompletedProcess[str]":
    """What `systemd-analyze verify` says; of a misspelt setting it does so on standard error alone, and exits 0."""
    command = ["systemd-analyze", "verify", "--man=no", f"--root={root}", *names]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def exposure(path: Path, threshold: int) -> "subprocess.CompletedProcess[str]":
    """What `systemd-analyze security` says of a file; exits 1 above the threshold, in tenths."""
    command = ["systemd-analyze", "security", "--offline=true", "--no-pager", f"--threshold={threshold}", str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def in_its_place(command: str) -> str:
    """A drop-in that has a unit run `command` once, in its sandbox, in the place of its own program."""
    return (
        "[Unit]\nStartLimitIntervalSec=0\n"
        "[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\n"
        f"ExecStopPost=\nExecReload=\nExecStart=\nExecStart={command}\n"
    )
