"""Frames on a connection: the length is looked at before anything is kept, and every wait has an end."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Final

from auth_contract.wire import FRAME_MAX, HEADER, to_frame
from auth_server.gateway.settings import LimitSettings
from auth_server.sources import source_of

_LINGER_S: Final = 2.0
_LINGER_MAX_BYTES: Final = 2 * FRAME_MAX


class FrameTooLong(Exception):
    """A header claims more than a frame may have, so that nobody knows where the next one begins."""

    def __init__(self, length: int) -> None:
        super().__init__(f"a frame has at most {FRAME_MAX} bytes, this header claims {length}")


class ReceivingFull(Exception):
    """Frames are being received already for as many bytes as there may be at once."""


class Receiving:
    """How many bytes are claimed by frames that are received or wait for their answer, by address and in all."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._claimed: Counter[str] = Counter()

    @contextmanager
    def claim(self, peer: str, length: int) -> Iterator[None]:
        """Hold so many bytes. Raises ReceivingFull where there are not so many left for an address, or in all."""
        source = source_of(peer)
        is_much = self._claimed[source] + length > self._limits.receiving_per_address_bytes
        if is_much or self._claimed.total() + length > self._limits.receiving_max_bytes:
            raise ReceivingFull
        self._claimed[source] += length
        try:
            yield
        finally:
            self._claimed[source] -= length
            if not self._claimed[source]:
                del self._claimed[source]


@dataclass(frozen=True, slots=True)
class Begun:
    """A frame of which the header has come: its length, and by when, of the loop's clock, the rest must have."""

    length: int
    by: float


async def read_header(reader: asyncio.StreamReader, limits: LimitSettings) -> Begun | None:
    """Return the next frame's beginning, or None where the client closed between two frames.

    Raises TimeoutError where it was silent for too long, IncompleteReadError where it broke off within the
    header, FrameTooLong.
    """
    async with asyncio.timeout(limits.idle_timeout_s):
        first = await reader.read(1)
    if not first:
        return None
    by = asyncio.get_running_loop().time() + limits.request_timeout_s
    async with asyncio.timeout_at(by):
        rest = await reader.readexactly(HEADER.size - 1)
    (length,) = HEADER.unpack(first + rest)
    if length > FRAME_MAX:
        raise FrameTooLong(length)
    return Begun(int(length), by)


async def read_text(reader: asyncio.StreamReader, begun: Begun) -> bytes:
    """Return a frame's text. Raises TimeoutError, IncompleteReadError."""
    async with asyncio.timeout_at(begun.by):
        return await reader.readexactly(begun.length)


async def write_frame(writer: asyncio.StreamWriter, text: bytes, limits: LimitSettings) -> None:
    """Write a frame and wait until the client took it. Raises TimeoutError where it does not, ConnectionError."""
    writer.write(to_frame(text))
    async with asyncio.timeout(limits.write_timeout_s):
        await writer.drain()


async def linger(reader: asyncio.StreamReader) -> None:
    """Throw away what the client still sends until it closes, for two seconds at most.

    Closing at once on unread data would reset the connection, and the last reply would never be read.
    """
    left = _LINGER_MAX_BYTES
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(_LINGER_S):
            while left > 0 and (more := await reader.read(65_536)):
                left -= len(more)
