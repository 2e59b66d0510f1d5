"""What Prometheus reads of a kiosk; names follow its conventions, labels are closed sets."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


class Metrics:
    """The metrics of one agent, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sessions = Counter(
            "fourauth_kiosk_sessions", "Sessions by how they ended", ["ending"], registry=self.registry
        )
        self.heartbeats = Counter(
            "fourauth_kiosk_heartbeats",
            "Heartbeats by whether the server answered",
            ["answered"],
            registry=self.registry,
        )
        self.is_server_up = Gauge(
            "fourauth_kiosk_server_up", "1 when the last heartbeat was answered", registry=self.registry
        )
        self.clock_skew_s = Gauge(
            "fourauth_kiosk_clock_skew_seconds", "This clock minus the server's", registry=self.registry
        )
        self.errand_s = Histogram(
            "fourauth_kiosk_errand_seconds",
            "Time to open an attempt, to take its pictures, to have it decided",
            ["errand"],
            registry=self.registry,
            buckets=(0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10),
        )
