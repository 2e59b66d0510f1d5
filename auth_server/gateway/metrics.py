"""What Prometheus reads of a gateway."""

from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS = Gauge("fourauth_gateway_connections", "Open connections")
REFUSED = Counter("fourauth_gateway_refused", "Connections and requests that were refused unread", ["why"])
REQUESTS = Counter("fourauth_gateway_requests", "Requests answered and what came of them", ["action", "outcome"])
REQUEST_SECONDS = Histogram(
    "fourauth_gateway_request_seconds", "Time to answer", ["action"], buckets=(0.01, 0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 5)
)
SERVER_UP = Gauge("fourauth_gateway_server_up", "Whether the last sign of life was answered")
