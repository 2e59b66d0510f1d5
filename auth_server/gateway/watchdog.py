"""What systemd hears of the gateway: ready once it answers a frame, alive while it does, stopping."""

import ssl
from collections.abc import Callable
from threading import Event, Thread
from typing import Final

from auth_client.systemd import Notifier
from auth_contract.wire import HEADER, WireReply, to_frame
from auth_server.gateway.settings import ListenSettings
from auth_server.probe import Probe, received

_TIMEOUT_S: Final = 8.0


def _is_answered(connection: ssl.SSLSocket) -> bool:
    """Whether an empty frame is refused in a frame: the loop does that by itself, however the auth server does."""
    connection.sendall(to_frame(b""))
    (length,) = HEADER.unpack(received(connection, HEADER.size))
    try:
        reply = WireReply.model_validate_json(received(connection, length))
    except ValueError:
        return False
    return reply.status == "error"


class Watchdog:
    """Tells systemd how this gateway does; nothing where no systemd started it."""

    def __init__(self, listen: ListenSettings, notifier: Notifier, is_full: Callable[[], bool]) -> None:
        """`is_full` says whether connections are closed without a word, because there are so many."""
        asks_for_certificates = listen.client_ca is not None  # of which the probe has none, and is closed for it
        self._notifier = notifier
        self._probe = Probe(
            listen.host, listen.port, _is_answered, _TIMEOUT_S, lambda: asks_for_certificates or is_full()
        )
        self._stopped = Event()

    def start(self) -> None:
        """Look from now on; the gateway is ready once it answers."""
        work = (self._probe.answers, self._stopped)
        Thread(target=self._notifier.attend, args=work, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Look no more: the gateway is ending on purpose."""
        self._stopped.set()
        self._notifier.stopping()
