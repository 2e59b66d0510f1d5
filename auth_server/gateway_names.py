"""The names that may come through a gateway. A name may be listed before it has an account, so that it can register."""

import builtins

from sqlalchemy import bindparam, delete, insert, select
from sqlalchemy.orm import Session

from auth_contract.fields import canonical_username
from auth_server.store.database import Database
from auth_server.store.models import GATEWAY_NAMES

_BY_NAME = GATEWAY_NAMES.c.username == bindparam("name")
_FIND = select(GATEWAY_NAMES.c.username).where(_BY_NAME)
_ADD = insert(GATEWAY_NAMES)
_DROP = delete(GATEWAY_NAMES).where(_BY_NAME)
_LIST = select(GATEWAY_NAMES.c.username).order_by(GATEWAY_NAMES.c.username)


class GatewayNames:
    """The site's list. Methods raise StoreError when the store fails."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def allow(self, username: str) -> bool:
        """Put a name on the list; False where it stands there already. Raises ValueError for what is no name."""
        values = {"name": canonical_username(username)}
        with self._database.transaction() as session:
            connection = session.connection()
            if connection.execute(_FIND, values).first() is not None:
                return False
            connection.execute(_ADD, {"username": values["name"]})
        return True

    def forbid(self, username: str) -> bool:
        """Take a name from the list, from its next request on; False where it did not stand there."""
        with self._database.transaction() as session:
            return self.drop(session, username)

    @staticmethod
    def drop(session: Session, username: str) -> bool:
        """Take a name from the list in the caller's transaction; False where it did not stand there."""
        return session.connection().execute(_DROP, {"name": username}).rowcount == 1

    @staticmethod
    def has(session: Session, username: str) -> bool:
        """Whether a name is on the list, as the caller's transaction sees it."""
        return session.connection().execute(_FIND, {"name": username}).first() is not None

    def lists(self, username: str) -> bool:
        """Whether a name is on the list."""
        with self._database.read() as session:
            return self.has(session, username)

    def list(self) -> builtins.list[str]:
        """Return all names on the list."""
        with self._database.read() as session:
            return [*session.connection().execute(_LIST).scalars()]
