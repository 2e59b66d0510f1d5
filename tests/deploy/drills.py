"""A fault drill: what the kiosk says while something is wrong, how soon it is back, and that all is well afterwards."""

import json
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

from tests.deploy.controller import Controller
from tests.deploy.lab import KIOSK, SERVER, Host, Lab
from tests.deploy.people import PASSWORD, Person

IN_DRILLS: Final = pytest.mark.skipif("FOURAUTH_DRILLS" not in os.environ, reason="`make drills` runs it")
"""On what takes too long for every run."""

GRANTED: Final = "[+] Welcome, ada: Access granted. The door is open."
OUT_OF_SERVICE: Final = "[!] Out of service: "
AT_REST: Final = "[ ] Welcome: "
OPENED: Final = '"door_opened"'
KIOSK_SETTINGS: Final = "/etc/4auth/kiosk.toml"

_LOOK_EVERY_S: Final = 0.25
_SIX_DIGITS: Final = re.compile(r"(?<!\d)\d{6}(?!\d)")
_PAGES: Final = """
from pathlib import Path
from auth_server.bootstrap import load_settings
from auth_server.keyring import Keyring
from auth_server.store.backup import page_findings
store = load_settings(Path("/etc/4auth/server.toml")).store
found = page_findings(store.database, Keyring.load(store.keys).database_keys[0])
raise SystemExit(0 if not found else "; ".join(found))
"""

_READY: Final = """
import sys, urllib.error, urllib.request
try:
    print(urllib.request.urlopen(f"http://127.0.0.1:{sys.argv[1]}/readyz").read().decode())
except urllib.error.HTTPError as error:
    print(error.read().decode())
"""


@dataclass(frozen=True)
class Line:
    """What a host's journal has of a moment, in seconds of the epoch."""

    at: float
    text: str


def journal(lab: Lab, host: Host, since: float, *options: str) -> list[Line]:
    """A host's journal from a moment on, read from its disk: so also while it is off, or off the net."""
    words = ["journalctl", f"--directory={lab.root(host)}/var/log/journal", f"--since=@{since:.6f}", "--all", "-q"]
    done = subprocess.run([*words, "--output=json", *options], capture_output=True, text=True, check=True, timeout=30)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [Line(int(row["__REALTIME_TIMESTAMP"]) / 1e6, str(row.get("MESSAGE"))) for row in rows]


def wait_until(is_so: Callable[[], Any], what: str, within_s: float = 60.0) -> Any:
    """Wait for what `is_so` returns to be true, and return it. Raises AssertionError."""
    ends = time.monotonic() + within_s
    while not (found := is_so()):
        assert time.monotonic() < ends, f"waited {within_s:.0f} s for {what}"
        time.sleep(_LOOK_EVERY_S)
    return found


@dataclass
class Drill:
    """One fault of a site. `tell` takes the figures that were measured, by name."""

    site: Controller
    ada: Person
    tell: Callable[[str, object], None]
    began: float = field(default_factory=time.time)

    def kiosk_said(self, since: float | None = None) -> list[Line]:
        """The lines of the kiosk's screen and log, of this drill or from a moment in it."""
        return journal(self.site.lab, KIOSK, self.began if since is None else since, "--unit=4auth-kiosk")

    def wait_for(self, text: str, since: float | None = None, within_s: float = 60.0) -> Line:
        """Wait until the kiosk says this, and return the first such line."""

        def found() -> Line | None:
            return next((line for line in self.kiosk_said(since) if text in line.text), None)

        line: Line = wait_until(found, f"the kiosk to say {text!r}", within_s)
        return line

    def is_shut_with(self, why: str, since: float | None = None, within_s: float = 60.0) -> Line:
        """Wait until the kiosk is out of service for this reason, and tell how long that took."""
        line = self.wait_for(f"{OUT_OF_SERVICE}{why}", since, within_s)
        self.tell("shown_after_s", round(line.at - (self.began if since is None else since), 1))
        return line

    def is_back(self, since: float, within_s: float = 60.0) -> float:
        """Wait until the kiosk serves by itself, and return and tell how many seconds after `since`."""
        up = self.wait_for('"server_up"', since, within_s)
        line = self.wait_for(AT_REST, up.at - 1, within_s)
        took_s = round(max(up.at, line.at) - since, 1)
        self.tell("recovered_s", took_s)
        return took_s

    def types_in_vain(self) -> None:
        """Somebody types a name and Enter, as at a kiosk that serves."""
        self.ada.press({"text": self.ada.name}, {"text": PASSWORD})

    def door_stayed_shut(self) -> None:
        """Nobody was let in since the drill began, nor asked for anything."""
        began = (OPENED, "[ ] Your name", "[ ] Your password")
        assert not [line for line in self.kiosk_said() if any(one in line.text for one in began)]

    def kiosk_faults(self) -> dict[str, str]:
        """What the kiosk itself says that it lacks."""
        return self._faults(KIOSK, 9465)

    def server_faults(self) -> dict[str, str]:
        """What the server itself says that it lacks."""
        return self._faults(SERVER, 9464)

    def _faults(self, host: Host, port: int) -> dict[str, str]:
        told = self.site.lab.ssh(host, f"python3 - {port}", text=_READY)
        return dict(json.loads(told)["faults"])

    def rows_since(self, row: int) -> list[dict[str, Any]]:
        """The rows of the audit log after one, the newest first."""
        rows = self.site.provision("audit", "list", "--limit", "500")["rows"]
        return [one for one in rows if one["id"] > row]

    def newest_row(self) -> int:
        """The number of the audit log's newest row."""
        return int(self.site.provision("audit", "list", "--limit", "1")["rows"][0]["id"])

    def all_is_well(self) -> None:
        """A login is granted, the log is whole, the database too, and nobody's secret was shown or logged."""
        assert self.ada.log_in().startswith(GRANTED)
        assert self.site.provision("audit", "verify")["ok"]
        self.site.lab.ssh(SERVER, "/opt/4auth/current/bin/python -", text=_PAGES)
        secrets = (PASSWORD, self.ada.phone.secret)
        for host in self.site.lab.hosts:
            for line in journal(self.site.lab, host, self.began):
                assert not any(secret in line.text for secret in secrets), f"a secret in {host.name}'s journal"
        for line in self.kiosk_said():
            assert not (line.text.startswith("[") and _SIX_DIGITS.search(line.text)), line.text


@contextmanager
def kiosk_settings(lab: Lab, was: str, becomes: str) -> Iterator[None]:
    """Let the kiosk take settings in which the pattern `was` is changed, and afterwards those of before."""
    before = lab.ssh(KIOSK, "cat", KIOSK_SETTINGS)
    after, count = re.subn(was, becomes, before, flags=re.MULTILINE | re.DOTALL)
    assert count == 1, f"kiosk.toml has {was!r} {count} times"
    try:
        take_settings(lab, after)
        yield
    finally:
        take_settings(lab, before)


def take_settings(lab: Lab, text: str) -> None:
    """Write the kiosk's settings, and start the agent anew."""
    lab.ssh(KIOSK, f"cat > {KIOSK_SETTINGS} && systemctl restart 4auth-kiosk", text=text)


@contextmanager
def drop_in(lab: Lab, text: str) -> Iterator[None]:
    """Run the kiosk's agent with more lines of `[Service]`, and afterwards without them."""
    folder = "/etc/systemd/system/4auth-kiosk.service.d"
    lab.ssh(KIOSK, f"mkdir -p {folder} && cat > {folder}/drill.conf", text=f"[Service]\n{text}")
    lab.ssh(KIOSK, "systemctl daemon-reload && systemctl restart 4auth-kiosk")
    try:
        yield
    finally:
        lab.ssh(KIOSK, f"rm {folder}/drill.conf && systemctl daemon-reload && systemctl restart 4auth-kiosk")


def compile_library(source: Path, to: Path) -> None:
    """Compile a shared library of one C file, for a host that has no compiler."""
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", "-o", to, source], check=True, timeout=60)
