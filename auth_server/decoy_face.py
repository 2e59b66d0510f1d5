"""The face of nobody: what the decoy has where an account has its template and enrolled picture. Pure.

It has the form and about the size of a real one, so that reading, opening and decoding it take as long.
"""

import functools
import math
import struct
import zlib
from collections.abc import Callable
from typing import Final

SIDE: Final = 128
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_FIVE_BITS: Final = bytes(96 + number % 32 for number in range(256))
"""Noise of so many bits packs to 31 KB, as an aligned face does; of eight bits it would be 49 KB."""


@functools.cache
def noise_png(random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a PNG of noise, RGB of 128 x 128; made once, because packing it takes some milliseconds."""
    row = 3 * SIDE
    noise = random_bytes(row * SIDE).translate(_FIVE_BITS)
    rows = b"".join(b"\0" + noise[at : at + row] for at in range(0, len(noise), row))
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0)
    return _SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", zlib.compress(rows)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def noise_embedding(size: int, random_bytes: Callable[[int], bytes]) -> bytes:
    """Return a unit vector that is nobody's face, as little-endian float32."""
    numbers = [number / 2**15 or 1.0 for number in struct.unpack(f"<{size}h", random_bytes(2 * size))]
    length = math.sqrt(sum(number * number for number in numbers))
    return struct.pack(f"<{size}f", *(number / length for number in numbers))
