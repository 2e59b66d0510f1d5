"""A crowd that logs in at the lab's kiosk while something else is done, and what came of each login."""

import json
import statistics
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from demo.phone import Phone
from tests.deploy.controller import PERSON, Controller
from tests.deploy.lab import KIOSK, SERVER
from tests.deploy.people import PASSWORD, Person

_HERE = Path(__file__).parent
_FOLDER = "/srv/lab"
_COUNT = 60
_PYTHON = "$(readlink -f /opt/4auth/current)/bin/python"
"""The release's of now by its own name: an upgrade changes what the link leads to."""


@dataclass
class Logins:
    """What came of logins: assertions that were granted and proved, what was said of others, and when those began.

    `took_s` has the seconds of each.
    """

    granted: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    took_s: list[float] = field(default_factory=list)
    failed_at: list[float] = field(default_factory=list)

    @property
    def slowest_s(self) -> float:
        """How long the slowest took, on a machine on which a login usually takes a second: on two idle cores."""
        return max(self.took_s) / max(1.0, statistics.median(self.took_s))

    @property
    def window_s(self) -> float:
        """Between the first that failed and the last, by when they began; 0 where none or one did."""
        return max(self.failed_at, default=0.0) - min(self.failed_at, default=0.0)

    def note(self, line: str) -> None:
        """Take one line of `load.py`."""
        said = json.loads(line)
        self.took_s.append(said["took_s"])
        if "granted" in said:
            self.granted.append(said["granted"])
        else:
            self.failed_at.append(said["began"])
            self.failed.append(f"{said['name']} at {said['began']:.0f} after {said['took_s']} s: {said['failed']}")


@dataclass(frozen=True)
class Crowd:
    """People enough for a login each second, each of whom may also type at the kiosk."""

    operator: Controller
    people: tuple[Person, ...]

    @contextmanager
    def logging_in(self) -> Iterator[Logins]:
        """Log in once a second until this ends; the logins under way are waited for."""
        lab = self.operator.lab
        command = f"ORT_DISABLE_TELEMETRY=1 {_PYTHON} {_FOLDER}/load.py {_FOLDER}"
        seen = Logins()
        words = lab.inside_words(*lab.ssh_words(KIOSK), command)
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as load:
            try:
                yield seen
            finally:
                said, wrong = load.communicate(timeout=180)
        for line in said.splitlines():
            seen.note(line)
        assert load.returncode == 0, wrong[-2000:]


def gather(operator: Controller) -> Crowd:
    """Enrol a crowd that looks like whoever stands before the kiosk, with ada's pictures on the server's host."""
    lab = operator.lab
    for host, name in ((SERVER, "crowd.py"), (KIOSK, "load.py")):
        lab.send(host, f"mkdir -p {_FOLDER} && cat > {_FOLDER}/{name}", (_HERE / name).read_bytes())
    mac = lab.ssh(KIOSK, "cat /sys/class/net/host0/address").strip()
    words = f"{_COUNT} {mac} '{PASSWORD}' {_FOLDER}/ada"
    people = json.loads(lab.ssh(SERVER, f"ORT_DISABLE_TELEMETRY=1 {_PYTHON} {_FOLDER}/crowd.py {words}"))
    told = {"people": people, "password": PASSWORD, "seen": PERSON}
    lab.send(KIOSK, f"cat > {_FOLDER}/crowd.json", json.dumps(told).encode())
    phones = (f"otpauth://totp/lab:{name}?secret={secret}" for name, secret in people)
    return Crowd(operator, tuple(Person(lab, name, Phone(uri)) for (name, _), uri in zip(people, phones, strict=True)))
