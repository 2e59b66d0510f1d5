"""Black and white pictures as PNG (ISO/IEC 15948), of which a QR code needs no more than this. Pure."""

import struct
import zlib
from collections.abc import Sequence
from typing import Final

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_GREY_OF_ONE_BIT: Final = struct.pack(">5B", 1, 0, 0, 0, 0)
"""Depth and colour type, then the one way each to compress, to filter, and not to interlace."""


def png(dark: Sequence[Sequence[bool]], scale: int) -> bytes:
    """Return rows of modules, true where one is dark, as a picture with so many pixels to each side of a module."""
    rows = b"".join(_row(row, scale) * scale for row in dark)
    size = struct.pack(">2I", len(dark[0]) * scale, len(dark) * scale)
    parts = ((b"IHDR", size + _GREY_OF_ONE_BIT), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(name, data) for name, data in parts)


def _row(row: Sequence[bool], scale: int) -> bytes:
    """Pixels as bits, light ones set, behind the number of the filter that changes nothing."""
    bits = "".join(("0" if is_dark else "1") * scale for is_dark in row)
    whole = bits.ljust(-(-len(bits) // 8) * 8, "0")
    return b"\0" + int(whole, 2).to_bytes(len(whole) // 8)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
