"""What years of use cost a log in: a new site and one with 100,000 people and 1,000,000 rows, side by side.

The two serve in turn, log in by log in, so that whatever else the machine does meets both alike.
"""

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from auth_server.audit import AuditLog
from auth_server.bootstrap import load_settings
from auth_server.keyring import Keyring
from auth_server.store.database import open_database
from bench.audit_speed import append_rows
from bench.fill import fill_accounts
from bench.measures import Times, log_in
from bench.people import PASSWORD, Crowd, enrol
from demo.site import Site

PEOPLE = 100_000
ROWS = 1_000_000
_FRAMES = 3


@dataclass(frozen=True)
class Scale:
    """Log ins at the new site and at the used one, and how large the used one's database is."""

    new: Times
    used: Times
    used_mb: float

    @property
    def ratio(self) -> float:
        """How many times as long a log in takes at the used one."""
        return self.used.median / self.new.median


def make_used(site: Site) -> None:
    """Fill a site as years of use would. It takes about a minute."""
    settings = load_settings(site.settings)
    keyring = Keyring.load(settings.store.keys)
    database = open_database(settings.store.database, keyring)
    fill_accounts(database, keyring.field, PEOPLE)
    deque(append_rows(database, ROWS, AuditLog(database).head()), maxlen=0)
    database.close()


def measure(new: Site, used: Site, scene: Path, count: int) -> Scale:
    """Serve both and log in to each in turn, `count` times."""
    crowds = {site.name: enrol(site, people=count, kiosks=1, scene=scene, frames=_FRAMES) for site in (new, used)}
    samples: dict[str, list[float]] = {name: [] for name in crowds}
    try:
        for site in (new, used):
            site.start_server()
        for number in range(count):
            # Neither is always the first: a core that has just worked is warm.
            for name in sorted(crowds, reverse=number % 2 == 0):
                samples[name].append(_log_in(crowds[name], number))
    finally:
        for site in (new, used):
            site.stop_server()
    size_mb = load_settings(used.settings).store.database.stat().st_size / 1e6
    return Scale(Times(tuple(samples[new.name])), Times(tuple(samples[used.name])), size_mb)


def _log_in(crowd: Crowd, number: int) -> float:
    person = crowd.people[number]
    return log_in(crowd.kiosks[0], (person.name, PASSWORD, person.code() or ""), crowd.frames)
