"""Column types that keep a value's meaning on its way through the database."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Boolean, Dialect, SmallInteger, String
from sqlalchemy.types import TypeDecorator, TypeEngine

from auth_server.canonical import utc_text

UNREADABLE_TIME = datetime.min.replace(tzinfo=UTC)
"""Stands for a stored time that is no time at all, so that a damaged audit row can be shown."""


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, always aware and in UTC.

    It is stored as ISO 8601 text of one fixed width, which sorts as time does and which the audit log's hashes cover.

    Raises ValueError on a naive value, and on stored text that is no time.
    """

    impl = String(27)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:
        """Refuse a naive time: nobody can say later which hour it meant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time carries its offset: pass an aware datetime")
        return utc_text(value)

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Return an aware time in UTC."""
        if value is None:
            return None
        found = datetime.fromisoformat(str(value))
        if found.tzinfo is None:
            raise ValueError("a stored time is no aware time")
        return found.astimezone(UTC)


class EvidenceDateTime(UtcDateTime):
    """A time in an audit row: damaged text reads as `UNREADABLE_TIME`, and the row's hash tells."""

    cache_ok = True

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Return an aware time in UTC, or `UNREADABLE_TIME`."""
        try:
            return super().process_result_value(value, dialect)
        except ValueError:
            return UNREADABLE_TIME


class EvidenceFlag(TypeDecorator[bool]):
    """Yes or no in an audit row, stored as 1 or 0, which its hash covers."""

    impl = Boolean
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """A number, which SQLite's own type for this is too."""
        return dialect.type_descriptor(Boolean() if dialect.name == "sqlite" else SmallInteger())

    def process_bind_param(self, value: bool | None, dialect: Dialect) -> int | None:
        """Return 1 or 0."""
        return None if value is None else int(value)

    def process_result_value(self, value: object, dialect: Dialect) -> bool | None:
        """Return whether it is anything but 0."""
        return None if value is None else bool(value)
