"""When a site was last backed up, noted in its store: each of its servers can tell, wherever the file is kept."""

from datetime import datetime
from typing import Final

from sqlalchemy import delete, insert, select

from auth_server.canonical import utc_text
from auth_server.store.database import Database
from auth_server.store.models import SITE

_LAST: Final = "last_backup"


def note_backup(database: Database, now: datetime) -> None:
    """Note that a backup which passed its check was made now."""
    with database.transaction() as session:
        session.execute(delete(SITE).where(SITE.c.key == _LAST))
        session.execute(insert(SITE).values(key=_LAST, value=utc_text(now).encode()))


def last_backup(database: Database) -> datetime | None:
    """Return when the last one was made, as far as this store knows: after a restore, the one before it; or None.

    Raises StoreError.
    """
    with database.read() as session:
        noted = session.execute(select(SITE.c.value).where(SITE.c.key == _LAST)).scalar_one_or_none()
    return None if noted is None else datetime.fromisoformat(noted.decode())
