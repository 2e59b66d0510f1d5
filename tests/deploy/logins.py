"""A crowd that logs in at the lab's kiosk while something else happens, and what came of each login."""

import json
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import pytest

from demo.phone import Phone
from tests.deploy.controller import PERSON, Controller
from tests.deploy.lab import KIOSK, SERVER
from tests.deploy.people import PASSWORD, Person

AT_ONCE: Final = 6
"""As many as one worker of the server takes, so that nobody is told to come back for want of a place."""

KIOSKS_PATIENCE_S: Final = 20.0
"""For which a kiosk waits for a reply: what waits longer is refused by the kiosk itself."""

_LONG_S: Final = 60.0
"""So that what is late and what is refused can be told apart."""

_USUAL_S: Final = 2.0
"""What a login takes at most on two idle cores."""

_HERE: Final = Path(__file__).parent
_FOLDER: Final = "/srv/lab/crowd"
_PYTHON: Final = "ORT_DISABLE_TELEMETRY=1 $(readlink -f /opt/4auth/current)/bin/python"
"""The release's of now by its own name: an upgrade changes what the link leads to."""


@dataclass(frozen=True)
class Logins:
    """What came of logins so far, as `load.py` wrote it down on this side."""

    process: "subprocess.Popen[bytes]"
    told: Path

    @property
    def outcomes(self) -> list[dict[str, Any]]:
        """What came of each try: `name`, `began`, `took_s`, and `granted` or `reason` with `message`."""
        whole = self.told.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]

    @property
    def granted(self) -> list[dict[str, Any]]:
        """Those of which the kiosk was told that they are granted, with a proof."""
        return [outcome for outcome in self.outcomes if "granted" in outcome]

    @property
    def refused(self) -> list[dict[str, Any]]:
        """All others, with a reason."""
        return [outcome for outcome in self.outcomes if "granted" not in outcome]

    @property
    def slowest_s(self) -> float:
        """How long the slowest took. Ask it last: it skips where the machine is too slow for that to say anything."""
        took = [outcome["took_s"] for outcome in self.outcomes]
        if statistics.median(took) > _USUAL_S:
            pytest.skip(
                f"half of all logins took {statistics.median(took)} s or more: too busy a machine to judge waits"
            )
        return float(max(took))

    @property
    def window_s(self) -> float:
        """Between the first that was refused and the last, by when they began; 0 where none or one was."""
        began = [outcome["began"] for outcome in self.refused]
        return max(began, default=0.0) - min(began, default=0.0)

    def away_s(self, since: float) -> float:
        """The longest time without a grant after a moment."""
        ends = [outcome["began"] + outcome["took_s"] for outcome in self.granted]
        return max(later - earlier for earlier, later in pairwise([since, *sorted(end for end in ends if end > since)]))

    def end(self, within_s: float) -> None:
        """Let nobody more begin, and wait for those who did."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        assert self.process.wait(within_s) == 0, self.told.read_text()[-2000:]


@dataclass(frozen=True)
class Crowd:
    """People, each of whom may also type at the kiosk."""

    site: Controller
    people: tuple[Person, ...]

    @contextmanager
    def logging_in(self, into: Path) -> Iterator[Logins]:
        """Log in once a second until this ends; the logins under way are waited for."""
        seen = self._begin(into, patience_s=_LONG_S, within_s=None)
        try:
            yield seen
        finally:
            seen.end(within_s=180)

    def all_log_in(self, into: Path, within_s: float) -> Logins:
        """Let each log in, again and again until they are let in."""
        return self._begin(into, patience_s=KIOSKS_PATIENCE_S, within_s=within_s)

    def _begin(self, into: Path, **told: float | None) -> Logins:
        people = [(person.name, person.phone.secret) for person in self.people]
        plan = json.dumps({"people": people, "password": PASSWORD, "seen": PERSON, "at_once": AT_ONCE, **told})
        self.site.lab.ssh(KIOSK, f"install -D -m 600 /dev/stdin {_FOLDER}/load.json", text=plan)
        path = into / f"logins-{time.time():.0f}"
        return Logins(self.site.lab.begin(KIOSK, f"{_PYTHON} {_FOLDER}/load.py {_FOLDER}", path), path)


def gather(site: Controller, count: int, poses: str) -> Crowd:
    """Enrol people who all look as the one whose pictures lie in the server's folder `poses`."""
    lab = site.lab
    for host, name in ((SERVER, "crowd.py"), (KIOSK, "load.py")):
        lab.send(host, f"install -D -m 644 /dev/stdin {_FOLDER}/{name}", (_HERE / name).read_bytes())
    mac = lab.ssh(KIOSK, "cat /sys/class/net/host0/address").strip()
    made = json.loads(lab.ssh(SERVER, f"{_PYTHON} {_FOLDER}/crowd.py {count} {mac} '{PASSWORD}' {poses}"))
    phones = ((name, Phone(f"otpauth://totp/lab:{name}?secret={secret}")) for name, secret in made)
    return Crowd(site, tuple(Person(lab, name, phone) for name, phone in phones))
