"""The gateway's sign of life: the server lists it like a kiosk's, and the gateway learns whether it would be heard."""

from threading import Event

import structlog

from auth_client.client import AuthClient, Surroundings
from auth_client.errors import ServerError
from auth_contract.messages import HeartbeatRequest, KioskState
from auth_contract.neutral import neutral
from auth_server.gateway.metrics import SERVER_UP

log = structlog.get_logger(__name__)

_DOWN_INTERVAL_S = 3.0
_FAULT_MAX = 120
_ERROR_MAX = 200


class Heartbeat:
    """Sends heartbeats from a thread of its own. `fault` says why the last was not answered, None where it was."""

    def __init__(self, client: AuthClient, around: Surroundings, *, version: str, interval_s: float) -> None:
        self._client = client
        self._around = around
        self._version = version
        self._interval_s = interval_s
        self._began = around.monotonic()
        self._last_error: str | None = None
        self.fault: str | None = "no sign of life was sent yet"

    def run(self, stopped: Event) -> None:
        """Beat until stopped."""
        while True:
            self.beat()
            if stopped.wait(self._interval_s if self.fault is None else min(self._interval_s, _DOWN_INTERVAL_S)):
                return

    def beat(self) -> None:
        """Send one sign of life and note what came of it, never raising."""
        try:
            faults = tuple(neutral(fault)[:_FAULT_MAX] for fault in self._client.faults)
            beat = HeartbeatRequest(agent_version=self._version, faults=faults, state=self._state())
            reply = self._client.heartbeat(beat)
            skew_s = (self._around.now() - reply.server_ts_utc).total_seconds()
            self.fault, self._last_error = None, None
            log.debug("heartbeat", skew_s=round(skew_s, 3))
        except ServerError as error:
            self._down(str(error))
        except Exception as error:  # the thread must live: nothing else would note that the server is back
            self._down(type(error).__name__)
        SERVER_UP.set(self.fault is None)

    def _down(self, fault: str) -> None:
        if self.fault != fault:
            log.warning("server_away", error=fault)
        self.fault = fault
        self._last_error = neutral(fault)[:_ERROR_MAX]

    def _state(self) -> KioskState:
        offset_s = self._client.clock_offset_s
        return KioskState(
            interval_s=self._interval_s,
            uptime_s=max(0, int(self._around.monotonic() - self._began)),
            clock_offset_s=None if offset_s is None else round(offset_s, 3),
            last_error=self._last_error,
        )
