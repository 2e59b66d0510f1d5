"""When a site was last backed up, noted in its store: each of its servers can tell, wherever the file is kept.

The log has a row for each backup, too; to look for the newest at each scrape may go through years of logins.
"""

from datetime import datetime
from typing import Final

from auth_server.canonical import utc_text
from auth_server.store.database import Database
from auth_server.store.facts import fact_of, put_fact

_LAST: Final = "last_backup"


def note_backup(database: Database, now: datetime) -> None:
    """Note that a backup which passed its check was made now."""
    with database.transaction() as session:
        put_fact(session, _LAST, utc_text(now).encode())


def last_backup(database: Database) -> datetime | None:
    """Return when the last one was made, as far as this store knows: after a restore, the one before it; or None.

    Raises StoreError.
    """
    with database.read() as session:
        noted = fact_of(session, _LAST)
    return None if noted is None else datetime.fromisoformat(noted.decode())
