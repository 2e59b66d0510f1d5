"""The operator's machine: an inventory, and `ansible-playbook` in the lab's network."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from auth_contract.actions import Movement
from tests.deploy.debian import NUMBERS, SUITE
from tests.deploy.lab import CONTROLLER, KIOSK, OLD_CLIENT, SERVER, Host, Lab

SITE = "lab"
PERSON = "/srv/lab/person"
KEYS = "/srv/lab/keys"
"""A pipe on the kiosk, through which its scripted keypad is typed on."""

_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
_TARGET = f"debian-{NUMBERS[SUITE]}-x86_64"


@dataclass(frozen=True)
class Change:
    """An edit of a source file, `was` to `becomes`, by which a build differs from this checkout."""

    path: str
    was: str
    becomes: str


def prepare(project: Path, models: Path) -> None:
    """Install Ansible and fill the wheelhouse, both from caches where these are warm."""
    subprocess.run([project / "scripts" / "deploy_venv.sh"], check=True)
    wheelhouse = [sys.executable, "-m", "scripts.wheelhouse", "--models", str(models), _TARGET]
    subprocess.run(wheelhouse, check=True, cwd=project, env={**os.environ, "PYTHONPATH": str(project)})


def build(project: Path, folder: Path, version: str, *changes: Change) -> Path:
    """Make a wheelhouse in `folder` whose 4Auth is of another version, and changed; all else is this checkout's."""
    source, house = folder / "source", folder / "wheelhouse"
    keep = shutil.ignore_patterns("__pycache__", ".*", "tests", "docs")
    shutil.copytree(project, source, ignore=keep)
    targets = {path.name for path in (project / ".cache" / "wheelhouse").glob("debian-*")}
    others = shutil.ignore_patterns("own", "*.tar", *(targets - {_TARGET}))
    # What is written anew is copied: through a link it would change in this checkout's wheelhouse.
    shutil.copytree(project / ".cache" / "wheelhouse", house, ignore=others, copy_function=_link_wheels)
    os.link(project / ".cache" / "wheelhouse" / "models.tar", house / "models.tar")
    was = f'version = "{metadata.version("fourauth")}"'
    for change in (Change("pyproject.toml", was, f'version = "{version}"'), *changes):
        text = (source / change.path).read_text()
        if change.was not in text:
            raise LookupError(f"{change.path} has no {change.was!r}")
        (source / change.path).write_text(text.replace(change.was, change.becomes, 1))
    wheelhouse = [sys.executable, "-m", "scripts.wheelhouse", "--folder", str(house), _TARGET]
    subprocess.run(wheelhouse, check=True, cwd=source, env={**os.environ, "PYTHONPATH": str(source)})
    return house


def _link_wheels(source: str, to: str) -> None:
    (os.link if source.endswith(".whl") else shutil.copy2)(source, to)


class PlayFailed(Exception):
    """A playbook ended with a failure; the message is the end of what it said."""


@dataclass(frozen=True)
class Run:
    """What a playbook did: `changed` by host, and all that it printed."""

    changed: Mapping[str, int]
    said: str


@dataclass(frozen=True)
class Controller:
    """Runs playbooks of `project` on the hosts of a lab."""

    project: Path
    lab: Lab

    @property
    def inventory(self) -> Path:
        """The lab's inventory. JSON is YAML too."""
        return self.lab.folder / "inventory" / "hosts.json"

    def write_inventory(self, **changes: Any) -> None:
        """Write the inventory; `changes` are variables for all hosts, laid over the lab's."""
        server = {
            "ansible_host": SERVER.address,
            "auth_server_site": SITE,
            # A whole crowd logs in from one kiosk's address.
            "auth_server_connections_per_address": 60,
            "auth_server_gateway": True,
            "auth_server_gateway_users": ["ada"],
            "auth_server_settings": changes.get("auth_server_settings", {"gateway": {"passive_alone": True}}),
            "base_allow": [
                {"what": "kiosks", "port": 8443, "from": ["10.77.0.0/24"]},
                {"what": "old clients", "port": 65432, "from": [f"{OLD_CLIENT}/32"]},
            ],
        }
        groups = {"servers": {"hosts": {SERVER.name: server}}, "kiosks": {"hosts": {KIOSK.name: kiosk_variables()}}}
        self.write_groups(groups, **changes)

    def write_groups(self, groups: Mapping[str, Any], **changes: Any) -> None:
        """Write an inventory of these groups; `changes` are variables for all hosts, laid over the lab's."""
        self.inventory.parent.mkdir(exist_ok=True)
        common = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.lab.key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            # Nobody answers there: the hosts share this machine's clock.
            "base_time_sources": [CONTROLLER, "10.77.0.2"],
            "base_ssh_from": [f"{CONTROLLER}/32"],
            "vault_backup_passphrase": "only the lab knows this",
            **changes,
        }
        self.inventory.write_text(json.dumps({"all": {"vars": common, "children": groups}}, indent=1))

    def play(self, name: str, *options: str, timeout_s: float = 600) -> Run:
        """Run a playbook. Raises PlayFailed with its last words."""
        program = self.project / ".cache" / "deploy" / "venv" / "bin" / "ansible-playbook"
        command = [str(program), "-i", str(self.inventory), str(self.project / "ansible" / name), *options]
        environment = {
            "HOME": str(self.lab.folder),
            "ANSIBLE_CONFIG": str(self.project / "ansible" / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
        }
        try:
            said = self.lab.inside(*command, env=environment, timeout_s=timeout_s)
        except RuntimeError as error:
            raise PlayFailed(" ".join(str(error).split())) from None  # its lines break where they like
        return Run({host: int(changed) for host, _, changed, _, _ in _RECAP.findall(said)}, said)

    def release(self, host: Host) -> str:
        """The name of the release that is in force on a host."""
        return self.lab.ssh(host, "readlink /opt/4auth/current").strip().removeprefix("releases/")

    def provision(self, *words: str, on: Host = SERVER) -> dict[str, Any]:
        """Run `4auth-provision` on a server and return its JSON."""
        said = self.lab.ssh(on, "/opt/4auth/current/bin/4auth-provision", "--json", *words)
        return dict(json.loads(said))


def kiosk_variables() -> dict[str, Any]:
    """A kiosk without hardware: a person from a folder, keys from a pipe, a screen of lines in the journal."""
    acts = {movement.value: [f"{PERSON}/{movement.value}"] for movement in Movement}
    settings = {
        "environment": "development",
        "server": {"heartbeat_s": 5},
        "camera": {"kind": "replay", "sources": [f"{PERSON}/rest"], "acts": acts},
        "keypad": {"kind": "scripted", "script": KEYS},
        "capture": {"patience_s": 2.0, "movement_s": 2.0, "movement_interval_s": 0.08},
        "session": {"result_s": 1.0, "capture_again_s": 5.0},
    }
    return {
        "ansible_host": KIOSK.address,
        "kiosk_server": SERVER.name,
        "kiosk_interface": "host0",
        "kiosk_has_screen": False,
        "kiosk_settings": settings,
    }
