"""Delivers notifications in the background: a thread of its own, with short transactions of its own.

No login waits for it. Any number of workers and servers on one store may run one each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Event, Thread
from typing import Final, Protocol

import structlog

from auth_server.errors import AuthServerError, DeliveryFailed
from auth_server.incidents import report_incident
from auth_server.metrics import INCIDENTS, NOTIFICATIONS_OVERDUE, NOTIFICATIONS_SENT, NOTIFICATIONS_WAITING
from auth_server.notifications import Notifications, Queue
from auth_server.settings import CommandNotify, NotifySettings, WebhookNotify
from auth_server.timesource import TimeSource

log = structlog.get_logger(__name__)

LOOK_EVERY_S: Final = 2.0
"""How long a notification of an idle site waits at most before its first try."""

_LEASE_SLACK_S: Final = 60
"""Beyond a delivery's own limit: name resolution, for one, has none."""

_REST_MAX_S: Final = 60.0
_STOP_S: Final = 5.0


class Round(StrEnum):
    """What came of one look at the outbox."""

    IDLE = "idle"
    DELIVERED = "delivered"
    FAILED = "failed"


class Backend(Protocol):
    """A way to tell somebody. `timeout_s` is the longest that one delivery takes."""

    timeout_s: float

    def deliver(self, document: bytes) -> None:
        """Hand one JSON document over. Raises DeliveryFailed unless the receiver says that it has it."""
        ...


def backend_of(settings: NotifySettings) -> Backend | None:
    """Return the backend that the settings choose, None where nobody is to be told.

    Raises StartRefused when a file that it needs is missing, or open to others.
    """
    # Imported on use: a site that tells nobody needs no HTTP client, and importing one opens a socket.
    if isinstance(settings, CommandNotify):
        from auth_server.notify_command import CommandBackend

        return CommandBackend(settings)
    if isinstance(settings, WebhookNotify):
        from auth_server.notify_webhook import WebhookBackend

        return WebhookBackend(settings)
    return None


@dataclass(slots=True, kw_only=True)
class Notifier:
    """One worker's deliveries. `start` begins them, `stop` ends them; without a backend both do nothing."""

    notifications: Notifications
    backend: Backend | None
    site: str
    time: TimeSource
    look_every_s: float = LOOK_EVERY_S
    _stop: Event = field(default_factory=Event)
    _thread: Thread | None = None
    _failures: int = 0
    _queue: Queue = field(default_factory=Queue)

    @property
    def warnings(self) -> Mapping[str, str]:
        """What an operator should look at, by part; it does not keep the server from serving."""
        if not self._queue.overdue:
            return {}
        return {
            "notifications": f"{self._queue.overdue} of {self._queue.waiting} were tried in vain for three days: "
            "`4auth-provision notifications list` tells why"
        }

    def start(self) -> None:
        """Begin to deliver in the background."""
        if self.backend is not None:
            self._thread = Thread(target=self._rounds, name="notifier", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the deliveries. One that does not end within 5 s is given up: its lease ends, and it is done again."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def run(self) -> Round:
        """Deliver one notification, if any is due. Raises StoreError when the store fails."""
        if self.backend is None or not self.notifications.due(self.time.now()):
            return Round.IDLE
        leased = self.notifications.lease(self.time.now(), self.backend.timeout_s + _LEASE_SLACK_S)
        if leased is None:
            return Round.IDLE  # another worker was quicker
        why = self._deliver(self.backend, leased.document(self.site))
        if why is None:
            self.notifications.delivered(leased)
        else:
            self.notifications.failed(leased, why, self.time.now())
            log.warning("notification_failed", number=leased.number, notification=leased.event, why=why)
        result = Round.DELIVERED if why is None else Round.FAILED
        NOTIFICATIONS_SENT.labels(result.value).inc()
        return result

    def _deliver(self, backend: Backend, document: bytes) -> str | None:
        """Return None, or why the receiver does not have it."""
        try:
            backend.deliver(document)
        except DeliveryFailed as error:
            return str(error)
        except Exception as error:  # whatever a library raises, the notification waits and is tried again
            INCIDENTS.inc()
            return f"unforeseen error, incident {report_incident(log, error, chore='notification')}"
        return None

    def _rounds(self) -> None:
        while not self._stop.wait(self._round()):
            pass

    def _round(self) -> float:
        """Deliver one, if any is due, and return the seconds until the next look."""
        try:
            result = self.run()
            self._report()
        except AuthServerError as error:
            INCIDENTS.inc()
            report_incident(log, error, chore="notifier")
            return self.look_every_s
        self._failures = self._failures + 1 if result is Round.FAILED else 0
        if result is Round.DELIVERED:
            return 0.0
        # A receiver that is down is not asked for each waiting notification at once.
        return min(_REST_MAX_S, self.look_every_s * 2.0 ** min(self._failures, 10))

    def _report(self) -> None:
        self._queue = self.notifications.queue(self.time.now())
        NOTIFICATIONS_WAITING.set(self._queue.waiting)
        NOTIFICATIONS_OVERDUE.set(self._queue.overdue)
