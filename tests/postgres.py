"""Which tests use PostgreSQL, and a server of their own that can be made to fail."""

import os
import signal
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from pydantic import TypeAdapter

from auth_server.store.location import Location
from demo import postgresql
from demo.postgresql import USER, lacking, programs

__all__ = ["IN_A_FILE", "IS_WANTED", "USER", "Server", "lacking", "location_of", "programs", "running", "spelt"]

IS_WANTED: Final = os.environ.get("FOURAUTH_STORE") == "postgresql"
"""Whether tests of what is the same in every store use PostgreSQL, and not a file each."""

IN_A_FILE: Final = pytest.mark.skipif(IS_WANTED, reason="of a store in a file")

_LOCATION: Final[TypeAdapter[Location]] = TypeAdapter(Location)


def spelt(location: Location) -> str:
    """A location as an argument of another process, which reads it by `location_of`."""
    return _LOCATION.dump_json(location).decode()


def location_of(text: str) -> Location:
    """What `spelt` spelt."""
    return _LOCATION.validate_json(text)


@dataclass
class Server(postgresql.Server):
    """A server that hangs, dies and is replicated on demand."""

    def signal(self, number: int) -> list[int]:
        """Send a signal to each of its processes, and return which these are."""
        main = self.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        processes = [main, *map(int, children)]
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, number)
        return processes

    def kill(self) -> None:
        """End each of its processes at once, as a power cut would, but for what the disk had not written yet."""
        killed = self.signal(signal.SIGKILL)
        ends = time.monotonic() + 10
        # Else the next start would find it running, or its memory in use by one that still ends.
        while any(Path(f"/proc/{process}").exists() for process in killed):
            assert time.monotonic() < ends, "it is not gone"
            time.sleep(0.01)

    def promote(self) -> None:
        """Let a standby take writers, and wait until it does."""
        self.run("pg_ctl", "-D", str(self.data), "-w", "promote")

    @contextmanager
    def standby(self) -> Iterator["Server"]:
        """A second server that has each row before the first acknowledges it."""
        with tempfile.TemporaryDirectory(prefix="pg-") as folder:
            made = Server(Path(folder))
            made.own()
            self.run(
                "pg_basebackup",
                "-h",
                str(self.folder),
                "-U",
                USER,
                "-D",
                str(made.data),
                "-R",
                "-X",
                "stream",
                "-c",
                "fast",
            )
            with (made.data / "postgresql.conf").open("a") as file:
                file.write(f"unix_socket_directories = '{folder}'\n")
            made.start()
            self.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            self.execute("SELECT pg_reload_conf()")
            try:
                yield made
            finally:
                made.stop("immediate")
                self.execute("ALTER SYSTEM RESET synchronous_standby_names")
                self.execute("SELECT pg_reload_conf()")


running = Server.running
