"""Liveness, readiness and metrics of a worker, on the local port.

Every worker listens on the same port (SO_REUSEPORT): any of them answers for itself, and metrics
are gathered over all. Nothing here is reachable from another machine.
"""

import json
import socket
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from types import MappingProxyType

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from auth_server.errors import AuthServerError, StartRefused
from auth_server.metrics import CLOCK_OFFSET
from auth_server.services import Services
from auth_server.settings import HealthSettings


def readiness(services: Services) -> dict[str, str]:
    """What stands in the way of serving, by part; empty when ready."""
    faults: dict[str, str] = {}
    try:
        services.audit.head()
        # An open file outlives its name: rows would go where no backup and no restart finds them.
        if not services.database.path.is_file():
            faults["store"] = f"{services.database.path} is gone"
    except AuthServerError as error:
        faults["store"] = str(error)
    except Exception as error:  # whatever the driver raises, the answer is "not ready"
        faults["store"] = type(error).__name__
    status = services.time.status()
    faults.update(services.housekeeping.faults)
    if status.state == "wrong":
        faults["clock"] = f"off by {status.offset_s} s"
    return faults


class _Handler(BaseHTTPRequestHandler):
    server: "HealthServer"
    timeout = 5
    """Seconds for which a connection may be silent; each takes a thread."""

    def do_GET(self) -> None:
        if self.path == "/livez":
            self._answer(200, "application/json", b'{"alive":true}')
        elif self.path == "/readyz":
            faults = readiness(self.server.services)
            warnings = {**self.server.warnings, **self.server.services.notifier.warnings}
            body = json.dumps({"ready": not faults, "faults": faults, "warnings": warnings}).encode()
            self._answer(503 if faults else 200, "application/json", body)
        elif self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, _metrics(self.server.services))
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


def _metrics(services: Services) -> bytes:
    offset_s = services.time.status().offset_s
    if offset_s is not None:
        CLOCK_OFFSET.set(offset_s)
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return generate_latest(registry)


class HealthServer(ThreadingTCPServer):
    """The local listener of one worker."""

    allow_reuse_address = True
    allow_reuse_port = True
    daemon_threads = True

    def __init__(
        self, settings: HealthSettings, services: Services, warnings: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Listen; `warnings` are the settings' own, by part. Raises StartRefused when another program has the port."""
        self.services = services
        self.warnings = warnings
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
