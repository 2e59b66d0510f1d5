"""The two ends of a move: the store that is left, even where it is closed already, and the one that takes its copy."""

import os
import secrets
from pathlib import Path

from sqlalchemy import inspect
from sqlalchemy.exc import SQLAlchemyError

from auth_server.audit import AuditLog
from auth_server.errors import StoreError
from auth_server.keyring import Keyring
from auth_server.store import marks, moving, schema
from auth_server.store.canary import read_canary
from auth_server.store.copying import empty
from auth_server.store.database import Database, open_database
from auth_server.store.location import Location, store_at
from auth_server.store.postgres import refuse_sorted_by_language
from provisioning.errors import Refused

_TOKEN_BYTES = 16


def open_source(location: Location, keyring: Keyring, to: Location) -> Database:
    """Open the store that is to be moved, also where a move to this place has closed it and was killed then.

    Raises as `open_database` does.
    """
    try:
        return open_database(location, keyring, is_patient=True)
    except StoreError as error:
        closed = _closed(location, keyring, to)
        if closed is None:
            raise error
        return closed


def open_target(place: Location, keyring: Keyring) -> Database:
    """Open the place to move to, making its file. Raises Refused where that cannot be, and for a careless server."""
    if isinstance(place, Path) and not place.exists():
        try:
            os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except OSError as error:
            raise Refused(f"{place} cannot be made: {error.strerror}: make its folder first, writable") from error
    target = Database(place, lambda: keyring.database_keys, is_patient=True)
    try:
        if not isinstance(place, Path):
            with target.look() as connection:
                refuse_sorted_by_language(connection, place)
    except SQLAlchemyError as error:
        target.close()
        cause = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise StoreError(f"{store_at(place)} cannot be opened: {cause}") from error
    except BaseException:
        target.close()
        raise
    return target


def prepare(source: Database, target: Database, keyring: Keyring) -> None:
    """Begin a move, or find where an earlier run of it ended: both stores bear one token, and changes are noted.

    Raises Refused for a place that holds anything else; it then is as it was.
    """
    with source.read() as session:
        token = marks.token_of(session, marks.LEAVING)
    if not _goes_on(source, target, keyring, token) or token is None:
        token = secrets.token_hex(_TOKEN_BYTES)
        with target.transaction() as session:
            if inspect(session.connection()).get_table_names():
                empty(session.connection())
            else:
                schema.upgrade(session.connection(), keyring.field)
            marks.arrive(session, token)
    with source.transaction() as session:
        moving.note_changes(session, token)


def refuse_partial(target: Database, keyring: Keyring) -> None:
    """Raise Refused unless a place holds a whole copy, though the store was closed for it."""
    with target.read() as session:
        has_tables = bool(inspect(session.connection()).get_table_names())
        if has_tables and read_canary(session, keyring) is not None:
            return
    raise Refused(
        f"the store was closed when all of it was in {target.location}, which does not hold it now: put that back"
    )


def taken(place: Location) -> Refused:
    """What is said of a place that holds something else."""
    other = "name a new file" if isinstance(place, Path) else "name an empty database"
    return Refused(f"{place} holds a store already: {other}, or drop what is there")


def _goes_on(source: Database, target: Database, keyring: Keyring, token: str | None) -> bool:
    """Whether the target is this move's copy, which then opens for nobody; else it is empty or of a move given up."""
    place = target.location
    with target.read() as session:
        if not inspect(session.connection()).get_table_names():
            return False
    _refuse_strange(source, target)
    with target.transaction() as session:
        arrived = marks.token_of(session, marks.ARRIVING)
        try:
            is_whole = read_canary(session, keyring) is not None
        except StoreError:
            raise taken(place) from None
        if arrived is not None and arrived == token:
            marks.arrive(session, arrived)
            return True
        if is_whole or arrived is None:
            raise taken(place)
    return False


def _refuse_strange(source: Database, target: Database) -> None:
    """Raise Refused for tables that are not ours, and for a log that is not the beginning of the source's."""
    with target.read() as session:
        tables = inspect(session.connection()).get_table_names()
        try:
            schema.check_current(session.connection(), target.location)
        except StoreError:
            named = ", ".join(sorted(tables)[:3])
            raise Refused(f"{target.location} has tables already ({named}): name an empty database") from None
    head = AuditLog(target).head()
    if AuditLog(source).hash_at(head.sequence) != head.row_hash:
        raise taken(target.location)


def _closed(location: Location, keyring: Keyring, to: Location) -> Database | None:
    try:
        database = Database(location, lambda: keyring.database_keys)
    except StoreError:
        return None
    try:
        with database.read() as session:
            if marks.moved_to(session) == str(to):
                return database
    except StoreError:
        pass
    database.close()
    return None
