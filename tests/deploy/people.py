"""A person before a kiosk of the lab: pictures for its camera, keys through a pipe, and what its screen then says."""

import json
import shlex
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from demo.phone import Phone
from demo.pictures import Pictures, poses
from tests.deploy.controller import KEYS, PERSON, Controller
from tests.deploy.lab import KIOSK, SERVER, Host, Lab

PASSWORD = "Lovelace 1815"
_RESULT_WITHIN_S = 60.0
WAIT_UNTIL_READY = """
import time, urllib.request
for _ in range(90):
    try:
        urllib.request.urlopen("http://127.0.0.1:9465/readyz")
        break
    except OSError:
        time.sleep(1)
else:
    raise SystemExit("the kiosk is out of service")
"""
_RESULTS = ("[+]", "[!]")
"""How the screen's lines begin that end a session: let in, or not."""
_ENDED = "Stopped 4auth-kiosk.service"


def stand_before_the_kiosk(lab: Lab, person: Path) -> None:
    """Put a person before the kiosk's camera, and somebody's hand on its keypad, which is held open over restarts."""
    bring(lab, KIOSK, person, PERSON)
    unit = "[Service]\nExecStartPre=/bin/sh -c 'test -p {0} || mkfifo -m 0644 {0}'\n"
    unit += "ExecStart=/bin/sh -c 'exec 3<>{0}; exec sleep infinity'\n[Install]\nWantedBy=multi-user.target\n"
    lab.ssh(KIOSK, "cat > /etc/systemd/system/lab-keypad.service", text=unit.format(KEYS))
    lab.ssh(KIOSK, "systemctl enable --quiet --now lab-keypad.service")


def bring(lab: Lab, host: Host, folder: Path, to: str) -> None:
    """Copy a folder's files to a host, for everybody to read."""
    packed = subprocess.run(["tar", "-C", folder, "-czf", "-", "."], check=True, capture_output=True).stdout
    receive = f"mkdir -p {to} && tar -C {to} -xzf - && chmod -R a+rX {Path(to).parent}"
    lab.send(host, receive, packed)


@dataclass
class Person:
    """Somebody enrolled, with a phone."""

    lab: Lab
    name: str
    phone: Phone

    def log_in(self) -> str:
        """Type a session at the kiosk, and return the line of its screen that tells how it ended.

        Whoever types in the second in which the agent is started anew types again.
        """
        return self._typed() or self._typed() or "[!] The agent was started anew twice."

    def _typed(self) -> str | None:
        self.lab.ssh(KIOSK, "python3 -", text=WAIT_UNTIL_READY)
        told = self.lab.ssh(KIOSK, "journalctl -u 4auth-kiosk -n 1 --show-cursor -q -o cat")
        since = told.rpartition("cursor: ")[2].strip()
        self.press(
            {"step": "attract", "text": self.name},
            {"step": "password", "text": PASSWORD},
            {"step": "code", "text": self.phone.code()},
        )
        ends = time.monotonic() + _RESULT_WITHIN_S
        while time.monotonic() < ends:
            for line in said(self.lab, f"--after-cursor={shlex.quote(since)}"):
                if line.startswith(_RESULTS):
                    return line
                if line.startswith(_ENDED):
                    return None
            time.sleep(0.5)
        raise AssertionError(f"the kiosk showed no result in {_RESULT_WITHIN_S:.0f} s: {list(said(self.lab))[-8:]}")

    def press(self, *lines: dict[str, object]) -> None:
        """Type lines of a keypad's script."""
        self.lab.ssh(KIOSK, f"cat > {KEYS}", text="".join(f"{json.dumps(line)}\n" for line in lines))


def said(lab: Lab, *options: str) -> Iterable[str]:
    """The lines of the kiosk's agent, screen and log alike."""
    return lab.ssh(KIOSK, "journalctl -u 4auth-kiosk -o cat --no-pager -q", *options).splitlines()


def enrol(operator: Controller, name: str, pictures: Pictures) -> Person:
    """Enrol somebody on the server, from the pictures of an enrolment."""
    bring(operator.lab, SERVER, poses(pictures)[0].parent, f"/srv/lab/{name}")
    operator.lab.ssh(SERVER, "install -m 600 /dev/stdin /root/password", text=PASSWORD)
    shown = [word for pose in poses(pictures) for word in ("--picture", f"/srv/lab/{name}/{pose.name}")]
    words = ("--password-file", "/root/password", "--show-uri", "--vouched", "--kiosk", KIOSK.name)
    added = operator.provision("user", "add", name, *words, *shown)
    return Person(operator.lab, name, Phone(str(added["provisioning_uri"])))
