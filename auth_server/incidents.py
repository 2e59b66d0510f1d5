"""Unforeseen errors: a number for the caller, the place for the operator, no values for anybody.

The text of a foreign exception may quote what it choked on, which may be a password or a key;
so only its type and the lines it passed through are logged.
"""

import secrets
import traceback
from pathlib import Path

from structlog.typing import FilteringBoundLogger


def report_incident(log: FilteringBoundLogger, error: BaseException, **context: str) -> str:
    """Log where `error` came from under a new incident number, and return the number (8 hex digits)."""
    incident = secrets.token_hex(4)
    frames = traceback.extract_tb(error.__traceback__)
    log.error(
        "incident",
        incident=incident,
        error=type(error).__name__,
        cause=type(error.__cause__).__name__ if error.__cause__ else None,
        at=[f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-12:]],
        **context,
    )
    return incident
