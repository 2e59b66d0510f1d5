"""What years of use cost a login: a new site and one with many people and rows, side by side.

    python -m bench.scale --people 1000000 --rows 10000000 --store sqlcipher --store postgresql

The two serve in turn, login by login, so that whatever else the machine does meets both alike.
"""

import argparse
import json
import random
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

from auth_server.audit import AuditLog
from auth_server.bootstrap import load_settings
from auth_server.keyring import Keyring
from auth_server.store.database import open_database
from auth_server.store.postgres import vacuum
from bench.audit_speed import append_rows
from bench.fill import fill_accounts
from bench.measures import Times, log_in
from bench.people import PASSWORD, Crowd, enrol
from demo.pictures import prepare
from demo.postgresql import Server
from demo.site import Site

PEOPLE = 100_000
ROWS = 1_000_000
_FRAMES = 3
_CACHE = Path(".cache")
_PIECE = 250_000


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

    @property
    def between(self) -> tuple[float, float]:
        """Where that figure lies, 95 times of 100, if the logins had been others (bootstrap, with a fixed seed)."""
        chance = random.Random(4)  # noqa: S311 - no secret, and the same each time
        draws = sorted(
            median(chance.choices(self.used.samples, k=len(self.used.samples)))
            / median(chance.choices(self.new.samples, k=len(self.new.samples)))
            for _ in range(1000)
        )
        return draws[25], draws[974]


def make_used(site: Site, people: int = PEOPLE, rows: int = ROWS) -> None:
    """Fill a site as years of use would. It takes a minute for each 100,000 people and 1,000,000 rows."""
    settings = load_settings(site.settings)
    keyring = Keyring.load(settings.store.keys)
    with closing(open_database(settings.store.database, keyring)) as database:
        for first, count in _pieces(people, "people"):
            fill_accounts(database, keyring.field, count, first)
        for _, count in _pieces(rows, "rows"):
            deque(append_rows(database, count, AuditLog(database).head()), maxlen=0)
    if not isinstance(settings.store.database, Path):
        vacuum(settings.store.database)


def _pieces(count: int, what: str) -> Iterator[tuple[int, int]]:
    """The number of the first of each piece, and how many it has."""
    for first in range(0, count, _PIECE):
        print(f"{first:,} of {count:,} {what}", file=sys.stderr)
        yield first, min(_PIECE, count - first)


def measure(new: Site, used: Site, scene: Path, count: int) -> Scale:
    """Serve both and log in to each in turn, `count` times."""
    crowds = {site.name: enrol(site, people=count, kiosks=1, scene=scene, frames=_FRAMES) for site in (new, used)}
    samples: dict[str, list[float]] = {name: [] for name in crowds}
    try:
        for site in (new, used):
            site.start_server()
        print(f"measuring {count} logins at each", file=sys.stderr)
        for number in range(count):
            # Neither is always the first: a core that has just worked is warm.
            for name in sorted(crowds, reverse=number % 2 == 0):
                samples[name].append(_log_in(crowds[name], number))
    finally:
        for site in (new, used):
            site.stop_server()
    return Scale(Times(tuple(samples[new.name])), Times(tuple(samples[used.name])), _size_mb(used))


def _size_mb(site: Site) -> float:
    settings = load_settings(site.settings)
    if isinstance(settings.store.database, Path):
        return settings.store.database.stat().st_size / 1e6
    with closing(open_database(settings.store.database, Keyring.load(settings.store.keys))) as database:
        with database.read() as session:
            asked = "SELECT pg_database_size(current_database())"
            return int(session.connection().exec_driver_sql(asked).scalar_one()) / 1e6


def _log_in(crowd: Crowd, number: int) -> float:
    person = crowd.people[number]
    return log_in(crowd.kiosks[0], (person.name, PASSWORD, person.code() or ""), crowd.frames)


def main() -> int:
    """Fill, measure, print and write the JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--people", type=int, default=PEOPLE, help="accounts of the used site")
    parser.add_argument("--rows", type=int, default=ROWS, help="rows of its audit log")
    parser.add_argument("--logins", type=int, default=100, help="measured at each site")
    parser.add_argument(
        "--store", choices=("sqlcipher", "postgresql"), action="append", help="both where none is named"
    )
    parser.add_argument("--json", type=Path, default=_CACHE / "scale.json", help="where to write the figures")
    told = parser.parse_args()
    pictures, found = prepare(_CACHE / "people", _CACHE / "models"), {}
    for store in told.store or ("sqlcipher", "postgresql"):
        with tempfile.TemporaryDirectory(prefix="4auth-bench-") as folder, ExitStack() as ends:
            server = ends.enter_context(Server.running()) if store == "postgresql" else None
            new, used = (_made(Path(folder), name, server) for name in ("new", "used"))
            make_used(used, told.people, told.rows)
            found[store] = measure(new, used, pictures.ada, told.logins)
        print(_line(store, found[store]))
    told.json.write_text(json.dumps({store: asdict(scale) for store, scale in found.items()}, indent=2) + "\n")
    print(f"\nWritten to {told.json}")
    return 0


def _made(folder: Path, name: str, server: Server | None) -> Site:
    url = "" if server is None else server.url(server.new())
    site = Site(folder / name, (_CACHE / "models").absolute(), name=name, presence="passive", postgresql=url)
    site.folder.mkdir()
    site.init()
    return site


def _line(store: str, scale: Scale) -> str:
    low, high = scale.between
    return (
        f"{store:<11}a login {_ms(scale.new)}, {_ms(scale.used)} with years of use ({scale.used_mb:,.0f} MB): "
        f"{scale.ratio:.3f} of it, 95 % between {low:.3f} and {high:.3f}   (bar: 1.05)"
    )


def _ms(times: Times) -> str:
    return f"{times.median * 1000:.1f} ms ({times.p10 * 1000:.1f} to {times.p90 * 1000:.1f})"


if __name__ == "__main__":
    sys.exit(main())
