"""Twenty people who log in while something happens to the server, and what the server wrote down of them."""

import json
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from tests.deploy.controller import PERSON, Controller
from tests.deploy.lab import KIOSK, SERVER
from tests.deploy.people import PASSWORD

HERE: Final = Path(__file__).parent
AT_ONCE: Final = 4
_PYTHON: Final = "/opt/4auth/current/bin/python"
_FOLDER: Final = "/srv/lab/burst"

People = Sequence[Sequence[str]]
"""A name and a TOTP secret each."""


def enrol_crowd(site: Controller, count: int, poses: str) -> People:
    """Put people into the store, who all look as the one whose pictures lie in the server's folder `poses`."""
    mac = site.lab.ssh(KIOSK, "cat /sys/class/net/host0/address").strip()
    site.lab.send(KIOSK, f"install -D -m 644 /dev/stdin {_FOLDER}/burst.py", (HERE / "burst.py").read_bytes())
    words = f"{_PYTHON} - {count} {mac} '{PASSWORD}' {poses}"
    people: People = json.loads(site.lab.ssh(SERVER, words, text=(HERE / "crowd.py").read_text()))
    return people


@dataclass
class Burst:
    """Logins under way, each person's until it is granted."""

    process: "subprocess.Popen[bytes]"
    told: Path

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """What came of each try so far."""
        whole = self.told.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def granted(self) -> list[dict[str, Any]]:
        """The logins that the kiosk was told are granted."""
        return [outcome for outcome in self.outcomes if "granted" in outcome]

    @property
    def refused(self) -> list[dict[str, Any]]:
        """The tries that were not granted, with a reason."""
        return [outcome for outcome in self.outcomes if "granted" not in outcome]

    def away_s(self, since: float) -> float:
        """The longest time without a grant after a moment."""
        at = [since, *sorted(one["at"] for one in self.granted if one["at"] > since)]
        return max(later - earlier for earlier, later in pairwise(at))

    def end(self, within_s: float) -> None:
        """Wait until everybody was let in, or the time is over."""
        assert self.process.wait(within_s) == 0, self.told.read_text()[-2000:]


def begin_burst(site: Controller, people: People, into: Path, within_s: float) -> Burst:
    """Let people log in through the kiosk's host, some at once."""
    told = {"people": people, "password": PASSWORD, "seen": PERSON, "at_once": AT_ONCE, "within_s": within_s}
    site.lab.ssh(KIOSK, f"install -m 600 /dev/stdin {_FOLDER}/burst.json", text=json.dumps(told))
    path = into / f"burst-{time.time():.0f}"
    return Burst(site.lab.begin(KIOSK, f"{_PYTHON} {_FOLDER}/burst.py {_FOLDER}", path), path)
