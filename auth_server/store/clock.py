"""The clock of a PostgreSQL server, by which servers that share it find out how far theirs are apart."""

from datetime import UTC, datetime

from auth_server.ntp import Sample
from auth_server.store.database import Database


def clock_of(database: Database) -> Sample:
    """Return what must be added to this machine's clock to get the store's, with half the way there and back as error.

    Raises StoreError.
    """
    with database.read() as session:
        connection = session.connection()
        before = datetime.now(UTC)
        told: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
        after = datetime.now(UTC)
    way = after - before
    return Sample((told - before - way / 2).total_seconds(), way.total_seconds() / 2)
