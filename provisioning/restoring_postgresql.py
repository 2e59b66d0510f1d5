"""Putting a backup into a PostgreSQL database, in one transaction: the rows are the old ones or the new."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy.orm import Session

from auth_server.on_disk import flush_file, flush_folder
from auth_server.shared_keys import note_assertion_key
from auth_server.store.copying import copy_rows, copy_to_file
from auth_server.store.database import Database, create_database, open_database
from auth_server.store.in_use import OpenElsewhere
from auth_server.store.location import Postgresql
from auth_server.store.moving import stay
from auth_server.store.postgres import is_empty, others_in
from provisioning.backup_keys import Ring
from provisioning.progress import Progress, progress
from provisioning.steps import Step, no_step


@contextmanager
def standing_in(place: Postgresql, ring: Ring) -> Iterator[tuple[Database, bool]]:
    """Give the store in a database, whose tables are made where it is empty, and whether they were.

    Raises OpenElsewhere while a server or another command is connected, KeyringRefused or StoreError for a store that
    is not ours.
    """
    is_new = is_empty(place)
    if is_new:
        create_database(place, ring.keyring).close()
    with closing(open_database(place, ring.keyring, is_patient=True)) as database:
        if others_in(place):
            raise OpenElsewhere(place)
        yield database, is_new


@contextmanager
def alone_in(database: Database, place: Postgresql) -> Iterator[Session]:
    """Give a session while which nobody else writes, however long it lasts; what it did is committed on leaving.

    Raises OpenElsewhere where a server or another command came while somebody was asked.
    """
    with database.transaction() as session:
        stay(session)
        if others_in(place):
            raise OpenElsewhere(place)
        yield session


def put_into(
    restored: Path, database: Database, session: Session, ring: Ring, aside: Path | None, step: Step = no_step
) -> None:
    """Put an unpacked backup in the place of all rows; what was there is kept as the SQLCipher file `aside`.

    All of it is in the session's transaction, which keeps every writer out: no row comes between.
    """
    if aside is not None:
        kept: Progress[int] = progress(None, "Keeping what is there")
        with kept:
            copy_to_file(database, aside, ring.keyring, kept.advance)
        flush_file(aside)
        flush_folder(aside.parent)
        step("aside")
    rows: Progress[int] = progress(None, "Copying rows")
    with closing(open_database(restored, ring.keyring)) as source, source.read() as giving, rows:
        copy_rows(giving, session, rows.advance)
    note_assertion_key(session, ring.keyring)  # of a time before, the backup may name one that was retired
