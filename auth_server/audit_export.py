"""An audit log as a file of JSON lines that proves itself, with no database and no private key.

    {"kind": "4auth-audit-export", "version": 1, ...}  what it holds, and the audit keys
    {"kind": "checkpoint", "line": 7, "record": {...}}  lines of the checkpoint file, none of a filtered export
    {"kind": "row", "prev_hash": ..., ...}              rows in ascending order, as they are stored
    {"kind": "end", "rows": 1000, "last": {...}}        so that a file that was cut is known by it

A range of rows is a chain and is held against the checkpoints. Of a filtered export each row is its
own hash: that shows that the row was not changed after somebody else noted its hash, and nothing
about the rows that were left out.
"""

import base64
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from auth_server.audit_chain import Checkpoint, DamagedLine, Head, StoredRow
from auth_server.canonical import canonical_json
from auth_server.checkpoint_line import parse_record, record_of
from auth_server.errors import StoreError

KIND: Final = "4auth-audit-export"
VERSION: Final = 1
LINE_MAX_BYTES: Final = 256 * 1024
"""A row has 5 KiB at most; JSON's escapes may spell each byte by six."""


@dataclass(frozen=True, slots=True)
class Header:
    """What an export holds: the rows after `after` up to `last`, all of them where it `is_chained`.

    `keys` are the audit keys, raw, the first key first. `is_to_the_end` says that `last` was the log's
    newest row when it was made. `filter` tells a person how the rows were chosen.
    """

    site: str
    made_at: str
    after: Head
    last: Head
    is_chained: bool
    is_to_the_end: bool
    keys: tuple[bytes, ...]
    filter: Mapping[str, object]

    def members(self) -> dict[str, object]:
        """The header as it stands in the file."""
        return {
            "kind": KIND,
            "version": VERSION,
            "site": self.site,
            "made_at": self.made_at,
            "after": _place(self.after),
            "last": _place(self.last),
            "is_chained": self.is_chained,
            "is_to_the_end": self.is_to_the_end,
            "keys": [base64.b64encode(key).decode() for key in self.keys],
            "filter": dict(self.filter),
        }


def header_line(header: Header) -> bytes:
    """Spell the first line."""
    return _line(header.members())


def checkpoint_line(line: Checkpoint | DamagedLine) -> bytes:
    """Spell a line of the checkpoint file."""
    members: dict[str, object] = {"kind": "checkpoint", "line": line.line}
    if isinstance(line, DamagedLine):
        return _line({**members, "damaged": line.why})
    return _line({**members, "record": record_of(line)})


def row_line(row: StoredRow, prev_hash: str | None) -> bytes:
    """Spell a row."""
    salt = None if row.detail_salt is None else base64.b64encode(row.detail_salt).decode()
    return _line({"kind": "row", "prev_hash": prev_hash, **row._asdict(), "detail_salt": salt})


def end_line(rows: int, last: Head) -> bytes:
    """Spell the last line."""
    return _line({"kind": "end", "rows": rows, "last": _place(last)})


@dataclass(frozen=True, slots=True)
class End:
    """The last line: how many rows there are, and the last of them."""

    rows: int
    last: Head


@dataclass(frozen=True, slots=True)
class ExportedRow:
    """A row with the hash of the row before, as the export claims it."""

    row: StoredRow
    prev_hash: str | None


Record = Header | Checkpoint | DamagedLine | ExportedRow | End


def records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Read an export. Raises StoreError naming the line that is none of its own."""
    for number, line in enumerate(lines, 1):
        try:
            members = json.loads(line)
            found = _READERS[members["kind"]](members)
        except (ValueError, TypeError, KeyError, RecursionError):
            raise StoreError(f"line {number} is no line of an audit export, or was changed") from None
        yield found


def _header(members: Mapping[str, Any]) -> Header:
    if members["version"] != VERSION:
        raise ValueError("another version")
    return Header(
        site=_text(members["site"]),
        made_at=_text(members["made_at"]),
        after=_head(members["after"]),
        last=_head(members["last"]),
        is_chained=bool(members["is_chained"]),
        is_to_the_end=bool(members["is_to_the_end"]),
        keys=tuple(_key(key) for key in members["keys"]),
        filter=dict(members["filter"]),
    )


def _checkpoint(members: Mapping[str, Any]) -> Checkpoint | DamagedLine:
    line = _number(members["line"])
    if "damaged" in members:
        return DamagedLine(line, _text(members["damaged"]))
    return parse_record(members["record"], line)


def _row(members: Mapping[str, Any]) -> ExportedRow:
    salt = members["detail_salt"]
    row = StoredRow(
        id=_number(members["id"]),
        ts_utc=_text(members["ts_utc"]),
        username=_text_or_none(members["username"]),
        kiosk_id=_text_or_none(members["kiosk_id"]),
        source_address=_text_or_none(members["source_address"]),
        action=_text(members["action"]),
        success=_number(members["success"]),
        reason=_text(members["reason"]),
        detail=_text_or_none(members["detail"]),
        detail_salt=None if salt is None else base64.b64decode(_text(salt), validate=True),
        detail_hash=_text(members["detail_hash"]),
        row_hash=_text(members["row_hash"]),
    )
    return ExportedRow(row, _text_or_none(members["prev_hash"]))


def _end(members: Mapping[str, Any]) -> End:
    return End(_number(members["rows"]), _head(members["last"]))


_READERS: Final[Mapping[str, Any]] = {KIND: _header, "checkpoint": _checkpoint, "row": _row, "end": _end}


def _line(members: Mapping[str, object]) -> bytes:
    # What a tampered database holds need not be Unicode: it is spelt so that the line can be read.
    return canonical_json(members).encode("utf-8", "backslashreplace") + b"\n"


def _place(head: Head) -> dict[str, object]:
    return {"row": head.sequence, "hash": head.row_hash}


def _head(members: Mapping[str, Any]) -> Head:
    return Head(_number(members["row"]), _text(members["hash"]))


def _key(value: object) -> bytes:
    key = base64.b64decode(_text(value), validate=True)
    if len(key) != 32:
        raise ValueError("no Ed25519 key")
    return key


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise ValueError("no number of a row")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError("no text")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else _text(value)
