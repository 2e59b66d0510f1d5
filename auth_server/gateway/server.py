"""All connections of a gateway, from the first to the drain."""

import asyncio
import socket
import ssl
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Final

import structlog

from auth_contract.fields import canonical_address
from auth_contract.wire import to_json
from auth_server.errors import StartRefused
from auth_server.gateway import answers
from auth_server.gateway.admittance import Admittance
from auth_server.gateway.conversation import Conversation
from auth_server.gateway.forwarding import Forwarder
from auth_server.gateway.frames import Receiving, linger, write_frame
from auth_server.gateway.metrics import CONNECTIONS, REFUSED
from auth_server.gateway.settings import GatewaySettings, ListenSettings

log = structlog.get_logger(__name__)

_BACKLOG: Final = 256
_BUFFER: Final = 64 * 1024
_SHUTDOWN_S: Final = 2.0
_REFUSALS_MAX: Final = 16
"""Connections above the limits that are told so at once; any more are closed without a handshake."""

_NO_FILES_S: Final = 0.1
"""Wait after an accept that failed for want of file descriptors, which would fail again at once."""

ENDED: Final = (OSError, asyncio.IncompleteReadError)
"""How a client leaves, willingly or not, time-outs among it: no fault of ours."""


def tls_context(listen: ListenSettings) -> ssl.SSLContext:
    """Return the context of TLS 1.2 and newer. Raises OSError for files that cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")  # what of TLS 1.2 has forward secrecy and is not broken
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.load_cert_chain(listen.tls_certificate, listen.tls_key)
    if listen.client_ca is not None:
        context.load_verify_locations(listen.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def open_socket(listen: ListenSettings) -> socket.socket:
    """Return the listening socket. Raises StartRefused where the address cannot be had."""
    family = socket.AF_INET6 if listen.host.version == 6 else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # Inherited by connections: the kernel would keep megabytes for each client that does not read, or is not read.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _BUFFER)
        opened.bind((str(listen.host), listen.port))
        opened.listen(_BACKLOG)
    except OSError as error:
        opened.close()
        asked = f"listen.host = {listen.host}, listen.port = {listen.port}"
        raise StartRefused(f"{asked}: {error.strerror}: name an address of this machine and a free port") from error
    opened.setblocking(False)
    return opened


class Gateway:
    """The connections of one gateway. `serve` runs until `stop`, then lets what is under way end."""

    def __init__(self, settings: GatewaySettings, listener: socket.socket, forwarder: Forwarder) -> None:
        self._limits = settings.limits
        self._listener = listener
        self._context = tls_context(settings.listen)
        self._forwarder = forwarder
        self._pool = ThreadPoolExecutor(self._limits.requests_in_flight, thread_name_prefix="forward")
        self._admittance = Admittance(self._limits)
        self._receiving = Receiving(self._limits)
        self._tasks: dict[asyncio.Task[None], Conversation | None] = {}
        self._refusing = 0
        self._stopped = asyncio.Event()

    @property
    def is_full(self) -> bool:
        """Whether connections are closed without a word now, because even those that are told so are too many."""
        return self._refusing >= _REFUSALS_MAX

    def stop(self) -> None:
        """Take no more connections, close those that ask nothing, and end when the rest was answered."""
        self._stopped.set()

    async def serve(self) -> None:
        """Serve until stopped and drained."""
        accepting, stopping = asyncio.create_task(self._accept()), asyncio.create_task(self._stopped.wait())
        await asyncio.wait([accepting, stopping], return_when=asyncio.FIRST_COMPLETED)
        if accepting.done():
            accepting.result()  # raises what ended it: a process that takes nobody in must not look alive
        accepting.cancel()
        self._listener.close()
        await self._drain()
        self._pool.shutdown(wait=True)

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, address = await loop.sock_accept(self._listener)
            except OSError as error:
                log.error("not_accepted", error=error.strerror)
                await asyncio.sleep(_NO_FILES_S)
                continue
            self._admit(connection, canonical_address(str(address[0])))

    def _admit(self, connection: socket.socket, peer: str) -> None:
        why = self._admittance.enter(peer)
        if why is None:
            task = asyncio.create_task(self._hold(connection, peer))
        else:
            REFUSED.labels(f"connections_{why}").inc()
            log.info("refused", peer=peer, why=f"connections_{why}")
            if self.is_full:
                connection.close()
                return
            self._refusing += 1
            task = asyncio.create_task(self._refuse(connection, answers.TOO_MANY if why == "address" else answers.FULL))
        self._tasks[task] = None
        task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("connection_broke", error=type(error).__name__)

    async def _hold(self, connection: socket.socket, peer: str) -> None:
        CONNECTIONS.inc()
        writer = None
        try:
            reader, writer = await self._shake_hands(connection)
            conversation = Conversation(
                reader, writer, peer, self._limits, self._admittance, self._receiving, self._answer
            )
            task = asyncio.current_task()
            if task is not None:
                self._tasks[task] = conversation
            conversation.is_ending = self._stopped.is_set()
            await conversation.hold()
        except ENDED as end:
            log.debug("ended", peer=peer, how=type(end).__name__)
        finally:
            try:
                await _close(connection, writer)
            finally:
                self._admittance.leave(peer)
                CONNECTIONS.dec()

    async def _refuse(self, connection: socket.socket, message: str) -> None:
        writer = None
        try:
            reader, writer = await self._shake_hands(connection)
            await write_frame(writer, to_json(answers.error(message)), self._limits)
            await linger(reader)
        except ENDED:
            return
        finally:
            self._refusing -= 1
            await _close(connection, writer)

    async def _shake_hands(self, connection: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(limit=_BUFFER)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await loop.connect_accepted_socket(
            lambda: protocol,
            connection,
            ssl=self._context,
            ssl_handshake_timeout=self._limits.handshake_timeout_s,
            ssl_shutdown_timeout=_SHUTDOWN_S,
        )
        # Little is kept for a client that does not read: `drain` waits until TLS gave all away. At 0, asyncio's
        # TLS pauses where it should go on.
        transport.set_write_buffer_limits(high=1)
        return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

    async def _answer(self, text: bytes, peer: str) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._forwarder.answer, text, peer)

    async def _drain(self) -> None:
        for task, conversation in list(self._tasks.items()):
            if conversation is None:
                continue
            conversation.is_ending = True
            if conversation.is_idle:
                task.cancel()
        if self._tasks:
            _, late = await asyncio.wait(list(self._tasks), timeout=self._limits.drain_timeout_s)
            for task in late:
                task.cancel()
            log.info("drained", cut_off=len(late))
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=_SHUTDOWN_S)


async def _close(connection: socket.socket, writer: asyncio.StreamWriter | None) -> None:
    if writer is None:
        connection.close()
        return
    writer.close()
    with suppress(*ENDED):
        await writer.wait_closed()
