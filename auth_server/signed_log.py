"""Whether a log is still the one whose head was signed. What is asked of it is one row at a time."""

from pathlib import Path
from typing import Final, Protocol

from auth_server.audit_chain import Checkpoint, Head
from auth_server.errors import LogRolledBack

_WAY_BACK: Final = (
    "Nobody is let in until you put back the right database or, where this one was restored on purpose, "
    "run `4auth-provision audit accept-restore`"
)


class SignedLog(Protocol):
    """What is asked of the log whose heads are signed; `AuditLog` is one."""

    def head(self) -> Head:
        """The newest row's number and hash."""
        ...

    def hash_at(self, row_id: int) -> str | None:
        """A row's hash, or None where there is no such row."""
        ...


def refuse_another(newest: Checkpoint, head: Head, log: SignedLog, path: Path) -> None:
    """Raise LogRolledBack, saying what to do, where the log is not the one that a file's newest checkpoint signed."""
    what = difference(newest, head, log, path)
    if what is not None:
        raise LogRolledBack(f"{what}. {_WAY_BACK}")


def difference(newest: Checkpoint, head: Head, log: SignedLog, path: Path) -> str | None:
    """In what the log is not the one that was signed, or None."""
    if head.sequence < newest.sequence:
        return (
            f"the audit log ends at row {head.sequence}, but {path} has a checkpoint of row {newest.sequence}: "
            "an older copy of the database was put back, or rows were cut off"
        )
    if log.hash_at(newest.sequence) != newest.head:
        return (
            f"row {newest.sequence} of the audit log is not the one signed on {newest.ts_utc} in {path}: "
            "an older copy of the database was put back and written on, or rows were changed"
        )
    return None
