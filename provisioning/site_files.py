"""Making a site's files: whole or not at all, and never over something that is there.

Everything is made in a hidden folder beside the site's and takes its name in one rename. A run
that was killed leaves that folder, and the next run for the same site removes it.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from sqlalchemy.exc import DBAPIError

from auth_server.admins import Admins, Role
from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.keyring import Keyring
from auth_server.on_disk import flush_folder, write_new
from auth_server.store.database import create_database
from provisioning.act import Act, perform
from provisioning.errors import Refused
from provisioning.gateway_files import make_gateway
from provisioning.site_plan import SitePlan
from provisioning.tls import make_identity


@dataclass(frozen=True, slots=True)
class Made:
    """What a new site's kiosks and its first administrator need: the pin of the TLS key, and the secret."""

    pin: str
    admin_secret: str = field(repr=False)


def make_site(plan: SitePlan, now: datetime) -> Made:
    """Make keys, TLS identity, database, first administrator and settings file.

    Raises Refused, KeyringRefused or StoreError; then the site's folder is as it was before.
    """
    try:
        _check_free(plan.folder)
        with _draft_folder(plan.folder) as draft:
            made = _make_files(plan, replace(plan, folder=draft), now)
            draft.rename(plan.folder)
    except (OSError, DBAPIError) as error:
        why = error.strerror if isinstance(error, OSError) else error.orig
        raise Refused(
            f"{plan.folder} cannot be made: {why}: name a new folder, on a disk with room, that you may write to"
        ) from error
    flush_folder(plan.folder.parent)
    return made


def _check_free(folder: Path) -> None:
    if not folder.parent.is_dir():
        raise Refused(f"{folder.parent} is no folder: make it first, or name another place")
    if folder.is_symlink() or (folder.exists() and not folder.is_dir()):
        raise Refused(f"{folder} is there and is no folder: name another place")
    if folder.is_dir() and any(folder.iterdir()):
        raise Refused(f"{folder} is not empty, and a site is never overwritten: name a new folder")


@contextmanager
def _draft_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder, mode 0700, on the same file system; it is gone afterwards if still there."""
    draft = folder.parent / f".{folder.name}.being-made"
    try:
        draft.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(draft, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError as error:
        raise Refused(f"{draft} cannot be made: {error.strerror}: name a place that you may write to") from None
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(f"another `site init` is making {folder} now: wait for it to end") from None
        _empty(draft)
        try:
            yield draft
        finally:
            shutil.rmtree(draft, ignore_errors=True)
    finally:
        os.close(lock)


def _empty(folder: Path) -> None:
    """Remove what a killed run left; it was never in use."""
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _make_files(plan: SitePlan, draft: SitePlan, now: datetime) -> Made:
    for folder in (draft.tls_key.parent, draft.database.parent, draft.checkpoints.parent, draft.gateway.folder):
        folder.mkdir(mode=0o700)
    keyring = Keyring.create(draft.keys, now)
    identity = make_identity(plan.name, plan.host, now)
    write_new(draft.tls_key, identity.key_pem, 0o600)
    write_new(draft.certificate, identity.certificate_pem, 0o644)
    database = create_database(draft.location, keyring)
    try:
        detail = {"site": plan.name, "pin": identity.pin, "admin": plan.admin}
        with perform(database, Act("admin.site.init", now, detail=detail)) as shared:
            secret = Admins(shared).add(plan.admin, Role.ADMIN, now)
        Checkpoints(draft.checkpoints, keyring.audit).write(AuditLog(database), now)
    finally:
        database.close()
    # The file names where things will lie, not where they lie now.
    write_new(draft.settings, plan.settings_text().encode(), 0o644)
    make_gateway(plan.gateway, draft.gateway, identity.pin, now)
    return Made(identity.pin, secret)
