"""Putting a backup in the place of the database, in steps of which each leaves a whole one in place.

What stands there was made one whole file; it gets a second and dated name, and is then replaced by a
single rename. Whoever is killed before that rename has the old database, and after it the new one.
"""

import os
import shutil
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

from auth_server.on_disk import flush_file, flush_folder
from auth_server.store.backup import fold_log
from auth_server.store.database import open_database
from auth_server.store.moving import stop_noting
from provisioning.act import Act, commit
from provisioning.backup_file import CHECKPOINTS, DATABASE
from provisioning.backup_keys import Ring
from provisioning.errors import Refused
from provisioning.steps import Step, no_step

BESIDE: Final = ("-wal", "-shm", "-journal")
"""What SQLite keeps beside a database that is open, or was not closed."""


def record(restored: Path, ring: Ring, act: Act) -> None:
    """Write the restore into the restored log, before anybody can open it, and leave it one whole file.

    What a move was noting when the backup was made goes: its copy is of another time.
    """
    with closing(open_database(restored, ring.keyring)) as database, commit(database, act) as shared:
        with shared.transaction() as session:
            stop_noting(session)
    fold_log(restored, ring.keyring.database_key)
    flush_file(restored)


def put_in_place(scratch: Path, place: Path, checkpoints: Path, aside: Path | None, step: Step = no_step) -> None:
    """Put what `scratch` holds in place; the database that stands there gets the name `aside` too.

    The checkpoint file of the backup takes its place only where there is none: a newer one proves what
    is lost. Raises Refused when the disk does not let it; then the old database is in place.
    """
    try:
        if put_checkpoints(scratch / CHECKPOINTS, checkpoints):
            step("checkpoints")
        if aside is not None:
            _set_aside(place, aside)
            step("aside")
            for suffix in BESIDE:  # folded in where a key of ours opened it, and saved under the other name if not
                place.with_name(place.name + suffix).unlink(missing_ok=True)
            flush_folder(place.parent)
            step("cleared")
        (scratch / DATABASE).replace(place)
        flush_folder(place.parent)
        step("placed")
    except OSError as error:
        raise Refused(
            f"{place} cannot be replaced: {error.strerror}: mend that and run the same restore again"
        ) from error


def name_aside(place: Path, now: datetime) -> Path:
    """Return a dated name, not in use, for the database that a restore replaces."""
    first = place.with_name(f"{place.name}.replaced-{now:%Y%m%dT%H%M%SZ}")
    names = (first, *(first.with_name(f"{first.name}-{number}") for number in range(2, 1000)))
    return next(name for name in names if not name.exists() or _is_same(name, place))


def _set_aside(place: Path, aside: Path) -> None:
    for suffix in ("", *BESIDE):
        old, new = place.with_name(place.name + suffix), aside.with_name(aside.name + suffix)
        if old.exists():
            new.unlink(missing_ok=True)  # the second name of an earlier run that was killed
            os.link(old, new)
    flush_folder(place.parent)


def put_checkpoints(source: Path, place: Path) -> bool:
    """Put a backup's checkpoint file where there is none, and return whether that was so. Raises OSError."""
    if place.exists():
        return False
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = place.with_name(f".{place.name}.restored")
    draft.unlink(missing_ok=True)
    shutil.copyfile(source, draft)
    draft.chmod(0o600)
    flush_file(draft)
    draft.replace(place)
    flush_folder(place.parent)
    return True


def _is_same(one: Path, other: Path) -> bool:
    return other.exists() and one.samefile(other)
