"""What systemd hears of the server: ready once a worker answers, alive while one does, stopping.

gunicorn's own word to systemd comes before any worker has loaded its models, and it has none for the watchdog.
So its master looks at itself from a thread, through a worker; and what systemd said in the environment is taken
out of it, so that neither gunicorn nor a worker speaks.
"""

import ssl
from threading import Event, Thread
from typing import Any, Final

from auth_client.systemd import Notifier
from auth_contract import paths
from auth_server import listener
from auth_server.probe import Probe, received
from auth_server.settings import ListenSettings

TIMEOUT_S: Final = 8.0
"""Below the kiosk's own patience, and long enough for a worker with all threads at work."""

_REQUEST: Final = f"GET {paths.JWKS} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
"""What anybody may ask, and what no row is written for; the answer needs a thread, the application and a key file."""

_GOOD: Final = b"HTTP/1.1 200 "


def is_served(connection: ssl.SSLSocket) -> bool:
    """Return whether a worker answers what anybody may ask."""
    connection.sendall(_REQUEST)
    return received(connection, len(_GOOD)) == _GOOD


class Watchdog:
    """Tells systemd how this server does, and gives it the listening socket where it has none; nothing without one."""

    def __init__(self, listen: ListenSettings, notifier: Notifier, *, is_kept: bool = False) -> None:
        self._notifier = notifier
        self._is_kept = is_kept
        self._probe = Probe(listen.host, listen.port, is_served, TIMEOUT_S)
        self._stopped = Event()

    def start(self, server: Any) -> None:
        """Look from now on; the server is ready once it answers. In gunicorn's master, as it begins to listen."""
        if not self._notifier.is_heard:
            return
        if not self._is_kept:
            listener.keep(server, self._notifier)
        self._probe.hold_while_forking()
        work = (self._probe.answers, self._stopped)
        Thread(target=self._notifier.attend, args=work, name="watchdog", daemon=True).start()

    def stop(self) -> None:
        """Look no more: the server is ending on purpose."""
        self._stopped.set()
        self._notifier.stopping()
