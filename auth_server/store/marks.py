"""What a store says of itself while it is moved: on its way out, on its way in, or gone for good.

A move draws a token and puts it into both stores. So a run that goes on finds its own copy, and no other.
"""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete
from sqlalchemy.orm import Session

from auth_server.canonical import utc_text
from auth_server.store.facts import fact_of, put_fact
from auth_server.store.models import SITE

MOVED: Final = "moved"
"""The fact of a store that was moved: where to and when."""

LEAVING: Final = "leaving"
"""The token of the move that copies this store, which goes on serving."""

ARRIVING: Final = "arriving"
"""The token of the move that made this copy, from its first row until the log tells of the move."""

MARKS: Final = ("canary", MOVED, LEAVING, ARRIVING)
"""The facts of one store alone, which are not copied as the others are."""

_ON: Final = " on "


def token_of(session: Session, mark: str) -> str | None:
    """Return the token that a store bears under a mark, or None."""
    found = fact_of(session, mark)
    return None if found is None else found.decode()


def leave(source: Session, token: str) -> None:
    """Say that a move with this token copies the store."""
    _put(source, LEAVING, token)


def arrive(target: Session, token: str) -> None:
    """Say that the store is a move's copy; it opens for nobody until its canary is brought."""
    target.execute(delete(SITE).where(SITE.c.key.in_(MARKS)))
    _put(target, ARRIVING, token)


def end_arrival(target: Session) -> bool:
    """Say that the log tells of the move, and return whether it did not until now."""
    return target.execute(delete(SITE).where(SITE.c.key == ARRIVING)).rowcount > 0  # type: ignore[attr-defined, no-any-return]


def moved_to(source: Session) -> str | None:
    """Return the place to which a store was closed, as `close_for_good` was told it; None for one that serves."""
    told = token_of(source, MOVED)
    return None if told is None else told.rpartition(_ON)[0]


def close_for_good(source: Session, to: str, now: datetime) -> None:
    """Let a store take no audit row any more, and so no login; whoever opens it is told where it went."""
    source.execute(delete(SITE).where(SITE.c.key == LEAVING))
    _put(source, MOVED, f"{to}{_ON}{utc_text(now)}")
    _refuse_rows(source.connection())


def _put(session: Session, mark: str, value: str) -> None:
    put_fact(session, mark, value.encode())


def _refuse_rows(connection: Connection) -> None:
    said = "this store was moved elsewhere"
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql(
            f"CREATE TRIGGER moved BEFORE INSERT ON access_logs BEGIN SELECT RAISE(ABORT, '{said}'); END"
        )
        return
    connection.exec_driver_sql(
        f"CREATE FUNCTION moved() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION '{said}'; END $$"
    )
    connection.exec_driver_sql(
        "CREATE TRIGGER moved BEFORE INSERT ON access_logs FOR EACH ROW EXECUTE FUNCTION moved()"
    )
