"""A throw-away site: its folder, its server process, its kiosks' settings. Only the real commands are used."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

READY_WITHIN_S = 60.0
"""For a machine that is busy with something else; on two idle cores it takes about two seconds."""


class CommandFailed(Exception):
    """One of 4Auth's own commands did not do what the demo needs; its words are the message."""


_GIVEN: Final[set[int]] = set()
"""Ports that this process was given; the kernel draws one again as soon as it is closed."""


def free_port() -> int:
    """A TCP port of loopback that nobody listens on, another one each time."""
    port = 0
    while not port or port in _GIVEN:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
    _GIVEN.add(port)
    return port


def command(name: str) -> str:
    """The path of one of 4Auth's commands, beside this Python."""
    return str(Path(sys.executable).with_name(name))


def toml(members: Mapping[str, Any], within: str = "") -> str:
    """Plain values and tables as TOML; JSON's strings, numbers and arrays are TOML's too."""
    plain = [f"{name} = {json.dumps(value)}" for name, value in members.items() if not isinstance(value, Mapping)]
    tables = [(f"{within}{name}", value) for name, value in members.items() if isinstance(value, Mapping)]
    written = [f"\n[{name}]\n{toml(value, f'{name}.')}" for name, value in tables]
    return "\n".join([*plain, *written]) + "\n"


@dataclass
class Site:
    """One site in `folder`, with models from `models`; its store a file, or the database at `postgresql`."""

    folder: Path
    models: Path
    name: str = "demo"
    presence: str = "both"
    port: int = field(default_factory=free_port)
    health_port: int = field(default_factory=free_port)
    gateway_port: int = field(default_factory=free_port)
    gateway_health_port: int = field(default_factory=free_port)
    pin: str = ""
    postgresql: str = ""
    server: subprocess.Popen[bytes] | None = None
    gateway: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> Path:
        """The server's settings file."""
        return self.folder / "site" / "server.toml"

    @property
    def gateway_settings(self) -> Path:
        """The gateway's settings file."""
        return self.folder / "site" / "gateway" / "gateway.toml"

    @property
    def gateway_certificate(self) -> Path:
        """What clients of the wire protocol trust."""
        return self.folder / "site" / "gateway" / "gateway.crt"

    @property
    def gateway_log(self) -> Path:
        """All that the gateway wrote."""
        return self.folder / "gateway.log"

    @property
    def server_log(self) -> Path:
        """All that the server wrote."""
        return self.folder / "server.log"

    @property
    def url(self) -> str:
        """Where its server answers kiosks."""
        return f"https://127.0.0.1:{self.port}"

    def init(self) -> None:
        """Make the site: keys, certificate, database, settings."""
        store = ("--postgresql", self.postgresql) if self.postgresql else ()
        made = self.provision(
            *("site", "init", "--folder", str(self.folder / "site"), "--name", self.name),
            *("--host", "127.0.0.1", "--port", str(self.port), "--health-port", str(self.health_port)),
            *("--gateway-port", str(self.gateway_port), "--gateway-health-port", str(self.gateway_health_port)),
            *("--models", str(self.models), "--environment", "development", "--presence", self.presence),
            *store,
        )
        self.pin = made["pin"]

    def provision(self, *arguments: str, secret: str | None = None) -> dict[str, Any]:
        """Run `4auth-provision` and return its JSON. Raises CommandFailed with what it said."""
        where = ["--settings", str(self.settings)] if self.settings.exists() else []
        done = subprocess.run(  # noqa: S603 - our own command
            [command("4auth-provision"), "--json", *where, *arguments],
            input=secret,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(f"4auth-provision {' '.join(arguments[:2])}: {done.stderr.strip() or done.stdout}")
        return dict(json.loads(done.stdout))

    def add_user(self, name: str, password: str, pictures: Sequence[Path], kiosks: Sequence[str]) -> str:
        """Enrol a person from picture files; return the TOTP provisioning URI."""
        password_file = self.folder / f"{name}.password"
        password_file.touch(mode=0o600)
        password_file.write_text(password)
        added = self.provision(
            *("user", "add", name, "--password-file", str(password_file), "--show-uri", "--vouched"),
            *(word for picture in pictures for word in ("--picture", str(picture))),
            *(word for kiosk in kiosks for word in ("--kiosk", kiosk)),
        )
        password_file.unlink()
        return str(added["provisioning_uri"])

    def start_server(self, *program: str) -> float:
        """Start `4auth-server`, or `program` in its place, in a process group of its own.

        Returns the seconds until it was ready. Raises CommandFailed when it ends or takes too long.
        """
        arguments = [*(program or (command("4auth-server"),)), "--settings", str(self.settings)]
        self.server = _started(arguments, self.server_log)
        return _wait_until_ready(self.server, "4auth-server", self.health_port, self.server_log)

    def is_ready(self) -> bool:
        """Whether the server says of itself that it can serve."""
        return _is_ready(self.health_port)

    def sibling(self, folder: Path) -> "Site":
        """Another server of the same site, with ports and checkpoints of its own; for a store that they can share."""
        shutil.copytree(self.folder / "site", folder / "site")
        other = replace(self, folder=folder, port=free_port(), health_port=free_port(), server=None, gateway=None)
        text = other.settings.read_text().replace(str(self.folder), str(folder))
        for was, becomes in ((self.port, other.port), (self.health_port, other.health_port)):
            text = text.replace(f"port = {was}\n", f"port = {becomes}\n")
        other.settings.write_text(text)
        return other

    def let_gateway_in(self, *, users: str = "all", passive_alone: bool = True) -> None:
        """Register the site's gateway and let it in, before the server is started."""
        done = subprocess.run(  # noqa: S603 - our own command
            [command("4auth-gateway"), "identity", "--json", "--settings", str(self.gateway_settings)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(f"4auth-gateway identity: {done.stderr.strip()}")
        identity = json.loads(done.stdout)
        self.provision("kiosk", "add", identity["kiosk_id"], "--gateway", "--public-key", identity["public_key"])
        section = {"gateway": {"enabled": True, "users": users, "passive_alone": passive_alone, "recoveries": True}}
        with self.settings.open("a") as settings:
            settings.write(toml(section))

    def start_gateway(self) -> float:
        """Start `4auth-gateway`. Returns the seconds until it had reached the server. Raises CommandFailed."""
        arguments = [command("4auth-gateway"), "--settings", str(self.gateway_settings)]
        self.gateway = _started(arguments, self.gateway_log)
        return _wait_until_ready(self.gateway, "4auth-gateway", self.gateway_health_port, self.gateway_log)

    def stop_gateway(self) -> int:
        """End the gateway by SIGTERM and return its exit code."""
        code = 0
        if self.gateway is not None and self.gateway.poll() is None:
            self.gateway.terminate()
            code = self.gateway.wait(timeout=60)
        self.gateway = None
        return code

    def stop_server(self) -> None:
        """End the server as an operator would, by SIGTERM."""
        if self.server is not None and self.server.poll() is None:
            self.server.terminate()
            self.server.wait(timeout=60)
        self.server = None

    def kill_server(self) -> None:
        """End the server and its workers at once, as a power cut would."""
        if self.server is not None and self.server.poll() is None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait(timeout=60)
        self.server = None

    def kiosk_settings(self, kiosk_id: str, **changes: Any) -> Path:
        """Write the settings file of a kiosk on this machine; `changes` replace or add members."""
        folder = self.folder / kiosk_id
        folder.mkdir(exist_ok=True)
        server = {"url": self.url, "pins": [self.pin]}
        members = {
            "kiosk_id": kiosk_id,
            "site": self.name,
            "environment": "development",
            "key_file": str(folder / "key" / "device.pem"),
            "interface": "lo",
            "server": server,
            **changes,
        }
        path = folder / f"{len(list(folder.glob('*.toml')))}.toml"
        path.write_text(toml(members))
        return path

    def register(self, kiosk_id: str, settings: Path) -> None:
        """Let a kiosk make its key, and register the public half."""
        identity = self.kiosk_identity(settings)
        self.provision("kiosk", "add", kiosk_id, "--public-key", identity["public_key"], "--mac", identity["mac"])

    def kiosk_identity(self, settings: Path) -> dict[str, Any]:
        """What `4auth-kiosk identity` tells."""
        done = subprocess.run(  # noqa: S603 - our own command
            [command("4auth-kiosk"), "--settings", str(settings), "identity", "--json"],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed(f"4auth-kiosk identity: {done.stderr.strip()}")
        return dict(json.loads(done.stdout))

    def audit_rows(self, limit: int = 1) -> list[dict[str, Any]]:
        """The newest audit rows, newest first."""
        return list(self.provision("audit", "list", "--limit", str(limit))["rows"])


def _started(arguments: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("ab") as written:
        return subprocess.Popen(  # noqa: S603 - our own command
            arguments, stdout=written, stderr=written, start_new_session=True
        )


def _wait_until_ready(process: subprocess.Popen[bytes], name: str, health_port: int, log: Path) -> float:
    started = time.monotonic()
    while not _is_ready(health_port):
        if process.poll() is not None:
            raise CommandFailed(f"{name} ended with {process.returncode}: {_tail(log)}")
        if time.monotonic() - started > READY_WITHIN_S:
            raise CommandFailed(f"{name} was not ready in {READY_WITHIN_S:.0f} s: {_tail(log)}")
        time.sleep(0.02)
    return time.monotonic() - started


def _is_ready(health_port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{health_port}/readyz", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _tail(log: Path) -> str:
    """The last lines that a program wrote."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-8:])
