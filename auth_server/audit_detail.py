"""Text of an audit row: bounded when it is stored, whatever strangers sent. Pure."""

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from auth_contract.limits import USERNAME_MAX_CHARS
from auth_server.canonical import canonical_json, utc_text

DETAIL_MAX_BYTES: Final = 4096
CUT: Final = "…"
"""Ends a value of which a part was left out."""

_MEMBERS_MAX = 64
_DEPTH_MAX = 6
_INTEGER_MAX = 2**53
"""Beyond it two readers of JSON may see two numbers (RFC 8785)."""


def name_text(value: str | None) -> str | None:
    """Return a name, id or address of at most 65 characters: one that was cut ends in `…`."""
    return None if value is None else _storable(_cut(value, USERNAME_MAX_CHARS))


def detail_text(detail: Mapping[str, object]) -> str:
    """Return a detail as canonical JSON of at most 4 KiB; whatever had to be left out is marked by `…`.

    It never fails: what JSON does not have is named by its type, and never printed.
    """
    try:
        text = _storable(canonical_json(detail))
        if len(text.encode()) <= DETAIL_MAX_BYTES:
            return text
    except (TypeError, ValueError, RecursionError):
        pass  # told below in a form that always fits
    for longest in (1000, 200, 40):
        text = _storable(canonical_json(_bounded_members(detail, longest, _DEPTH_MAX)))
        if len(text.encode()) <= DETAIL_MAX_BYTES:
            return text
    return canonical_json({CUT: len(detail)})


def _storable(text: str) -> str:
    # NUL ends text on other databases, and half a surrogate pair is no text at all.
    return text.replace("\0", "\\u0000").encode("utf-8", "backslashreplace").decode()


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + CUT


def _bounded_members(members: Mapping[Any, object], longest: int, depth: int) -> dict[str, object]:
    kept = {_cut(str(k), 64): _bounded(v, longest, depth) for k, v in list(members.items())[:_MEMBERS_MAX]}
    return kept if len(members) <= _MEMBERS_MAX else {**kept, CUT: len(members) - _MEMBERS_MAX}


def _bounded(value: object, longest: int, depth: int) -> object:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) < _INTEGER_MAX else CUT
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str):
        return _cut(value, longest)
    if isinstance(value, datetime) and value.tzinfo is not None:
        return utc_text(value)
    if depth == 0 or not isinstance(value, Mapping | list | tuple | set | frozenset):
        return f"<{type(value).__name__}>"
    if isinstance(value, Mapping):
        return _bounded_members(value, longest, depth - 1)
    items = [_bounded(item, longest, depth - 1) for item in list(value)[:_MEMBERS_MAX]]
    return items if len(value) <= _MEMBERS_MAX else [*items, CUT]
