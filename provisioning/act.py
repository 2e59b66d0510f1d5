"""One administrative act: its effect and its audit row in one transaction, or neither.

A refused act leaves a row too, in a transaction of its own, so that attempts are seen.
"""

import os
import pwd
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sqlalchemy.orm import Session

from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry
from auth_server.errors import AuthServerError
from auth_server.store.database import Database
from provisioning.errors import ProvisioningError

DONE = "done"
REFUSED = "refused"

_ACTING: ContextVar[str | None] = ContextVar("acting", default=None)
_LOGIN_UID = Path("/proc/self/loginuid")
_NO_LOGIN = 2**32 - 1
"""What Linux says of a process that belongs to no login: (uid_t) -1."""


@dataclass(frozen=True, slots=True)
class Act:
    """What an administrator does, and to whom. `notes` take in, for its row, what is found while it is done."""

    action: str
    now: datetime
    username: str | None = None
    kiosk_id: str | None = None
    detail: Mapping[str, object] = field(default_factory=dict)
    notes: dict[str, object] = field(default_factory=dict, compare=False)


class SharedTransaction(Database):
    """A database of one running transaction: repositories made on it take part in that one."""

    def __init__(self, database: Database, session: Session) -> None:
        self.location = database.location
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


def done_entry(act: Act) -> AuditEntry:
    """Return the row of an act that was done, for whoever commits it with the first of several transactions."""
    return _entry(act, DONE, {})


@contextmanager
def refusals_recorded(database: Database, act: Act) -> Iterator[None]:
    """Write an audit row for what is refused inside, and let the refusal go on."""
    try:
        yield
    except (AuthServerError, ProvisioningError) as error:
        AuditLog(database).record(_entry(act, REFUSED, {"why": str(error)}), act.now)
        raise


def administrator(uid: int | None = None, login_uid: Path = _LOGIN_UID) -> str:
    """Return who runs this, and who logged in where that was somebody else: `root (login ann)`.

    Both are what the kernel knows of the process (the second survives sudo and su); the environment,
    which its caller chooses, is not asked.
    """
    user = os.getuid() if uid is None else uid
    login = _login(login_uid)
    return _name(user) if login is None or login == user else f"{_name(user)} (login {_name(login)})"


@contextmanager
def acting_as(name: str) -> Iterator[None]:
    """Let every row that is written inside name this administrator, who has shown the secret."""
    token = _ACTING.set(name)
    try:
        yield
    finally:
        _ACTING.reset(token)


def author() -> str:
    """Return who acts: the administrator who has shown the secret, else whom the kernel names."""
    return _ACTING.get() or administrator()


def _authorship() -> Mapping[str, str]:
    name = _ACTING.get()
    if name is None:
        return {"administrator": administrator()}
    return {"administrator": name, "operating_system": administrator()}


def _login(path: Path) -> int | None:
    try:
        login = int(path.read_text())
    except (OSError, ValueError):
        return None  # a kernel without it
    return None if login == _NO_LOGIN else login


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _entry(act: Act, outcome: str, more: Mapping[str, object]) -> AuditEntry:
    return AuditEntry(
        action=act.action,
        success=outcome == DONE,
        outcome_reason=outcome,
        username=act.username,
        kiosk_id=act.kiosk_id,
        source_address=None,
        detail={**_authorship(), **act.detail, **act.notes, **more},
    )
