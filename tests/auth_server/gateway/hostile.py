"""What a hostile client sends: right requests bent in one place or several, and streams that break the framing."""

import itertools
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

FRAME_MAX_BYTES = 4 * 1024 * 1024
LENGTHS = (0, 1, 2, 3, 4, FRAME_MAX_BYTES, FRAME_MAX_BYTES + 1, 2**31 - 1, 2**31, 2**32 - 1)
"""Of messages: none at all, hardly any, the largest, one too large, and where 32 bits change their sign."""

TEXTS = (
    "",
    " ",
    "\0",
    "ada\0",
    "\ud800",
    "a\u202eb",
    "\u0301" * 60,
    "ﷺ" * 64,
    "' OR 1=1 --",
    "../../etc/passwd",
    "a" * 100_000,
    "100",
    "100 ",
    "new",
    "١٢٣٤٥٦",
    "9" * 5000,
    "1e309",
    "NaN",
    "/9j/",
    "=" * 64,
    "ff:ff:ff:ff:ff:ff",
    "00:00:00:00:00:00",
    "9999-12-31T23:59:59.999999-23:59",
    "0001-01-01T00:00:00+23:59",
    "2026-11-27T23:59:60Z",
)
NUMBERS = (0, -1, 1, 100, 2**31, 2**63, 2**64, -(2**64), 10**400, 0.1, -0.0, 1e308, 5e-324)
RAW_NUMBERS = ("1e999", "-1e999", "NaN", "Infinity", "-Infinity", "1" * 5000, "00", "0x10", "1.", "+1", "1e", "-")
"""Texts in the place of a value that JSON does not know, or that no number holds."""


def deep(levels: int, opening: str = "[", closing: str = "]") -> str:
    """A value of so many levels, as text."""
    return opening * levels + closing * levels


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=80)
    | st.sampled_from(TEXTS)
    | st.sampled_from(NUMBERS)
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
"""Any JSON value, and NaN and half characters, which JSON has not but Python writes."""

raw_values = (
    st.sampled_from(RAW_NUMBERS)
    | st.sampled_from((10, 100, 3000, 100_000)).map(deep)
    | st.sampled_from((10, 100, 3000)).map(lambda levels: deep(levels, '{"a":', "}").replace(":}", ":1}", 1))
    | st.sampled_from(('"\\ud800"', '"\\udc00\\ud800"', '"\\u0000"', '"\\x41"', '"', "'a'", "//", "undefined", ""))
    | st.just("[" + "1," * 20_000 + "1]")
)
"""A value's text, right or wrong, that no encoder would write."""


@st.composite
def bent_fields(draw: st.DrawFn, right: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a right request with one to three of them replaced, removed, renamed, or with others added."""
    fields = dict(right)
    for _ in range(draw(st.integers(1, 3))):
        name = draw(st.sampled_from(sorted(fields) or ["cmd"]))
        match draw(st.sampled_from(("replace", "remove", "rename", "add", "nest", "swap"))):
            case "replace":
                fields[name] = draw(values)
            case "remove":
                fields.pop(name, None)
            case "rename":
                fields[draw(st.sampled_from((name.upper(), f"{name} ", f"{name}\0", "")))] = fields.pop(name, None)
            case "add":
                fields[
                    draw(st.text(max_size=12) | st.sampled_from(("attempt_id", "frames", "kiosk_id", "permission")))
                ] = draw(values)
            case "nest":
                fields[name] = draw(st.sampled_from(([fields.get(name)], {name: fields.get(name)})))
            case "swap":
                fields[name] = fields[draw(st.sampled_from(sorted(fields)))] if fields else None
    return fields


@st.composite
def bent_requests(draw: st.DrawFn, right: Mapping[str, Any]) -> bytes:
    """The text of a right request, bent in its fields, its JSON or its bytes."""
    kind = draw(st.sampled_from(("fields", "raw", "twice", "cut", "bytes", "encoding", "around", "no object")))
    if kind == "fields":
        return json.dumps(draw(bent_fields(right))).encode()
    if kind == "no object":
        return json.dumps(draw(values)).encode("utf-8", "surrogatepass")
    text = json.dumps(right)
    if kind == "raw":
        name = draw(st.sampled_from(sorted(right)))
        without = {key: value for key, value in right.items() if key != name}
        return f"{json.dumps(without)[:-1]}, {json.dumps(name)}: {draw(raw_values)}}}".encode()
    if kind == "twice":
        name = draw(st.sampled_from(sorted(right)))
        return f"{text[:-1]}, {json.dumps(name)}: {json.dumps(draw(scalars))}}}".encode()
    if kind == "encoding":
        return text.encode(draw(st.sampled_from(("utf-16", "utf-32", "utf-8-sig", "utf-16-be"))))
    if kind == "around":
        return draw(st.binary(max_size=8)) + text.encode() + draw(st.binary(max_size=8))
    data = bytearray(text.encode())
    place = draw(st.integers(0, len(data) - 1))
    if kind == "cut":
        return bytes(data[:place])
    data[place : place + draw(st.integers(0, 3))] = draw(st.binary(max_size=6))
    return bytes(data)


@dataclass(frozen=True)
class Stream:
    """Bytes as a client sends them, cut into `pieces`, and what must be said to it.

    `replies` are owed, each an error or not; then the client ends the connection.
    """

    pieces: tuple[bytes, ...]
    replies: int


_possible = [length for length in LENGTHS if 0 < length <= FRAME_MAX_BYTES]
_impossible = [length for length in LENGTHS if length > FRAME_MAX_BYTES]


@st.composite
def streams(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> Stream:
    """Up to five messages in a row, and a tail that breaks off or cannot be followed."""
    bodies = draw(st.lists(messages | st.binary(max_size=64), max_size=5))
    tail, replies = draw(tails())
    data = b"".join(struct.pack(">I", len(body)) + body for body in bodies) + tail
    places = draw(st.lists(st.integers(0, len(data)), max_size=6))
    edges = [0, *sorted(set(places)), len(data)]
    return Stream(tuple(data[start:end] for start, end in itertools.pairwise(edges)), len(bodies) + replies)


@st.composite
def tails(draw: st.DrawFn) -> tuple[bytes, int]:
    """How a stream breaks off, and how many replies that is owed: one where a length is above the limit."""
    kind = draw(st.sampled_from(("none", "partial header", "silence", "short", "broken length")))
    if kind == "partial header":
        return draw(st.binary(min_size=1, max_size=3)), 0
    if kind == "silence":
        return struct.pack(">I", draw(st.sampled_from(_possible))), 0
    if kind == "short":
        return struct.pack(">I", 1000) + draw(st.binary(max_size=999)), 0
    if kind == "broken length":
        length = draw(st.sampled_from(_impossible) | st.integers(FRAME_MAX_BYTES + 1, 2**32 - 1))
        return struct.pack(">I", length) + draw(st.binary(max_size=64)), 1
    return b"", 0
