"""What a store says of itself, each fact a row of its own by its name."""

from sqlalchemy import delete, insert, select
from sqlalchemy.orm import Session

from auth_server.store.models import SITE


def fact_of(session: Session, name: str) -> bytes | None:
    """Return a fact, or None where the store has none of this name."""
    found: bytes | None = session.execute(select(SITE.c.value).where(SITE.c.key == name)).scalar_one_or_none()
    return found


def put_fact(session: Session, name: str, value: bytes) -> None:
    """Write a fact, in the place of the one before."""
    session.execute(delete(SITE).where(SITE.c.key == name))
    session.execute(insert(SITE).values(key=name, value=value))
