"""One administrative act: its effect and its audit row in one transaction, or neither.

A refused act leaves a row too, in a transaction of its own, so that attempts are seen.
"""

import getpass
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from auth_server.errors import AuthServerError
from auth_server.store.database import Database
from provisioning.errors import ProvisioningError

DONE = "done"
REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Act:
    """What an administrator does, and to whom."""

    action: str
    now: datetime
    username: str | None = None
    kiosk_id: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)


class SharedTransaction(Database):
    """A database of one running transaction: repositories made on it take part in that one."""

    def __init__(self, database: Database, session: Session) -> None:
        self.path = database.path
        self.engine = database.engine
        self._session = session

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Give the running transaction's session; whoever began it commits."""
        yield self._session

    @contextmanager
    def read(self) -> Iterator[Session]:
        """Give the running transaction's session, which sees its own changes."""
        yield self._session

    def close(self) -> None:
        """Nothing: the connection belongs to whoever began the transaction."""


@contextmanager
def perform(database: Database, act: Act) -> Iterator[Database]:
    """Do what `commit` does, and audit what is refused inside."""
    with refusals_recorded(database, act), commit(database, act) as shared:
        yield shared


@contextmanager
def commit(database: Database, act: Act) -> Iterator[Database]:
    """Give a database for the act's repositories; on leaving, commit its effect with its audit row.

    An error rolls both back. Ask nobody anything meanwhile, because nobody else can write.
    """
    with database.transaction() as session:
        shared = SharedTransaction(database, session)
        yield shared
        AuditLog(shared).append(session, _entry(act, DONE, {}), act.now)


@contextmanager
def refusals_recorded(database: Database, act: Act) -> Iterator[None]:
    """Write an audit row for what is refused inside, and let the refusal go on."""
    try:
        yield
    except (AuthServerError, ProvisioningError) as error:
        AuditLog(database).record(_entry(act, REFUSED, {"why": str(error)}), act.now)
        raise


def administrator() -> str:
    """Return the operating system's name of who runs this, and through sudo of who called it."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid {os.getuid()}"
    through = os.environ.get("SUDO_USER")
    return f"{user} (sudo by {through})" if through else user


def _entry(act: Act, outcome: str, more: Mapping[str, object]) -> AuditEntry:
    return AuditEntry(
        action=act.action,
        success=outcome == DONE,
        outcome_reason=outcome,
        username=act.username,
        kiosk_id=act.kiosk_id,
        source_address=None,
        detail={"administrator": administrator(), **act.detail, **more},
    )
