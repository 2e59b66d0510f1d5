"""One line of the checkpoint file: a JSON object, as it is written and as it is read back. Pure."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from auth_server.audit_chain import RESTORE, Checkpoint, DamagedLine, Head, Restore
from auth_server.canonical import canonical_json

LINE_MAX_BYTES: Final = 1024
_SEQUENCE_MAX: Final = 2**63 - 1


def line_of(made: Checkpoint) -> bytes:
    """Spell a signed checkpoint as a line, ended by a newline."""
    return canonical_json({**made.members(), "signature": base64.b64encode(made.signature).decode()}).encode() + b"\n"


def parse_line(line: bytes, number: int) -> Checkpoint | DamagedLine:
    """Read one line of the file, ended by a newline."""
    if not line.endswith(b"\n"):
        return DamagedLine(number, "its end is missing, as after a power cut")
    try:
        members = json.loads(line)
        return Checkpoint(
            sequence=_number(members["sequence"]),
            head=_text(members["head"]),
            ts_utc=_text(members["ts_utc"]),
            key_id=_text(members["key_id"]),
            signature=base64.b64decode(members["signature"], validate=True),
            line=number,
            restore=_restore(members) if "kind" in members else None,
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return DamagedLine(number, "it is no checkpoint record")


def _restore(members: Mapping[str, Any]) -> Restore:
    if members["kind"] != RESTORE:
        raise ValueError("another kind")
    given_up = Head(_number(members["old_sequence"]), _text(members["old_head"]))
    return Restore(_number(members["kept"]), given_up, _number(members["line"]))


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _SEQUENCE_MAX:
        raise ValueError("no number of a row")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isascii():
        raise ValueError("no text")
    return value
