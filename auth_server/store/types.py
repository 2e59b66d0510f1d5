"""Column types that keep a value's meaning on its way through the database."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, String
from sqlalchemy.types import TypeDecorator, TypeEngine

from auth_server.canonical import utc_text

UNREADABLE_TIME = datetime.min.replace(tzinfo=UTC)
"""Stands for a stored time that is no time at all, so that a damaged audit row can be shown."""


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time, always aware and in UTC.

    SQLite has no such type: it gets ISO 8601 text of one fixed width, which sorts as time does.

    Raises ValueError on a naive value, and on stored text that is no time.
    """

    impl = DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Text on SQLite, timestamp with time zone elsewhere."""
        return dialect.type_descriptor(String(27) if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | datetime | None:
        """Refuse a naive time: nobody can say later which hour it meant."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time carries its offset: pass an aware datetime")
        return utc_text(value) if dialect.name == "sqlite" else value.astimezone(UTC)

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Return an aware time in UTC."""
        if value is None:
            return None
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if not isinstance(value, datetime) or value.tzinfo is None:
            raise ValueError("a stored time is no aware time")
        return value.astimezone(UTC)


class EvidenceDateTime(UtcDateTime):
    """A time in an audit row: damaged text reads as `UNREADABLE_TIME`, and the row's hash tells."""

    cache_ok = True

    def process_result_value(self, value: object, dialect: Dialect) -> datetime | None:
        """Return an aware time in UTC, or `UNREADABLE_TIME`."""
        try:
            return super().process_result_value(value, dialect)
        except ValueError:
            return UNREADABLE_TIME
