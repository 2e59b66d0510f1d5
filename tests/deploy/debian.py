"""What the lab's hosts are made of: Debian as debootstrap lays it, and packages that they install without the internet.

Both are kept under `.cache/deploy`, whole or not at all, under names that say what they hold.
"""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUITE: Final = os.environ.get("FOURAUTH_DEBIAN", "bookworm")
"""The release that hosts are made of."""
NUMBERS: Final = {"bookworm": 12, "trixie": 13}
"""The releases that 4Auth is installed on, as a host names them itself."""

# What a host has before Ansible comes: as an installer leaves it, with an SSH server, and Python for Ansible.
BASE = (
    *("systemd-sysv", "dbus", "libpam-systemd", "openssh-server", "iproute2", "iputils-ping", "ca-certificates"),
    *("python3", "python3-apt"),
)
# What the roles may ask for.
PACKAGES = ("chrony", "nftables", "nginx", "postgresql", "python3-venv", "unattended-upgrades")


@dataclass(frozen=True)
class Debian:
    """One release under `folder`: `root`, an installed system to lay hosts over, and `packages` for their apt.

    `wanted` are what the roles may ask for, `architecture` is another than this machine's.
    """

    folder: Path
    suite: str = SUITE
    wanted: tuple[str, ...] = PACKAGES
    architecture: str | None = None

    @property
    def root(self) -> Path:
        """The system that all hosts share as their lower layer."""
        return self.folder / f"{self._release}-{_name(BASE)}"

    @property
    def packages(self) -> Path:
        """A repository of the packages that the roles install, for a `file:` line of apt."""
        return self.folder / f"{self._release}-packages-{_name((*BASE, *self.wanted))}"

    @property
    def _release(self) -> str:
        return self.suite if self.architecture is None else f"{self.suite}-{self.architecture}"

    def make(self) -> None:
        """Make what is missing. The first time it takes a minute or two and the mirror; afterwards neither."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.root.exists():
            self._install()
        if not self.packages.exists():
            self._collect()

    def _install(self) -> None:
        draft, cache = _empty(self.root.with_suffix(".new")), self.folder / "debs"
        cache.mkdir(exist_ok=True)
        options = ["--variant=minbase", f"--cache-dir={cache}", f"--include={','.join(BASE)}"]
        if self.architecture is not None:
            options.append(f"--arch={self.architecture}")
        run("debootstrap", *options, self.suite, str(draft), mirror())
        networkd = draft / "etc/systemd/system/multi-user.target.wants/systemd-networkd.service"
        networkd.symlink_to("/lib/systemd/system/systemd-networkd.service")
        (draft / "etc/machine-id").write_text("uninitialized\n")
        for key in draft.glob("etc/ssh/ssh_host_*"):
            key.unlink()  # each host makes its own, or all would have the same
        draft.rename(self.root)

    def _collect(self) -> None:
        """Let this machine's apt fetch what the installed system lacks, and list it as a repository."""
        draft = _empty(self.packages.with_suffix(".new"))
        scratch = draft / "apt"
        for folder in ("lists/partial", "cache/archives/partial", "state"):
            (scratch / folder).mkdir(parents=True)
        sources = scratch / "sources.list"
        place = mirror()
        sources.write_text(f"deb {place} {self.suite} main\ndeb {place} {self.suite}-updates main\n")
        places = {
            "Dir::State": scratch / "state",
            "Dir::State::Lists": scratch / "lists",
            "Dir::State::status": self.root / "var/lib/dpkg/status",
            "Dir::Cache": scratch / "cache",
            "Dir::Etc::sourcelist": sources,
            "Dir::Etc::sourceparts": "-",
            "Dir::Etc::preferencesparts": "-",
        }
        told = {name: str(path) for name, path in places.items()}
        if self.architecture is not None:
            told |= {"APT::Architecture": self.architecture, "APT::Architectures": self.architecture}
        apt = ["apt-get", "-qq", *(word for name, value in told.items() for word in ("-o", f"{name}={value}"))]
        run(*apt, "update")
        run(*apt, "install", "--download-only", "--no-install-recommends", *self.wanted)
        debs = sorted((scratch / "cache/archives").glob("*.deb"))
        (draft / "Packages").write_text("\n".join(_listed(deb.rename(draft / deb.name)) for deb in debs))
        shutil.rmtree(scratch)
        draft.rename(self.packages)


def mirror() -> str:
    """Where this machine takes Debian from, so that no place is named here. Raises RuntimeError where it takes none."""
    listing = ["apt-get", "indextargets", "--format", "$(SITE) $(COMPONENT)", "Created-By: Packages", "Label: Debian"]
    told = subprocess.run(listing, capture_output=True, text=True).stdout.splitlines()
    places = [place for place, component in (line.split() for line in told) if component == "main"]
    if not places:
        raise RuntimeError("apt knows of no Debian here: run apt-get update, or name a mirror in its sources")
    return places[0]


def _listed(deb: Path) -> str:
    """A package's entry in the list of a repository."""
    fields = subprocess.run(["dpkg-deb", "--field", deb], check=True, capture_output=True, text=True).stdout
    digest = hashlib.sha256(deb.read_bytes()).hexdigest()
    return f"{fields}Filename: ./{deb.name}\nSize: {deb.stat().st_size}\nSHA256: {digest}\n"


def _name(packages: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(packages).encode()).hexdigest()[:12]


def _empty(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


def run(*words: str) -> None:
    """Run a program that asks nothing. Raises RuntimeError with the end of what it said."""
    done = subprocess.run(
        words, capture_output=True, text=True, env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(words[:4])} ended with {done.returncode}: {(done.stderr or done.stdout)[-800:]}")
