"""A folder of backups: which of its files are this site's, and which of them are surplus."""

from datetime import datetime
from pathlib import Path
from typing import Final

from auth_server.errors import AuthServerError
from auth_server.on_disk import flush_folder
from provisioning.act import Act, commit
from provisioning.backup_keys import Ring
from provisioning.backup_manifest import Manifest
from provisioning.backup_proof import open_backup
from provisioning.desk import Site
from provisioning.errors import Refused

SUFFIX: Final = ".4auth-backup"
"""Ends the name of every backup that is looked for in a folder."""


def backups_in(folder: Path, ring: Ring, site: str) -> list[tuple[Path, Manifest]]:
    """Return the backups of this site in a folder, the newest first: files that a key of ours signed."""
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix != SUFFIX or path.is_symlink() or not path.is_file():
            continue
        try:
            manifest = open_backup(path, ring)
        except (Refused, AuthServerError):
            continue
        if manifest.site == site:
            found.append((path, manifest))
    return sorted(found, key=lambda backup: backup[1].made_at, reverse=True)


def prune(site: Site, newest: Path, keep: int, now: datetime) -> list[Path]:
    """Remove this site's older backups in the folder of the newest, but for `keep` in all; return which.

    The row that names them comes first. What is no backup of this site, signed by a key of ours, stays.
    """
    found = [path for path, _ in backups_in(newest.parent, Ring.of(site.keyring), site.settings.site) if path != newest]
    surplus = found[keep - 1 :]
    if surplus:
        names = [path.name for path in surplus]
        with commit(site.database, Act("admin.backup.prune", now, detail={"keep": keep, "removed": names})):
            pass
        for path in surplus:
            path.unlink(missing_ok=True)
        flush_folder(newest.parent)
    return surplus
