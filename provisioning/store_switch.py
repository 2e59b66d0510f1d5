"""The settings file names another store: replaced whole, on the disk, and readable to whoever could read it before."""

import os
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

from auth_server.on_disk import flush_folder
from auth_server.store.location import Location
from provisioning.errors import Refused
from provisioning.site_plan import location_text


def store_line(settings: Path) -> str:
    """Return the line of a settings file that names the store. Raises Refused where it is none of its own."""
    lines = [line for line in settings.read_text(encoding="utf-8").splitlines() if line.startswith("database =")]
    if len(lines) != 1:
        raise Refused(f"{settings} names the store in {len(lines)} lines that begin with `database =`: write it as one")
    return lines[0]


def name_store(settings: Path, line: str, place: Location) -> None:
    """Put another store in the place of the line. Raises Refused where the file cannot be written; it is as it was."""
    text = settings.read_text(encoding="utf-8").replace(line, f"database = {location_text(place)}")
    draft = settings.with_name(f".{settings.name}.moved")
    try:
        draft.unlink(missing_ok=True)  # of a run that was killed
        _write_like(settings, draft, text.encode())
        draft.replace(settings)
        flush_folder(settings.parent)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        raise Refused(
            f"the store is moved, and {settings} cannot be written: {error.strerror}: mend that and run the same "
            f"command again, or write `database = {location_text(place)}` into it by hand"
        ) from error


def restart_servers(command: str) -> None:
    """Run the administrator's own command, as the administrator. Raises Refused where it fails."""
    try:
        is_done = subprocess.run(shlex.split(command), check=False).returncode == 0  # noqa: S603
    except (OSError, ValueError):
        is_done = False
    if not is_done:
        raise Refused(f"the store is moved, and {command!r} failed: start every server anew by hand")


def _write_like(model: Path, path: Path, data: bytes) -> None:
    """Write a new file with the owner, group and mode of another."""
    like = model.stat()
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        os.fchown(descriptor, like.st_uid, like.st_gid)  # before the mode: it may drop bits of that
        os.fchmod(descriptor, like.st_mode & 0o7777)
        file.flush()
        os.fsync(descriptor)
