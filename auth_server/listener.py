"""The listening socket, which systemd keeps while the server is started anew.

Connections that come meanwhile wait in the kernel until the next server takes the socket, where they would be refused.
The protocol is sd_notify(3)'s FDSTORE and sd_listen_fds(3). Without a systemd that keeps it, each start opens its own.
"""

import os
import socket
from typing import Any, Final

from auth_client.systemd import Notifier
from auth_server.settings import ListenSettings

NAME: Final = "listener"
_FIRST: Final = 3
_VARIABLES: Final = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")


def kept(listen: ListenSettings, notifier: Notifier, first: int = _FIRST) -> int | None:
    """Return the descriptor of the socket that the server of before listened on; None where there is none.

    One at another address than `listen` names is given up. Takes what systemd says of it out of the environment.
    """
    said = {name: os.environ.pop(name, "") for name in _VARIABLES}
    if said["LISTEN_PID"] != str(os.getpid()):
        return None
    found = None
    for number in range(first, first + int(said["LISTEN_FDS"] or 0)):
        if found is None and _address(number) == (str(listen.host), listen.port):
            found = number
        else:
            os.close(number)
    if found is None:
        notifier.send(f"FDSTOREREMOVE=1\nFDNAME={NAME}")
    return found


def keep(server: Any, notifier: Notifier) -> None:
    """Give systemd the socket that gunicorn's master opened."""
    for listener in server.LISTENERS:
        notifier.keep(listener.sock.fileno(), NAME)


def _address(number: int) -> tuple[str, int] | None:
    """Where a descriptor listens; None where it is no listening socket of TCP."""
    try:
        with socket.socket(fileno=os.dup(number)) as looked:
            is_listening = looked.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
            host, port, *_ = looked.getsockname()
    except (OSError, ValueError):
        return None
    return (str(host), int(port)) if is_listening else None
