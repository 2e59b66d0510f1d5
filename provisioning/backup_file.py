"""The file of a backup: a plain tar with a manifest, its signature, the database and the checkpoints.

Any tar opens it. The order of the parts is fixed, and whatever else is in such a file is refused.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from provisioning.backup_manifest import MANIFEST_MAX_BYTES, Manifest, Member, parse_manifest
from provisioning.errors import Refused

MANIFEST: Final = "manifest.json"
SIGNATURE: Final = "manifest.sig"
DATABASE: Final = "4auth.db"
CHECKPOINTS: Final = "checkpoints.jsonl"
PARTS: Final = (DATABASE, CHECKPOINTS)

_CHUNK: Final = 1024 * 1024
_SIGNATURE_BYTES: Final = 64


class NoRoom(Refused):
    """A backup cannot be unpacked where it should be, which says nothing about the backup."""


OnBytes = Callable[[int], None]
"""Told how many bytes more are done."""


def measured(path: Path, on_bytes: OnBytes) -> Member:
    """Return a file's length and SHA-256."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
            on_bytes(len(chunk))
    return Member(size, digest.hexdigest())


def pack(target: Path, spelt: bytes, signature: bytes, parts: Mapping[str, Path]) -> None:
    """Write a new backup file, mode 0600, through to the disk."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        # The GNU form, because the older one ends at 8 GiB for a part.
        with tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT) as archive:
            for name, data in ((MANIFEST, spelt), (SIGNATURE, signature)):
                _add(archive, name, len(data), io.BytesIO(data))
            for name in PARTS:
                with parts[name].open("rb") as part:
                    _add(archive, name, os.fstat(part.fileno()).st_size, part)
        file.flush()
        os.fsync(file.fileno())


class Backup:
    """A backup file that is being read. `spelt` and `signature` are still to be checked with the keys."""

    def __init__(self, path: Path, archive: tarfile.TarFile) -> None:
        self.path = path
        self._archive = archive
        self.spelt = self._small(MANIFEST, MANIFEST_MAX_BYTES)
        self.manifest: Manifest = parse_manifest(self.spelt, str(path))
        self.signature = self._small(SIGNATURE, _SIGNATURE_BYTES)
        if sorted(self.manifest.members) != sorted(PARTS):
            raise self._damaged("its manifest names other parts")

    def unpack(self, folder: Path, on_bytes: OnBytes) -> None:
        """Write the parts into `folder`, mode 0600. Raises Refused unless each is what the manifest says."""
        for name in PARTS:
            wanted, entry = self.manifest.members[name], self._next(name)
            if entry.size != wanted.size:
                raise self._damaged(f"{name} has {entry.size} bytes in place of {wanted.size}")
            source = self._archive.extractfile(entry)
            if source is None or _copied(source, folder / name, on_bytes) != wanted.sha256:
                raise self._damaged(f"{name} is not the one that was put in")
        if self._archive.next() is not None:
            raise self._damaged("it holds more than a backup does")

    def _small(self, name: str, most: int) -> bytes:
        entry = self._next(name)
        source = self._archive.extractfile(entry) if entry.size <= most else None
        if source is None:
            raise self._damaged(f"{name} has {entry.size} bytes")
        data = source.read()
        if len(data) != entry.size:
            raise self._damaged("it is cut off")
        return data

    def _next(self, name: str) -> tarfile.TarInfo:
        entry = self._archive.next()
        if entry is None or entry.name != name or not entry.isreg() or entry.issparse():
            raise self._damaged(f"{name} is missing")
        return entry

    def _damaged(self, why: str) -> Refused:
        return Refused(f"{self.path} is damaged or no backup of 4Auth: {why}. Use another copy")


@contextmanager
def reading(path: Path) -> Iterator[Backup]:
    """Open a backup file. Raises Refused when it cannot be read, is cut off, or is no backup."""
    try:
        with path.open("rb") as file, tarfile.open(fileobj=file, mode="r:") as archive:
            yield Backup(path, archive)
    except tarfile.TarError as error:
        raise Refused(f"{path} is damaged or no backup of 4Auth: {error}. Use another copy") from None
    except OSError as error:
        if error.filename not in (None, str(path)):
            raise
        raise Refused(f"{path} cannot be read: {error.strerror or error}") from None


def _add(archive: tarfile.TarFile, name: str, size: int, data: IO[bytes]) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o600
    archive.addfile(entry, data)


def _copied(source: IO[bytes], target: Path, on_bytes: OnBytes) -> str:
    digest = hashlib.sha256()
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        for chunk in iter(lambda: source.read(_CHUNK), b""):
            digest.update(chunk)
            _write(file, chunk)
            on_bytes(len(chunk))
    return digest.hexdigest()


def _write(file: io.RawIOBase, chunk: bytes) -> None:
    try:
        while chunk:
            chunk = chunk[file.write(chunk) or 0 :]
    except OSError as error:
        raise NoRoom(f"a backup cannot be unpacked: {error.strerror}: make room, or name another folder") from error
