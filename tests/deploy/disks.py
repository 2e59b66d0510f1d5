"""A small disk for a host, which can be full."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.deploy.lab import Host, Lab

_SPARE_MB: Final = 24
"""For what is there already, and some more."""


@dataclass(frozen=True)
class Disk:
    """A file system of a few megabytes."""

    folder: Path

    def fill(self) -> None:
        """Leave not one block free."""
        with (self.folder / "filler").open("wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(4096))
            except OSError:  # it is full
                return

    def empty(self) -> None:
        """Give the space back."""
        (self.folder / "filler").unlink()


@contextmanager
def small_disk(lab: Lab, host: Host, place: str) -> Iterator[Disk]:
    """Boot a host with a small disk in the place of a folder, and afterwards without, keeping what was written."""
    mounted, own = lab.folder / "disk", lab.root(host) / place.lstrip("/")
    lab.stop(host)
    mounted.mkdir()
    _mount(lab.folder / "disk.img", mounted)
    try:
        _copy(own, mounted)
        lab.boot(host, disks={place: mounted})
        yield Disk(mounted)
        lab.stop(host)
        (mounted / "filler").unlink(missing_ok=True)
        shutil.rmtree(own)
        _copy(mounted, own)
        lab.boot(host)
    finally:
        subprocess.run(["umount", "--lazy", mounted], check=True)  # also where a host still runs on it
        mounted.rmdir()


def _mount(image: Path, folder: Path) -> None:
    """Mount a new file system of a file; where this machine has no loop devices, one in memory."""
    with image.open("wb") as file:
        file.truncate(_SPARE_MB << 20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=True)
    if subprocess.run(["mount", "-o", "loop", image, folder], capture_output=True).returncode:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_SPARE_MB}m", "small", folder], check=True)


def _copy(source: Path, to: Path) -> None:
    subprocess.run(["cp", "-a", f"{source}/.", to], check=True)
    subprocess.run(["rm", "-rf", to / "lost+found"], check=True)
