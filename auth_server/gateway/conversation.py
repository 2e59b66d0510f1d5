"""One connection: a request is read, answered and its reply written, until one side closes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import structlog

from auth_contract.wire import to_json
from auth_server.gateway import answers
from auth_server.gateway.admittance import Admittance, Busy
from auth_server.gateway.frames import (
    Begun,
    FrameTooLong,
    Receiving,
    ReceivingFull,
    linger,
    read_header,
    read_text,
    write_frame,
)
from auth_server.gateway.metrics import REFUSED
from auth_server.gateway.requests import empty
from auth_server.gateway.settings import LimitSettings
from auth_server.probe import is_own

log = structlog.get_logger(__name__)

_TOO_FAST_S: Final = 1.0
"""Before whoever asked too often is told so; the next request is not read before that."""

Answer = Callable[[bytes, str], Awaitable[bytes]]
"""Returns the reply's JSON to a frame of the client at an address."""


@dataclass(slots=True)
class Conversation:
    """A client's connection. `is_idle` while no header of a request has come whole, so that it may be closed."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    peer: str
    limits: LimitSettings
    admittance: Admittance
    receiving: Receiving
    answer: Answer
    is_idle: bool = False
    is_ending: bool = False

    async def hold(self) -> None:
        """Serve until the client closes, breaks off, or breaks a rule after which no frame can follow.

        Raises TimeoutError, IncompleteReadError or ConnectionError where it ended without a word.
        """
        while not self.is_ending:
            try:
                if not await self._turn():
                    return None
            except FrameTooLong as error:
                return await self._last(str(error), "frame_too_long")
            except ReceivingFull:
                return await self._last(answers.BUSY, "receiving_full")
        return None

    async def _turn(self) -> bool:
        """Read one request and answer it; False where the client closed instead."""
        begun = await self._header()
        if begun is None:
            return False
        with self.receiving.claim(self.peer, begun.length):
            reply = await self._reply(await read_text(self.reader, begun))
        await write_frame(self.writer, reply, self.limits)
        return True

    async def _header(self) -> Begun | None:
        self.is_idle = True
        try:
            return await read_header(self.reader, self.limits)
        finally:
            self.is_idle = False

    async def _reply(self, text: bytes) -> bytes:
        if not self.admittance.may_ask(self.peer):
            # What is read already is answered without a wait, so a thousand such requests would hold all others up.
            await asyncio.sleep(_TOO_FAST_S)
            return self._refused(answers.TOO_FAST, "too_fast")
        if not text and is_own(self.peer):  # the watchdog, which must not wait for a place at a server that hangs
            return to_json(answers.unusable(empty()))
        try:
            async with self.admittance.place(self.peer):
                if self.reader.at_eof():
                    # Nobody would learn of what was done, a new secret for one.
                    raise ConnectionAbortedError("the client left while its request waited")
                return await self.answer(text, self.peer)
        except Busy:
            return self._refused(answers.BUSY, "busy")

    async def _last(self, message: str, why: str) -> None:
        """Say why, and let the client read it before the connection closes."""
        await write_frame(self.writer, self._refused(message, why), self.limits)
        await linger(self.reader)

    def _refused(self, message: str, why: str) -> bytes:
        REFUSED.labels(why).inc()
        log.info("refused", peer=self.peer, why=why)
        return to_json(answers.error(message))
