"""Fills .cache/wheelhouse, from which hosts are installed offline: python -m scripts.wheelhouse [TARGET ...]

For each target a folder with every wheel of the server, of its administration and of the kiosk; for each of the two
an archive for the way to the host, with 4Auth's own wheel and a list of all that may be installed from it, by hash;
and the release's name. What is there already and has its hash is not fetched again, so an interrupted run goes on
where it was.
"""

import argparse
import hashlib
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from packaging.requirements import Requirement
from packaging.tags import Tag, compatible_tags, cpython_tags
from packaging.utils import parse_wheel_filename

PROJECT: Final = Path(__file__).resolve().parent.parent
WHEELHOUSE: Final = PROJECT / ".cache" / "wheelhouse"
PARTS: Final = {"server": "provisioning", "kiosk": "kiosk"}
"""What a host is, and the lock that names what it needs; a server is administered where it runs."""

_OLDEST_GLIBC: Final = 17
_HASH: Final = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of host: Debian's release with its Python and its glibc (2.`glibc`), and the processor."""

    debian: int
    python: str
    glibc: int
    machine: str

    @property
    def name(self) -> str:
        """Its folder, as `ansible/` makes it of the facts of a host."""
        return f"debian-{self.debian}-{self.machine}"

    @property
    def platforms(self) -> list[str]:
        """The platform tags of the wheels that run there, the best first; pip wants them one by one."""
        numbered = [f"manylinux_2_{minor}_{self.machine}" for minor in range(self.glibc, _OLDEST_GLIBC - 1, -1)]
        return [*numbered, f"manylinux2014_{self.machine}", f"linux_{self.machine}"]

    @property
    def environment(self) -> dict[str, str]:
        """What the markers of a lock ask of a host's Python."""
        return {
            "implementation_name": "cpython",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_system": "Linux",
            "python_full_version": self.python,
            "python_version": self.python.rpartition(".")[0],
            "sys_platform": "linux",
        }

    def tags(self) -> frozenset[Tag]:
        """The tags of all wheels that may be installed there."""
        version = tuple(int(part) for part in self.python.split(".")[:2])
        interpreter = "cp" + "".join(str(part) for part in version)
        ours = cpython_tags(version, platforms=self.platforms)
        return frozenset([*ours, *compatible_tags(version, interpreter, self.platforms)])


# The Pythons are those of the releases' first days: what needs a later one would not install everywhere.
TARGETS: Final = tuple(
    Target(debian, python, glibc, machine)
    for debian, python, glibc in ((12, "3.11.2", 36), (13, "3.13.5", 41))
    for machine in ("x86_64", "aarch64")
)


@dataclass(frozen=True, slots=True)
class Pinned:
    """One release of a lock, with the SHA-256 of each of its files."""

    requirement: str
    hashes: frozenset[str]

    def line(self) -> str:
        """It as pip reads it."""
        return " ".join([self.requirement, *(f"--hash=sha256:{digest}" for digest in sorted(self.hashes))])


def pinned(lock: str, target: Target) -> list[Pinned]:
    """Return what a lock's text pins for a target. pip would take the markers of the machine that it runs on."""
    found = []
    for entry in re.sub(r"\\\n", " ", lock).splitlines():
        stated = entry.partition(" --hash")[0].strip()
        if not stated or stated.startswith("#"):
            continue
        requirement = Requirement(stated)
        if requirement.marker is None or requirement.marker.evaluate(target.environment):
            name = f"{requirement.name}{requirement.specifier}"
            found.append(Pinned(name, frozenset(_HASH.findall(entry))))
    return found


def present(folder: Path, target: Target) -> dict[str, Path]:
    """Return the wheels in a folder that run on a target, by the SHA-256 of what they hold."""
    tags = target.tags()
    wheels = [wheel for wheel in sorted(folder.glob("*.whl")) if parse_wheel_filename(wheel.name)[3] & tags]
    return {hashlib.sha256(wheel.read_bytes()).hexdigest(): wheel for wheel in wheels}


def missing(wanted: Iterable[Pinned], there: Mapping[str, Path]) -> list[Pinned]:
    """Return the releases of which no file lies there."""
    return [one for one in wanted if not one.hashes & there.keys()]


def chosen(wanted: Iterable[Pinned], there: Mapping[str, Path]) -> list[Path]:
    """Return the one file of each release that is to be installed."""
    return [there[min(one.hashes & there.keys())] for one in wanted]


def main(argv: Sequence[str] | None = None) -> int:
    """Fill the folders of the targets that are named, or of all; 1 where something could not be had."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(target.name for target in TARGETS))
    parser.add_argument("--folder", type=Path, default=WHEELHOUSE, help="default: .cache/wheelhouse")
    parser.add_argument("--models", type=Path, help="folder of the face models, to be packed for hosts too")
    asked = parser.parse_args(argv)
    unknown = set(asked.targets) - {target.name for target in TARGETS}
    if unknown:
        parser.error(f"no target {', '.join(sorted(unknown))}: there are {', '.join(t.name for t in TARGETS)}")
    if asked.models is not None:
        asked.folder.mkdir(parents=True, exist_ok=True)
        _archive(asked.folder / "models.tar", {model.name: model for model in asked.models.glob("*.onnx")})
    own = _build(asked.folder)
    lacking = [
        line
        for target in TARGETS
        if not asked.targets or target.name in asked.targets
        for line in _fill(asked.folder / target.name, target, own)
    ]
    if lacking:
        print("Missing, and hosts cannot be installed without:", *lacking, sep="\n  ", file=sys.stderr)
        return 1
    return 0


def _build(folder: Path) -> Path:
    """Build 4Auth's own wheel with the locked build backend; the same sources give the same bytes."""
    built = folder / "own"
    for old in built.glob("*.whl"):
        old.unlink()
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    environment = {**os.environ, "SOURCE_DATE_EPOCH": "1577836800"}
    subprocess.run([*command, "--wheel-dir", str(built), str(PROJECT)], check=True, env=environment)  # noqa: S603
    return next(built.glob("*.whl"))


def _fill(folder: Path, target: Target, own: Path) -> list[str]:
    """Bring what one target lacks and pack it; returns a line for each release that could not be had."""
    wheels = folder / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    locks = {
        part: pinned((PROJECT / "requirements" / f"{lock}.txt").read_text(), target) for part, lock in PARTS.items()
    }
    wanted = list({one.requirement: one for lock in locks.values() for one in lock}.values())
    lacking = missing(wanted, present(wheels, target))
    print(f"{target.name}: {len(wanted)} releases, {len(lacking)} to fetch", flush=True)
    for number, one in enumerate(lacking, 1):
        print(f"  {number}/{len(lacking)} {one.requirement}", flush=True)
        _download(one, wheels, target)
    there = present(wheels, target)
    still = missing(wanted, there)
    if still:
        return [f"{target.name}: {one.requirement}" for one in still]
    for part, lock in locks.items():
        _pack(folder, part, lock, [*chosen(lock, there), own])
    print(f"{target.name}: complete", flush=True)
    return []


def _download(one: Pinned, to: Path, target: Target) -> None:
    """Fetch one release's wheel; what pip says of a failure is shown, and the release then counts as missing."""
    listed = to.parent / "one.txt"
    listed.write_text(one.line() + "\n")
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--quiet",
        "--no-deps",
        "--require-hashes",
        "--only-binary=:all:",
    ]
    platforms = [word for platform in target.platforms for word in ("--platform", platform)]
    where = ["--only-binary=:all:", "--implementation", "cp", "--python-version", target.python, *platforms]
    subprocess.run([*command, *where, "--dest", str(to), "--requirement", str(listed)], check=False)  # noqa: S603
    listed.unlink()


def _pack(folder: Path, part: str, lock: Sequence[Pinned], wheels: Sequence[Path]) -> None:
    """Write a part's archive, the list of what a host may install of it, and the release's name.

    The name changes with whatever changes, and with nothing else, so that equal contents change no host.
    """
    version, ours = parse_wheel_filename(wheels[-1].name)[1], hashlib.sha256(wheels[-1].read_bytes()).hexdigest()
    listed = "".join(f"{one.line()}\n" for one in [*lock, Pinned(f"fourauth=={version}", frozenset({ours}))])
    (folder / f"{part}.txt").write_text(listed)
    _archive(folder / f"{part}.tar", {"requirements.txt": folder / f"{part}.txt", **{one.name: one for one in wheels}})
    (folder / f"{part}.release").write_text(f"{version}-{hashlib.sha256(listed.encode()).hexdigest()[:8]}\n")


def _archive(archive: Path, members: Mapping[str, Path]) -> None:
    draft = archive.with_suffix(".new")
    with tarfile.open(draft, "w", format=tarfile.GNU_FORMAT) as packed:
        for name, path in sorted(members.items()):
            packed.add(path, arcname=name, filter=_plain)
    draft.replace(archive)


def _plain(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.mtime = member.uid = member.gid = 0
    member.uname = member.gname = "root"
    member.mode = 0o644
    return member


if __name__ == "__main__":
    sys.exit(main())
