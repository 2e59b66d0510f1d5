"""A PostgreSQL server of one's own in a folder, with databases on it that are made in no time."""

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

import psycopg

from auth_server.store.location import Postgresql
from demo.site import CommandFailed

USER: Final = "fourauth"
_SERVER_USER: Final = "postgres"
"""Who runs it where we are root, whom PostgreSQL refuses."""

_PROGRAM_WITHIN_S: Final = 120


def programs() -> Path | None:
    """Where the server's programs are, the newest release's, or None."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[4]))
    if found:
        return found[-1].parent
    beside = shutil.which("initdb")
    return None if beside is None else Path(beside).resolve().parent


def lacking() -> str | None:
    """Why there can be no server here, or None."""
    if programs() is None:
        return "PostgreSQL is not installed: scripts/apt-install.sh installs it"
    return None


@dataclass
class Server:
    """A server that listens on a socket in its folder, and databases named one after another."""

    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @classmethod
    @contextmanager
    def running(cls) -> Iterator[Self]:
        """A server in a folder that is short enough for a socket's name, and gone afterwards. Raises CommandFailed."""
        with tempfile.TemporaryDirectory(prefix="pg-") as folder:
            server = cls(Path(folder))
            server.make()
            server.start()
            try:
                yield server
            finally:
                server.stop("immediate")

    @property
    def data(self) -> Path:
        """The cluster's files."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """The process whose children all its others are."""
        return int((self.data / "postmaster.pid").read_text().splitlines()[0])

    def run(self, program: str, *words: str) -> str:
        """Run one of its programs as whoever may, and return what it wrote. Raises CommandFailed."""
        found = programs()
        if found is None:
            raise CommandFailed(str(lacking()))
        as_user = ["setpriv", f"--reuid={_SERVER_USER}", f"--regid={_SERVER_USER}", "--clear-groups"]
        command = [*(as_user if os.geteuid() == 0 else []), str(found / program), *words]
        done = subprocess.run(  # noqa: S603 - PostgreSQL's own programs
            command, capture_output=True, text=True, cwd="/", timeout=_PROGRAM_WITHIN_S, check=False
        )
        if done.returncode != 0:
            raise CommandFailed(f"{program}: {done.stdout}{done.stderr}")
        return done.stdout

    def make(self, **settings: str) -> None:
        """Make the cluster, sorted by bytes, without a password on its socket."""
        self.own()
        self.run("initdb", "-D", str(self.data), "--locale=C", "-E", "UTF8", "-U", USER, "-A", "trust", "--no-sync")
        told = {
            "listen_addresses": "''",
            "unix_socket_directories": f"'{self.folder}'",
            "max_connections": "300",
            **settings,
        }
        with (self.data / "postgresql.conf").open("a") as file:
            file.writelines(f"{name} = {value}\n" for name, value in told.items())

    def start(self) -> None:
        """Start it, and wait until it takes connections."""
        self.run("pg_ctl", "-D", str(self.data), "-l", str(self.folder / "log"), "-w", "-t", "60", "start")

    def stop(self, how: str = "fast") -> None:
        """Stop it; `immediate` is a crash."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "-m", how, "stop")

    def own(self) -> None:
        """Let its folder belong to whoever runs it."""
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_SERVER_USER)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)

    def location(self, name: str) -> Postgresql:
        """A database on it."""
        return Postgresql(kind="postgresql", hosts=(str(self.folder),), name=name, user=USER, connections=32)

    @staticmethod
    def url(location: Postgresql) -> str:
        """How an administrator spells a database on it."""
        return f"postgresql://{location.user}@/{location.name}?host={location.hosts[0]}"

    def new(self, like: Postgresql | None = None) -> Postgresql:
        """Make an empty database, or a copy of one that nobody uses."""
        name = f"site_{next(self._numbers)}_{os.getpid()}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {'template0' if like is None else like.name}")
        return self.location(name)

    def drop(self, location: Postgresql) -> None:
        """Drop a database, whoever uses it."""
        self.execute(f"DROP DATABASE IF EXISTS {location.name} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Run a statement of the administrator's."""
        parameters = self.location("postgres").parameters
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute(statement.encode())
