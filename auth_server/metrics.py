"""What Prometheus reads; names follow its conventions, labels are closed sets."""

from typing import Any

from prometheus_client import Counter, Gauge, Histogram

REQUESTS = Counter("fourauth_requests", "Requests answered", ["path", "status"])
OUTCOMES = Counter("fourauth_outcomes", "Decisions by action and the reason given to the person", ["action", "reason"])
REQUEST_SECONDS = Histogram(
    "fourauth_request_seconds", "Time to answer", ["path"], buckets=(0.005, 0.02, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)
)
STAGE_SECONDS = Histogram(
    "fourauth_stage_seconds", "Time in one stage of a decision", ["stage"], buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.5)
)
INCIDENTS = Counter("fourauth_incidents", "Unforeseen errors")
CLOCK_OFFSET = Gauge(
    "fourauth_clock_offset_seconds", "Offset found by the last cross-check", multiprocess_mode="mostrecent"
)
UNWRITTEN_ROWS = Counter("fourauth_unwritten_rows", "Refusals of strangers that were counted instead of written")
FACE_CHECKS = Gauge("fourauth_face_checks", "Face checks under way", multiprocess_mode="livesum")
FACE_REFUSALS = Counter("fourauth_face_refusals", "Submissions told to come back since all places for faces were taken")
STORE_SECONDS = Histogram(
    "fourauth_store_seconds",
    "Time in one transaction, the wait for a turn included",
    ["kind"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5),
)
STORE_FAULTS = Counter("fourauth_store_faults", "Transactions that the store did not do")
KIOSKS = Gauge("fourauth_kiosks", "Registered kiosks by state", ["state"], multiprocess_mode="mostrecent")
LAST_BACKUP = Gauge(
    "fourauth_last_backup_timestamp_seconds",
    "When the site was last backed up, 0 where it never was",
    multiprocess_mode="mostrecent",
)
READY = Gauge("fourauth_ready", "Whether this server can serve", multiprocess_mode="mostrecent")
NOTIFICATIONS_SENT = Counter("fourauth_notifications", "Deliveries of notifications by what came of them", ["outcome"])
NOTIFICATIONS_WAITING = Gauge(
    "fourauth_notifications_waiting", "Notifications that wait to be delivered", multiprocess_mode="mostrecent"
)
NOTIFICATIONS_OVERDUE = Gauge(
    "fourauth_notifications_overdue", "Those tried in vain for three days", multiprocess_mode="mostrecent"
)


def count_outcome(action: str, reply: Any) -> None:
    """Count a decision by what its reply tells the person: `granted`, or the reason of the refusal.

    `reply` is the reply's JSON. What is neither, such as the answer to OPTIONS, decides nothing.
    """
    told = reply if isinstance(reply, dict) else {}
    reason = "granted" if told.get("outcome") == "granted" else told.get("reason")
    if reason is not None:
        OUTCOMES.labels(action, reason).inc()
