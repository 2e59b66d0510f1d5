"""The local port of a program: liveness, readiness and metrics, for this machine alone.

Several processes of one program listen on the same port (SO_REUSEPORT): any of them answers for itself.
"""

import json
import socket
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST

from auth_server.errors import StartRefused
from auth_server.settings import HealthSettings

Parts = Callable[[], Mapping[str, str]]
"""Tells what is wrong, by part; empty where nothing is."""


class _Handler(BaseHTTPRequestHandler):
    server: "LocalPort"
    timeout = 5
    """Seconds for which a connection may be silent; each takes a thread."""

    def do_GET(self) -> None:
        if self.path == "/livez":
            self._answer(200, "application/json", b'{"alive":true}')
        elif self.path == "/readyz":
            faults, warnings = self.server.faults(), self.server.warnings()
            body = json.dumps({"ready": not faults, "faults": dict(faults), "warnings": dict(warnings)}).encode()
            self._answer(503 if faults else 200, "application/json", body)
        elif self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, self.server.metrics())
        else:
            self._answer(404, "text/plain", b"only /livez, /readyz and /metrics\n")

    def _answer(self, status: int, mimetype: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", mimetype)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: probes come every few seconds."""


class LocalPort(ThreadingTCPServer):
    """The listener of one process. `faults` stand in the way of serving, `warnings` do not."""

    allow_reuse_address = True
    allow_reuse_port = True
    daemon_threads = True

    def __init__(self, settings: HealthSettings, faults: Parts, warnings: Parts, metrics: Callable[[], bytes]) -> None:
        """Listen. Raises StartRefused when another program has the port."""
        self.faults = faults
        self.warnings = warnings
        self.metrics = metrics
        try:
            super().__init__((settings.host, settings.port), _Handler)
        except OSError as error:
            raise _taken(settings, error) from error

    def start(self) -> None:
        """Answer in the background until `shutdown`."""
        Thread(target=self.serve_forever, name="health", daemon=True).start()


def refuse_taken_port(settings: HealthSettings) -> None:
    """Raise StartRefused when another program has the port; a server of the same user may share it."""
    with socket.socket() as probe:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            probe.setsockopt(socket.SOL_SOCKET, option, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise _taken(settings, error) from error


def _taken(settings: HealthSettings, error: OSError) -> StartRefused:
    return StartRefused(f"health.port = {settings.port}: {error.strerror}: name a port that is free")
