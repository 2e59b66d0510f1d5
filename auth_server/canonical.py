"""One spelling for one value, so that a hash or signature over it can be made again by anybody."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime

_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def canonical_json(members: Mapping[str, object]) -> str:
    """Return an object as JSON with sorted keys, no spaces and no needless escapes.

    For text, whole numbers, true, false and null this is RFC 8785. Raises ValueError for NaN,
    TypeError for what JSON does not have.
    """
    return _ENCODER.encode(members)


def utc_text(value: datetime) -> str:
    """Return an aware time as `2026-11-22T09:30:00.000000Z`, always 27 characters.

    Raises ValueError on a naive time: nobody can say which hour it means.
    """
    if value.tzinfo is None:
        raise ValueError("a time carries its offset: pass an aware datetime")
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
