"""One line of the checkpoint file: a JSON object, as it is written and as it is read back. Pure."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from auth_server.audit_chain import HAND_OVER, RESTORE, Checkpoint, DamagedLine, HandOver, Head, Restore
from auth_server.canonical import canonical_json

LINE_MAX_BYTES: Final = 1024
_SEQUENCE_MAX: Final = 2**63 - 1
_ORDINARY: Final = "ordinary"
"""Stands for the kind that an ordinary checkpoint does not name."""


def line_of(made: Checkpoint) -> bytes:
    """Spell a signed checkpoint as a line, ended by a newline."""
    return canonical_json(record_of(made)).encode() + b"\n"


def record_of(made: Checkpoint) -> dict[str, object]:
    """Return a checkpoint's members with its signatures, as `parse_record` reads them."""
    signatures = {"signature": made.signature, "new_signature": made.countersignature}
    spelt = {name: base64.b64encode(value).decode() for name, value in signatures.items() if value}
    return {**made.members(), **spelt}


def parse_line(line: bytes, number: int) -> Checkpoint | DamagedLine:
    """Read one line of the file, ended by a newline."""
    if not line.endswith(b"\n"):
        return DamagedLine(number, "its end is missing, as after a power cut")
    try:
        return parse_record(json.loads(line), number)
    except (ValueError, RecursionError):
        return DamagedLine(number, "it is no checkpoint record")


def parse_record(members: Any, number: int) -> Checkpoint:
    """Return what a line of this number says. Raises ValueError for anything but a checkpoint's members."""
    try:
        kind = members.get("kind", _ORDINARY)
        return Checkpoint(
            sequence=_number(members["sequence"]),
            head=_text(members["head"]),
            ts_utc=_text(members["ts_utc"]),
            key_id=_text(members["key_id"]),
            signature=_bytes(members["signature"]),
            line=number,
            restore=None if kind in (_ORDINARY, HAND_OVER) else _restore(members),
            hand_over=_hand_over(members) if kind == HAND_OVER else None,
            countersignature=_bytes(members["new_signature"]) if kind == HAND_OVER else b"",
        )
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError("no checkpoint record") from error


def _hand_over(members: Mapping[str, Any]) -> HandOver:
    return HandOver(_key(members["old_key"]), _key(members["new_key"]), _number(members["line"]))


def _restore(members: Mapping[str, Any]) -> Restore:
    if members["kind"] != RESTORE:
        raise ValueError("another kind")
    given_up = Head(_number(members["old_sequence"]), _text(members["old_head"]))
    return Restore(_number(members["kept"]), given_up, _number(members["line"]))


def _key(value: object) -> bytes:
    key = _bytes(value)
    if len(key) != 32:
        raise ValueError("no Ed25519 key")
    return key


def _bytes(value: object) -> bytes:
    return base64.b64decode(_text(value), validate=True)


def _number(value: object) -> int:
    if type(value) is not int or not 0 <= value <= _SEQUENCE_MAX:
        raise ValueError("no number of a row")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.isascii():
        raise ValueError("no text")
    return value
