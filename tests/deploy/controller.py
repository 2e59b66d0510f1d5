"""The operator's machine: an inventory, and `ansible-playbook` in the lab's network."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auth_contract.actions import Movement
from tests.deploy.lab import CONTROLLER, KIOSK, SERVER, Lab

SITE = "lab"
PERSON = "/srv/lab/person"
KEYS = "/srv/lab/keys"
"""A pipe on the kiosk, through which its scripted keypad is typed on."""

_RECAP = re.compile(r"^(\S+)\s+: ok=(\d+)\s+changed=(\d+)\s+unreachable=(\d+)\s+failed=(\d+)", re.MULTILINE)
_TARGET = "debian-12-x86_64"


def prepare(project: Path, models: Path) -> None:
    """Install Ansible and fill the wheelhouse, both from caches where these are warm."""
    subprocess.run([project / "scripts" / "deploy_venv.sh"], check=True)
    wheelhouse = [sys.executable, "-m", "scripts.wheelhouse", "--models", str(models), _TARGET]
    subprocess.run(wheelhouse, check=True, cwd=project, env={**os.environ, "PYTHONPATH": str(project)})


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
        self.inventory.parent.mkdir(exist_ok=True)
        common = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.lab.key),
            "ansible_ssh_common_args": "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null",
            # Nobody answers there: the hosts share this machine's clock.
            "base_time_sources": [CONTROLLER, "10.77.0.2"],
            "base_ssh_from": [f"{CONTROLLER}/32"],
            **changes,
        }
        server = {
            "ansible_host": SERVER.address,
            "auth_server_site": SITE,
            "base_allow": [{"what": "kiosks", "port": 8443, "from": ["10.77.0.0/24"]}],
        }
        groups = {"servers": {"hosts": {SERVER.name: server}}, "kiosks": {"hosts": {KIOSK.name: _kiosk()}}}
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
            raise PlayFailed(str(error)[-3000:]) from None
        return Run({host: int(changed) for host, _, changed, _, _ in _RECAP.findall(said)}, said)

    def provision(self, *words: str) -> dict[str, Any]:
        """Run `4auth-provision` on the server and return its JSON."""
        said = self.lab.ssh(SERVER, "/opt/4auth/current/bin/4auth-provision", "--json", *words)
        return dict(json.loads(said))


def _kiosk() -> dict[str, Any]:
    """A kiosk without hardware: a person from a folder, keys from a pipe, a screen of lines in the journal."""
    acts = {movement.value: [f"{PERSON}/{movement.value}"] for movement in Movement}
    settings = {
        "environment": "development",
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
