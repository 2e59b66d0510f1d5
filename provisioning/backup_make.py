"""Making a backup: one state of the store, packed, proved, and only then given its name.

Whoever is killed at any moment leaves the site as it was, and no file under a backup's name that was
not proved: what was begun lies in a closed folder that the next run empties.
"""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Final

from auth_server.audit_chain import Head
from auth_server.canonical import utc_text
from auth_server.errors import AuthServerError
from auth_server.last_backup import note_backup
from auth_server.on_disk import flush_file, flush_folder
from auth_server.settings import ServerSettings
from auth_server.store import schema
from auth_server.store.backup import copy_database, query
from auth_server.store.copying import copy_to_file
from auth_server.store.database import open_database
from provisioning.act import Act, commit, refusals_recorded
from provisioning.backup_file import CHECKPOINTS, DATABASE, NoRoom, measured, pack
from provisioning.backup_folder import SUFFIX
from provisioning.backup_keys import Ring
from provisioning.backup_manifest import KeyIds, Manifest, sign
from provisioning.backup_proof import Proof, prove, unpack
from provisioning.desk import Site
from provisioning.errors import Refused
from provisioning.progress import Progress, progress
from provisioning.scratch import scratch_folder
from provisioning.standing import HEAD
from provisioning.steps import Step, no_step

_WORK: Final = "backup"
_NEW: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
_NO_LINKS: Final = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK)


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be backed up. `program` is this program's version."""

    settings: ServerSettings
    ring: Ring
    program: str
    now: datetime


class BackupIsBad(Refused):
    """A backup did not pass its check; the message names it and what was found."""


def make_backup(site: Site, order: Order, to: Path, step: Step = no_step) -> tuple[Path, Proof]:
    """Make a backup at `to`, a new file or a folder, and return its path and proof; refusals are audited.

    Its row is written in the transaction in which it gets its name. Raises BackupIsBad for one that did
    not pass its check, kept as its name with `.bad` added; Refused or StoreError where nothing was made.
    """
    act = Act("admin.backup.make", order.now, detail={"to": str(to)})
    with refusals_recorded(site.database, act):
        target = _target(to, order)
        with _proved_backup(order, target, step) as (packed, proof):
            head, is_named = proof.manifest.head, False
            detail = {"file": str(target), "head": {"row": head.sequence, "hash": head.row_hash}}
            try:
                with commit(site.database, replace(act, detail=detail)) as shared:
                    note_backup(shared, order.now)
                    _name(packed, target)
                    is_named = True
                    step("named")
            except BaseException:
                if is_named:  # a backup of which the log does not tell is none
                    target.unlink(missing_ok=True)
                raise
            step("recorded")
    return target, proof


def _target(to: Path, order: Order) -> Path:
    """Return the path of the new backup: `to` itself, or a dated name where it is a folder.

    Raises Refused where there is a file already, or no folder to put it in.
    """
    target = to / f"{order.settings.site}-{order.now:%Y%m%dT%H%M%SZ}{SUFFIX}" if to.is_dir() else to
    if target.is_symlink() or target.exists():
        raise Refused(f"{target} is there already, and a backup is never overwritten: name another file")
    if not target.parent.is_dir():
        raise Refused(f"{target.parent} is no folder: make it first, or name another place")
    return target


@contextmanager
def _proved_backup(order: Order, target: Path, step: Step) -> Iterator[tuple[Path, Proof]]:
    """Give a finished and proved backup file, which has no name yet; it is gone afterwards."""
    with scratch_folder(target.parent, _WORK) as scratch, _disk_errors(target):
        packed = _packed(order, scratch, step)
        try:
            proof = _proved(order.ring, packed, scratch / "check")
        except NoRoom:
            raise
        except (Refused, AuthServerError) as error:
            raise BackupIsBad(_kept(packed, target, [str(error)])) from error
        if not proof.ok:
            raise BackupIsBad(_kept(packed, target, proof.findings))
        step("checked")
        yield packed, proof


def _name(packed: Path, target: Path) -> None:
    """Give a file its name, unless that is taken by now."""
    try:
        _link(packed, target)
    except FileExistsError:
        raise Refused(f"{target} was made by somebody else meanwhile: name another file") from None
    flush_folder(target.parent)


def _packed(order: Order, scratch: Path, step: Step) -> Path:
    copy, checkpoints = scratch / DATABASE, scratch / CHECKPOINTS
    # In this order: a row that was signed when the lines were copied is in the database already.
    copy_checkpoints(order.settings.store.checkpoints, checkpoints)
    keys = _copied(order, copy)
    step("copied")
    packed = scratch / "packed"
    parts = {DATABASE: copy, CHECKPOINTS: checkpoints}
    measuring: Progress[int] = progress(sum(part.stat().st_size for part in parts.values()), "Packing")
    with measuring:
        members = {name: measured(part, measuring.advance) for name, part in parts.items()}
    rows = query(copy, order.ring.database[keys.database], HEAD)
    manifest = Manifest(
        site=order.settings.site,
        made_at=utc_text(order.now),
        program=order.program,
        schema=schema.head(),
        head=Head(*rows[0]),
        keys=keys,
        members=members,
    )
    spelt = manifest.spelt()
    pack(packed, spelt, sign(spelt, order.ring.keyring.audit_key), parts)
    for part in parts.values():
        part.unlink()
    flush_file(packed)
    step("packed")
    return packed


def _copied(order: Order, copy: Path) -> KeyIds:
    """Copy one state of the store to a new SQLCipher file, and return the keys that it needs."""
    source, ring = order.settings.store.database, order.ring
    if isinstance(source, Path):
        keys = ring.opening(source)
        key = ring.database[keys.database]
        os.close(os.open(copy, _NEW, 0o600))
        pages: Progress[int] = progress(None, "Copying pages")
        with pages:
            copy_database(source, key, copy, key, lambda done, _: pages.reach(done))
        return keys
    rows: Progress[int] = progress(None, "Copying rows")
    with closing(open_database(source, ring.keyring)) as opened, rows:
        copy_to_file(opened, copy, ring.keyring, rows.advance)
    return ring.opening(copy)


def _proved(ring: Ring, packed: Path, folder: Path) -> Proof:
    folder.mkdir(mode=0o700)
    return prove(unpack(packed, ring, folder), ring, folder)


def copy_checkpoints(source: Path, copy: Path) -> None:
    """Copy the checkpoint file in whole lines. Raises Refused where there is none."""
    try:
        with source.open("rb") as lines, os.fdopen(os.open(copy, _NEW, 0o600), "wb") as to:
            fcntl.flock(lines, fcntl.LOCK_SH)  # nobody is writing half a line now
            shutil.copyfileobj(lines, to)
    except FileNotFoundError as error:
        raise Refused(f"the checkpoint file {source} is missing: put it back, or nothing proves the log") from error


def _link(packed: Path, target: Path) -> None:
    try:
        os.link(packed, target)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        # A file system without second names, as on a memory stick: take the name, then replace the empty file.
        os.close(os.open(target, _NEW, 0o600))
        packed.replace(target)


def _kept(packed: Path, target: Path, findings: Sequence[str]) -> str:
    bad = target.with_name(target.name + ".bad")
    packed.replace(bad)
    flush_folder(bad.parent)
    return f"{bad} is bad, do not rely on it: {'; '.join(findings[:3])}"


@contextmanager
def _disk_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        why = error.strerror or error
        raise Refused(f"{target} cannot be made: {why}: nothing was kept. Make room, or name another place") from error
