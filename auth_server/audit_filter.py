"""Which rows of the log are wanted, as one statement that stays quick on a long log."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, String, Text, false, func, literal, or_, select, type_coerce

from auth_server.store.models import ACCESS_LOGS

TEXT_MAX_CHARS: Final = 200
_ROW = ACCESS_LOGS.c
_EQUALS: Final = ("username", "action", "success", "kiosk_id")
_MAX_ROW: Final = 2**63 - 1
_HAS_TEXT: Final = "fourauth_has_text"
_ANY_CASE: Final = "und-x-icu"
"""PostgreSQL's collation that knows the cases of all letters, where a database sorts by bytes."""

_SEARCHED: Final = tuple(
    type_coerce(_ROW[name], Text)
    for name in ("username", "kiosk_id", "source_address", "action", "reason", "ts_utc", "row_hash", "detail")
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RowFilter:
    """Which rows to show; what is None does not matter. `before_id` goes on where a page ended.

    `since` is the earliest time, `until` the first that is too late. `text` stands somewhere in the
    row, literally and whatever its case, as typed or as JSON spells it.
    """

    username: str | None = None
    action: str | None = None
    success: bool | None = None
    kiosk_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str | None = None
    before_id: int | None = None
    limit: int = 100

    @property
    def is_by_time_alone(self) -> bool:
        """Whether nothing but the time is asked for, so that what is found may be one range of rows."""
        return self.text is None and all(getattr(self, name) is None for name in _EQUALS)


def time_bounds(connection: Connection, wanted: RowFilter) -> tuple[int, int] | None:
    """Return the lowest and highest row of the wanted time; None when there is none.

    A clock that was set back leaves times out of order, so all rows between need not be of that time.
    It is read from the index of times where there is one.
    """
    if wanted.since is None and wanted.until is None:
        return 0, _MAX_ROW
    # Apart: PostgreSQL would else look for the lowest row from the log's first on, until it meets one of that time.
    of_time = select(_ROW.id).where(*_of_time(wanted)).cte("of_time").prefix_with("MATERIALIZED", dialect="postgresql")
    found = connection.execute(select(func.min(of_time.c.id), func.max(of_time.c.id))).one()
    return None if found[0] is None else (found[0], found[1])


def conditions(connection: Connection, wanted: RowFilter, bounds: tuple[int, int] | None) -> list[ColumnElement[bool]]:
    """Return what each wanted row fulfils, for a statement that walks the rows by number.

    `bounds` are the `time_bounds` of the filter.
    """
    found: list[ColumnElement[bool]] = [
        _ROW[name] == getattr(wanted, name) for name in _EQUALS if getattr(wanted, name) is not None
    ]
    if wanted.before_id is not None:
        found.append(_ROW.id < wanted.before_id)
    if bounds is None:
        return [false()]
    if wanted.since is not None or wanted.until is not None:
        # The range of rows is what makes it quick, the times what makes it right.
        found += [_ROW.id.between(*bounds), *_of_time(wanted)]
    if wanted.text is not None:
        found.append(_has_text(connection, wanted.text))
    return found


def newest_first(connection: Connection, wanted: RowFilter, *columns: Any) -> Select[Any]:
    """Return the statement for one page of these columns."""
    found = conditions(connection, wanted, time_bounds(connection, wanted))
    return select(*columns).where(*found).order_by(_ROW.id.desc()).limit(wanted.limit)


def _of_time(wanted: RowFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if wanted.since is not None:
        found.append(_ROW.ts_utc >= wanted.since)
    if wanted.until is not None:
        found.append(_ROW.ts_utc < wanted.until)
    return found


def _has_text(connection: Connection, text: str) -> ColumnElement[bool]:
    spellings = {text, json.dumps(text, ensure_ascii=False)[1:-1]}
    patterns = [f"%{_escaped(spelling)}%" for spelling in sorted(spellings)]
    is_file = connection.dialect.name == "sqlite"
    if text.isascii():
        # SQLite's LIKE ignores the case of ASCII letters, and is the quickest there is; PostgreSQL's ILIKE does, too,
        # where a database sorts by bytes.
        find = ColumnElement.like if is_file else ColumnElement.ilike
        return or_(*(find(column, pattern, escape="\\") for column in _SEARCHED for pattern in patterns))
    if not is_file:
        # In capitals, since "ss" and "ß" are alike in them and not in small letters.
        capitals = [func.upper(column.collate(_ANY_CASE)) for column in _SEARCHED]
        return or_(*(column.like(pattern.upper(), escape="\\") for column in capitals for pattern in patterns))
    driver: Any = connection.connection.driver_connection
    driver.create_function(_HAS_TEXT, -1, _is_text_in, deterministic=True)
    folded = [literal(spelling.casefold(), String) for spelling in sorted(spellings)]
    return or_(*(getattr(func, _HAS_TEXT)(one, *_SEARCHED) == 1 for one in folded))


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _is_text_in(folded: str, *values: object) -> bool:
    return any(folded in value.casefold() for value in values if isinstance(value, str))
