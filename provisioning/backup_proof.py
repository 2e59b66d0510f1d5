"""Proving an unpacked backup: it opens, each page is whole, each secret opens, and the log is the one named.

What is proved is a restore without its last step: the same files, opened by the same keys.
"""

import os
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select

from auth_server.audit import AuditLog, ChainReport
from auth_server.checkpoints import Checkpoints
from auth_server.data_keys import SEALED_COLUMNS, open_data_key
from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher
from auth_server.sealed_faces import faults_of_faces
from auth_server.store.backup import copy_database, page_findings
from auth_server.store.database import Database, open_database, upgrade_database
from auth_server.store.models import CHANGES, USER_KEYS, USERS
from auth_server.store.schema import is_known
from provisioning.backup_file import CHECKPOINTS, DATABASE, Backup, reading
from provisioning.backup_keys import Ring
from provisioning.backup_manifest import Manifest, is_signed
from provisioning.errors import Refused
from provisioning.progress import Progress, progress

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Proof:
    """What a check of a backup found. `damage` makes it useless; `chain` may have findings of its own.

    A log that was tampered with before the backup was made is found in every copy of it.
    """

    manifest: Manifest
    accounts: int
    damage: tuple[str, ...]
    chain: ChainReport | None

    @property
    def ok(self) -> bool:
        """Whether nothing at all was found."""
        return not self.damage and self.chain is not None and self.chain.ok

    @property
    def findings(self) -> tuple[str, ...]:
        """All that was found, as sentences."""
        chain = () if self.chain is None else tuple(found.what for found in self.chain.findings)
        return (*self.damage, *chain)


def open_backup(path: Path, ring: Ring) -> Manifest:
    """Return the manifest of a backup that a key of ours signed.

    Raises Refused for a file that is none or was changed, KeyringRefused where keys are missing.
    """
    with reading(path) as backup:
        return _signed(backup, ring)


def unpack(path: Path, ring: Ring, scratch: Path) -> Manifest:
    """Unpack a backup into an empty folder, and return its manifest; raises as `open_backup` does."""
    with reading(path) as backup:
        manifest = _signed(backup, ring)
        bar: Progress[int] = progress(sum(part.size for part in manifest.members.values()), "Unpacking")
        with bar:
            backup.unpack(scratch, bar.advance)
    return manifest


def prove(manifest: Manifest, ring: Ring, scratch: Path) -> Proof:
    """Check an unpacked backup whole, migrating it first where its schema is an older one."""
    path = scratch / DATABASE
    key = ring.database_key_for(manifest, DATABASE)
    found = page_findings(path, key)
    if found:
        return Proof(manifest, 0, tuple(found), None)
    try:
        if key != ring.keyring.database_key:
            _seal_anew(path, key, ring.keyring.database_key)
        upgrade_database(path, ring.keyring)
        with closing(open_database(path, ring.keyring)) as database:
            accounts, sealed = sealed_faults(database, ring.keyring.field)
            chain = _chain(database, manifest, ring, scratch)
    except StoreError as error:
        return Proof(manifest, 0, (str(error),), None)
    if chain.head != manifest.head:
        sealed.append(f"its log ends at row {chain.head.sequence}, and its manifest says row {manifest.head.sequence}")
    return Proof(manifest, accounts, tuple(sealed), chain)


def _signed(backup: Backup, ring: Ring) -> Manifest:
    manifest = backup.manifest
    ring.database_key_for(manifest, str(backup.path))
    if not is_signed(backup.spelt, backup.signature, ring.audit.values()):
        raise Refused(f"{backup.path} was changed since it was made: its signature is wrong. Use another copy")
    if not is_known(manifest.schema):
        raise Refused(
            f"{backup.path} has schema {manifest.schema}, made by 4Auth {manifest.program}: install the newer program"
        )
    return manifest


def _seal_anew(path: Path, key: bytes, key_in_use: bytes) -> None:
    """Encrypt an unpacked database by the key that is in use now."""
    anew = path.with_name(path.name + ".anew")
    os.close(os.open(anew, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    copy_database(path, key, anew, key_in_use, lambda _done, _all: None)
    anew.replace(path)


def _chain(database: Database, manifest: Manifest, ring: Ring, scratch: Path) -> ChainReport:
    log = AuditLog(database)
    rows = progress(log.chain(), "Verifying the log", total=log.head().sequence)
    checkpoints = Checkpoints(scratch / CHECKPOINTS, ring.keyring.audit)
    return checkpoints.verify(rows, ring.audit[manifest.keys.audit])


def sealed_faults(database: Database, site: FieldCipher) -> tuple[int, list[str]]:
    """Open every secret of a store, and return how many accounts it has and what does not open, as sentences."""
    accounts, found = _secrets(database, site)
    return accounts, [*found, *(fault for fault in faults_of_faces(database, site) if fault is not None)]


def _secrets(database: Database, site: FieldCipher) -> tuple[int, list[str]]:
    """How many accounts there are, and whatever of theirs or of a pending change does not open."""
    found: list[str] = []
    with database.read() as session:
        connection = session.connection()
        count = connection.execute(select(func.count()).select_from(USERS)).scalar_one()
        columns = [USERS.c.username, USER_KEYS.c.data_key_enc, *(USERS.c[name] for name in SEALED_COLUMNS)]
        joined = USERS.outerjoin(USER_KEYS, USER_KEYS.c.username == USERS.c.username)
        rows = connection.execution_options(yield_per=_BATCH).execute(select(*columns).select_from(joined))
        for name, data_key, *sealed in progress(rows, "Opening secrets", total=count):
            found += _account_faults(site, name, data_key, sealed)
        for change_id, payload in connection.execute(select(CHANGES.c.change_id, CHANGES.c.payload_enc)):
            found += _fault(site, "changes", "payload_enc", change_id, payload)
    return count, found


def _account_faults(site: FieldCipher, name: str, data_key: bytes | None, sealed: list[bytes]) -> list[str]:
    if data_key is None:
        return [f"account {name!r} has no data key"]
    try:
        own = open_data_key(site, name, data_key)
    except StoreError as error:
        return [str(error)]
    columns = zip(SEALED_COLUMNS, sealed, strict=True)
    return [fault for column, token in columns for fault in _fault(own, "users", column, name, token)]


def _fault(cipher: FieldCipher, table: str, column: str, row: str, token: bytes) -> list[str]:
    try:
        cipher.open(table, column, row, token)
    except StoreError as error:
        return [str(error)]
    return []
