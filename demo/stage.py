"""What the demo's cases play with: the site, its main kiosk, and Ada."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp

from demo.kiosk import Entry, Kiosk, backends
from demo.newcomer import Newcomer
from demo.pictures import Pictures
from demo.puppet import Puppet
from demo.site import Site

PASSWORD = "Lovelace 1815"  # noqa: S105 - of a made-up account on a throw-away site
MACS = {"kiosk-1": "02:00:5e:10:00:01", "kiosk-2": "02:00:5e:10:00:02", "kiosk-9": "02:00:5e:10:00:09"}
_STEP_S = 30


@dataclass
class Stage:
    """All that the cases play with: the site, its main kiosk, the person's code generator."""

    site: Site
    pictures: Pictures
    kiosk: Kiosk
    totp: pyotp.TOTP
    puppet: Puppet
    last_step: int = 0
    last_code: str = ""
    last_row: int = 0
    newcomer: Newcomer | None = None

    def newest_attempt(self) -> dict[str, Any] | None:
        """The audit row of what was just tried, or None where nothing was; kiosks' signs of life do not count."""
        rows = self.site.audit_rows(limit=20)
        new = [row for row in rows if row["id"] > self.last_row and row["action"] != "heartbeat"]
        self.last_row = rows[0]["id"]
        return new[0] if new else None

    def fresh_code(self) -> str:
        """A code that was not used; where the next one is needed early, wait for its time."""
        step = max(int(time.time()) // _STEP_S, self.last_step + 1)
        while step > int(time.time()) // _STEP_S + 1:
            time.sleep(0.5)
        return self.totp.at(step * _STEP_S)

    def used(self, code: str) -> None:
        """Note that the server has granted this code."""
        now = int(time.time()) // _STEP_S
        self.last_step = next(step for step in range(now - 2, now + 3) if self.totp.at(step * _STEP_S) == code)
        self.last_code = code

    def enter(self, *, person: Path | None = None, password: str = PASSWORD, code: str | None = None) -> str:
        """One session at the main kiosk; what it answers."""
        self.kiosk.show(person or self.pictures.ada)
        return self.kiosk.enter(Entry("Ada", password, code or self.fresh_code()))

    def replay_camera(self) -> dict[str, Any]:
        """A camera that sees Ada."""
        self.kiosk.show(self.pictures.ada)
        return dict(backends(self.kiosk.scene)["camera"])

    def elsewhere(self, kiosk_id: str, person: Path | None = None, **settings: Any) -> str:
        """One session at an agent with other settings; what it answers."""
        kiosk = Kiosk(self.site, kiosk_id, **{"mac_override": MACS[kiosk_id], **settings})
        kiosk.show(person or self.pictures.ada)
        try:
            return kiosk.enter(Entry("Ada", PASSWORD, self.fresh_code()))
        finally:
            kiosk.stop()


def secret_of(uri: str) -> str:
    """The TOTP secret in a provisioning URI."""
    return parse_qs(urlsplit(uri).query)["secret"][0]
