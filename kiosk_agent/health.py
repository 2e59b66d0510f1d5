"""What the agent knows of its own state, and the local port that tells it.

Nothing here is reachable from another machine, and nothing in it is about a person.
"""

import json
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from threading import Thread
from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from kiosk_agent.errors import StartRefused
from kiosk_agent.metrics import Metrics
from kiosk_agent.settings import HealthSettings

STALL_S: Final = 10.0
"""The loop turns at least once a second; after this long without, the agent is not alive."""


@dataclass(slots=True)
class Health:
    """The state that probes and heartbeats report; each field is written by one thread.

    `server_fault` begins with a text: a kiosk that never reached its server is not ready. `last_error` is what the
    server should hear of when it can be reached again.
    """

    monotonic: Callable[[], float]
    metrics: Metrics = field(default_factory=Metrics)
    camera_fault: str | None = None
    camera_warning: str | None = None
    keypad_fault: str | None = None
    door_fault: str | None = None
    server_fault: str | None = "no heartbeat was answered yet"
    clock_fault: str | None = None
    disk_fault: str | None = None
    clock_offset_s: float | None = None
    last_error: str | None = None
    turned_at: float = 0.0
    began: float = field(init=False)

    def __post_init__(self) -> None:
        self.began = self.monotonic()

    def turn(self) -> None:
        """Note that the loop is alive."""
        self.turned_at = self.monotonic()

    def note_door(self, fault: str) -> None:
        """Note what is wrong with the door, empty for nothing."""
        self.door_fault = fault or None

    @property
    def is_alive(self) -> bool:
        """Whether the loop turned lately."""
        return self.monotonic() - self.turned_at < STALL_S

    @property
    def faults(self) -> dict[str, str]:
        """What stands in the way of a login, by part; empty when ready."""
        parts = {
            "camera": self.camera_fault,
            "keypad": self.keypad_fault,
            "door": self.door_fault,
            "server": self.server_fault,
            "clock": self.clock_fault,
        }
        return {part: fault for part, fault in parts.items() if fault is not None}


class _Handler(BaseHTTPRequestHandler):
    server: "HealthServer"
    timeout = 5

    def do_GET(self) -> None:
        health = self.server.health
        if self.path == "/livez":
            self._answer(200 if health.is_alive else 503, _JSON, json.dumps({"alive": health.is_alive}).encode())
        elif self.path == "/readyz":
            faults = health.faults
            body = json.dumps({"ready": not faults, "faults": faults}).encode()
            self._answer(503 if faults else 200, _JSON, body)
        elif self.path == "/metrics":
            self._answer(200, CONTENT_TYPE_LATEST, generate_latest(health.metrics.registry))
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


_JSON: Final = "application/json"


class HealthServer(ThreadingTCPServer):
    """The local listener."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self, settings: HealthSettings, health: Health) -> None:
        """Listen; raises StartRefused where the port cannot be had."""
        self.health = health
        if ":" in settings.host:
            self.address_family = socket.AF_INET6
        try:
            super().__init__((settings.host, settings.port), _Handler)
        except OSError as error:
            raise StartRefused(f"health.port {settings.port} on {settings.host}: {error.strerror}") from error

    def start(self) -> None:
        """Answer in the background until `stop`."""
        Thread(target=self.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()
