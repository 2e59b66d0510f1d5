"""A start on trial: a server that nobody else can reach asks itself whether it serves, and ends.

It stands before the public socket is taken, so that nobody is let in by a release that is then taken back.
"""

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address
from threading import Event, Thread
from time import monotonic
from typing import Any, Final

from auth_server.probe import Probe
from auth_server.serving import Plan
from auth_server.settings import HealthSettings
from auth_server.watchdog import TIMEOUT_S, is_served

PLAN: Final = Plan(bind="127.0.0.1:0", workers=1, is_trial=True)
"""A port that the kernel chooses and nobody is told of. One worker, since it is not to serve many, but soon."""

_AGAIN_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Patience:
    """How many seconds a server on trial has, to answer and then to be ready."""

    answers_within_s: float = 60.0
    ready_within_s: float = 5.0


def _end() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class Trial:
    """Judges a server from its master and then ends it; `fault` says why it does not serve, None where it does."""

    def __init__(self, health: HealthSettings, patience: Patience = Patience(), end: Callable[[], None] = _end) -> None:
        self._health = health
        self._patience = patience
        self._end = end
        self._stopped = Event()
        self._said = ""
        self.fault: str | None = "it ended before it answered"

    def start(self, server: Any) -> None:
        """Judge in the background."""
        port = int(server.LISTENERS[0].getsockname()[1])
        probe = Probe(IPv4Address("127.0.0.1"), port, is_served, TIMEOUT_S)
        probe.hold_while_forking()
        Thread(target=self._judge, args=(probe,), name="trial", daemon=True).start()

    def stop(self) -> None:
        """Judge no more."""
        self._stopped.set()

    def _judge(self, probe: Probe) -> None:
        patience = self._patience
        if self._comes_true(probe.answers, patience.answers_within_s):
            is_ready = self._comes_true(self._is_ready, patience.ready_within_s)
            self.fault = None if is_ready else f"it is not ready: {self._said}"
        elif not self._stopped.is_set():
            self.fault = f"it did not answer over TLS in {patience.answers_within_s:.0f} s"
        if not self._stopped.is_set():
            self._end()

    def _comes_true(self, is_so: Callable[[], bool], within_s: float) -> bool:
        ends = monotonic() + within_s
        while not is_so():
            if monotonic() > ends or self._stopped.wait(_AGAIN_S):
                return False
        return True

    def _is_ready(self) -> bool:
        self._said = "its local port does not answer"
        try:
            with urllib.request.urlopen(f"http://{self._health.host}:{self._health.port}/readyz", timeout=2):
                return True
        except urllib.error.HTTPError as error:
            self._said = error.read(2000).decode(errors="replace")
        except OSError as error:
            self._said = f"its local port does not answer: {error}"
        return False
