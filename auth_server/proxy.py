"""Whose request it is where a proxy stands before all kiosks: the proxy's word counts, and nobody else's."""

import ipaddress
from collections.abc import Callable, Iterable
from typing import Any, Final

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]

_SAID: Final = "HTTP_X_FORWARDED_FOR"


class BehindProxy:
    """Gives an application the client's address where it would see the proxy's.

    A proxy adds the address that it sees to the end of X-Forwarded-For; what stands before it is what the client
    said of itself, and is not read. Without an address at the end the request counts as the proxy's own.
    """

    def __init__(self, application: Wsgi, proxy: str) -> None:
        self._application = application
        self._proxy = proxy

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer as the application does."""
        if environ.get("REMOTE_ADDR") == self._proxy:
            environ["REMOTE_ADDR"] = _last(environ.get(_SAID, "")) or self._proxy
        return self._application(environ, start_response)


def _last(said: str) -> str | None:
    try:
        return str(ipaddress.ip_address(said.rpartition(",")[2].strip()))
    except ValueError:
        return None
