"""Movements that a person cannot do and is never asked for: who has which, in the store."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import bindparam, delete, insert, select

from auth_contract.actions import Movement
from auth_server.store.database import Database
from auth_server.store.models import EXEMPTIONS, USERS

KINDS_MIN: Final = 2
"""Kinds of movement that must remain: of one kind alone every drawn sequence could be foreseen."""

_OF_NAME = EXEMPTIONS.c.username == bindparam("name")
_EXEMPT = select(EXEMPTIONS.c.movement).where(_OF_NAME)
_IS_THERE = select(USERS.c.username).where(USERS.c.username == bindparam("name"))
_FORGET = delete(EXEMPTIONS).where(_OF_NAME)
_ADD = insert(EXEMPTIONS)


class Exemptions:
    """The exemptions of all accounts. Methods raise StoreError."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, username: str) -> frozenset[Movement]:
        """Return the movements that a person cannot do; none for a name that no account has."""
        with self._database.read() as session:
            return frozenset(map(Movement, session.connection().execute(_EXEMPT, {"name": username}).scalars()))

    def put(self, username: str, movements: Collection[Movement]) -> bool:
        """Put these in the place of what a person was exempt from; False when there is no such account.

        Raises ValueError where fewer than two kinds of movement would remain.
        """
        wanted = frozenset(movements)
        if len(Movement) - len(wanted) < KINDS_MIN:
            raise ValueError(f"{KINDS_MIN} kinds of movement must remain")
        with self._database.transaction() as session:
            connection = session.connection()
            if connection.execute(_IS_THERE, {"name": username}).first() is None:
                return False
            connection.execute(_FORGET, {"name": username})
            for movement in sorted(wanted):
                connection.execute(_ADD, {"username": username, "movement": movement.value})
            return True
