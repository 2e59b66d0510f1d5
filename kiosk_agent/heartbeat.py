"""The kiosk's sign of life: tells the server of faults, and the session whether the server is there."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Event as Flag
from typing import Final

import structlog

from auth_client.client import AuthClient, Surroundings
from auth_client.errors import Refused, ServerNotTrusted, ServerUnavailable
from auth_client.version import program_version
from auth_contract.actions import Reason
from auth_contract.limits import CLOCK_SKEW_MAX_S
from auth_contract.messages import HeartbeatRequest, KioskState
from auth_contract.neutral import neutral
from kiosk_agent.camera import Camera
from kiosk_agent.errands import BROKEN, place, unavailable_message
from kiosk_agent.errors import IdentityRefused
from kiosk_agent.events import Cause, Ending, Event, ServiceDown, ServiceUp
from kiosk_agent.health import Health
from kiosk_agent.identity import Identity
from kiosk_agent.nic import has_carrier
from kiosk_agent.vitals import Vitals

_DOWN_INTERVAL_S: Final = 3.0
"""While the server is away a kiosk asks more often, so that it is back soon after."""

BEAT_TIMEOUT_S: Final = 4.0
"""For the reply to one: a question that a slow server lets wait must not keep a kiosk from asking again once it is
quick, and with the time to connect (3 s) and the wait above it is back within 10 s."""

_SKEW_FAULT_S: Final = CLOCK_SKEW_MAX_S / 2
"""Half way to where logins fail is the time to tell."""

_DATE_S: Final = 1.0
"""A reply's date has whole seconds."""

_FAULT_MAX: Final = 120
_FAULTS_MAX: Final = 16
_ERROR_MAX: Final = 200
"""Characters of a fault, faults of a heartbeat, and characters of an error, as `HeartbeatRequest` takes them."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Sends heartbeats with a client of its own, since a session is not for two threads."""

    client: AuthClient
    identity: Identity
    around: Surroundings
    health: Health
    camera: Camera
    unsafe_variants: tuple[str, ...]
    interval_s: float
    disk: Callable[[], str | None]
    vitals: Vitals = field(default_factory=Vitals)

    def beat(self) -> Event:
        """Send one heartbeat and return what it means for the session, never raising."""
        try:
            event = self._exchange()
        except Refused as error:
            event = self._down(error, error.reply.reason, error.reply.message)
        except (ServerUnavailable, IdentityRefused) as error:
            event = self._down(error, Reason.UNAVAILABLE, unavailable_message(error))
        except Exception as error:  # the thread must live: nothing else brings a kiosk back into service
            event = self._broken(error)
        is_up = isinstance(event, ServiceUp)
        self.health.metrics.heartbeats.labels("yes" if is_up else "no").inc()
        self.health.metrics.is_server_up.set(is_up)
        return event

    def run(self, put: Callable[[Event], None], stopped: Flag, interval_s: float) -> None:
        """Beat until stopped, and hand each finding to the session.

        A server that was there is asked twice before it counts as away: one that is started anew lets wait.
        """
        was_up = False
        while True:
            event = self.beat()
            if was_up and isinstance(event, ServiceDown) and event.cause is Cause.SERVER:
                event = self.beat()
            was_up = isinstance(event, ServiceUp)
            put(event)
            if stopped.wait(interval_s if isinstance(event, ServiceUp) else min(interval_s, _DOWN_INTERVAL_S)):
                return

    def _exchange(self) -> Event:
        self.health.disk_fault = self.disk()
        nic = self.identity.read()
        beat = HeartbeatRequest(
            agent_version=program_version(),
            mac=nic.mac,
            permanent_mac=nic.permanent_mac,
            faults=self._faults(nic.faults),
            state=self._state(),
        )
        reply = self.client.heartbeat(beat)
        self.health.last_error = None  # it was told
        skew_s = (self.around.now() - reply.server_ts_utc).total_seconds()
        self.health.clock_offset_s = round(skew_s, 3)
        self.health.metrics.clock_skew_s.set(skew_s)
        self.health.clock_fault = f"clock is {skew_s:.0f} s off the server's" if abs(skew_s) > _SKEW_FAULT_S else None
        if self.health.server_fault is not None:
            _log().info("server_up", skew_s=round(skew_s, 1))
        self.health.server_fault = None
        return ServiceUp()

    def _state(self) -> KioskState:
        health = self.health
        return KioskState(
            interval_s=self.interval_s,
            uptime_s=max(0, int(self.around.monotonic() - health.began)),
            temperature_c=self.vitals.temperature_c(),
            throttled=self.vitals.throttled(),
            camera=self.camera.state.value,
            keypad="faulty" if health.keypad_fault else "ok",
            door="faulty" if health.door_fault else "ok",
            clock_offset_s=health.clock_offset_s,
            last_error=None if health.last_error is None else neutral(health.last_error)[:_ERROR_MAX],
        )

    def _faults(self, nic_faults: tuple[str, ...]) -> tuple[str, ...]:
        health = self.health
        own = tuple(
            fault
            for fault in (
                health.camera_fault,
                health.camera_warning,
                health.keypad_fault,
                health.door_fault,
                health.clock_fault,
                health.disk_fault,
            )
            if fault is not None
        )
        unsafe = tuple(f"development mode: {variant}" for variant in self.unsafe_variants)
        # A driver's text may hold a line break, which the contract does not take.
        return tuple(neutral(fault)[:_FAULT_MAX] for fault in (*own, *nic_faults, *self.client.faults, *unsafe))[
            :_FAULTS_MAX
        ]

    def _down(self, error: Exception, reason: Reason, message: str) -> ServiceDown:
        if self.health.server_fault != str(error):
            _log().warning("server_down", error=str(error))
        self.health.server_fault = self.health.last_error = str(error)
        ending = Ending.KIOSK_REFUSED if reason is Reason.KIOSK_REFUSED else Ending.UNAVAILABLE
        return ServiceDown(ending, message, self._cause(error, reason))

    def _cause(self, error: Exception, reason: Reason) -> Cause:
        """What is wrong as far as it can be told from here, the nearest cause first."""
        if isinstance(error, ServerNotTrusted):
            return Cause.UNTRUSTED
        if isinstance(error, IdentityRefused) or not has_carrier(self.identity.interface):
            return Cause.NETWORK
        if reason is not Reason.KIOSK_REFUSED:
            return Cause.SERVER
        # A request is refused for its time in the same words as for its key; the reply's date tells which.
        is_off = abs(self.client.clock_offset_s or 0.0) > CLOCK_SKEW_MAX_S - _DATE_S
        return Cause.CLOCK if is_off else Cause.REFUSED

    def _broken(self, error: Exception) -> ServiceDown:
        fault = f"the heartbeat broke: {type(error).__name__}"
        if self.health.server_fault != fault:
            _log().error("heartbeat_broke", error=type(error).__name__, at=place(error))
        self.health.server_fault = self.health.last_error = fault
        return ServiceDown(Ending.UNAVAILABLE, BROKEN, Cause.BROKEN)


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.heartbeat")
    return logger
