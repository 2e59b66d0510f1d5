"""The addresses of a site's servers, in the order in which they are tried now.

The servers share one store, so any of them may answer; the order of the settings says which is wanted. One that failed
is tried after the others for a while, so that a dead one costs its time-out once and not each person.
"""

from collections.abc import Callable
from math import inf
from threading import Lock

import structlog

from auth_client.errors import ServerNotTrusted
from auth_client.failures import Failure, words
from auth_client.settings import ServerSettings


class Addresses:
    """What the clients of one process know of their servers; for any thread.

    A heartbeat that finds a server dead spares the next person the wait for it.
    """

    def __init__(self, settings: ServerSettings, monotonic: Callable[[], float]) -> None:
        self._urls = settings.urls
        self._away_s = settings.away_s
        self._monotonic = monotonic
        self._failed_at: dict[str, float] = {}
        self._told: dict[str, str] = {}
        self._strangers: set[str] = set()
        self._in_use = self._urls[0]
        self._lock = Lock()

    def in_order(self, first: str | None = None) -> tuple[str, ...]:
        """Return all addresses; those that failed within `away_s` stand last, and who failed longest ago before others.

        `first` stands before the rest, unless it failed within that time.
        """
        with self._lock:
            return self._in_order(first)

    def answered(self, url: str) -> None:
        """Note that the server at this address serves."""
        with self._lock:
            self._failed_at.pop(url, None)
            self._told.pop(url, None)
            self._strangers.discard(url)
            # A submission that ends where it began, while the first is back already, changes nothing.
            if url != self._in_use and url == self._in_order()[0]:
                _log().info("server_changed", address=url, before=self._in_use)
                self._in_use = url

    def failed(self, url: str, failure: Failure) -> None:
        """Note that the server at this address does not serve, and log a new reason; of a single one callers tell."""
        if len(self._urls) == 1:
            return
        why = words(failure)
        with self._lock:
            self._failed_at[url] = self._monotonic()
            if isinstance(failure, ServerNotTrusted):
                self._strangers.add(url)
            if self._told.get(url) != why:
                _log().warning("server_failed", address=url, error=why)
                self._told[url] = why

    @property
    def strangers(self) -> tuple[str, ...]:
        """The addresses at which another key was shown, and the right one not since."""
        with self._lock:
            return tuple(url for url in self._urls if url in self._strangers)

    def _in_order(self, first: str | None = None) -> tuple[str, ...]:
        now = self._monotonic()
        return tuple(sorted(self._urls, key=lambda url: (self._away_since(url, now), url != first)))

    def _away_since(self, url: str, now: float) -> float:
        at = self._failed_at.get(url, -inf)
        return at if now - at < self._away_s else -inf


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("auth_client.addresses")
    return logger
