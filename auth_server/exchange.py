"""What is known so far of the request being answered, so that a refusal can be audited in full.

One value for each request, filled in as checks pass. It holds no secret.
"""

from dataclasses import dataclass, field
from time import perf_counter
from typing import cast

from flask import Request, g

from auth_contract import paths


@dataclass(slots=True)
class Exchange:
    """A request's identity: `action` from its path, the rest as it becomes known.

    `kiosk_id` is set only when a signature proved it, `username` only when its form was valid.
    `peer` is the client for whom a gateway speaks. `is_audited` is set once a row for this request has been written.
    """

    action: str
    source_address: str | None
    kiosk_id: str | None = None
    username: str | None = None
    attempt_id: str | None = None
    peer: str | None = None
    is_audited: bool = False
    started: float = field(default_factory=perf_counter)


_ACTIONS = {
    paths.ATTEMPTS: "open_attempt",
    paths.HEARTBEAT: "heartbeat",
    paths.GATEWAY_REFUSALS: "gateway_refusal",
    **{path: action.value for action, path in paths.SUBMISSION.items()},
}


def begin(request: Request) -> None:
    """Start the exchange of this request."""
    g.exchange = Exchange(action=_ACTIONS.get(request.path, "none"), source_address=request.remote_addr)


def current() -> Exchange:
    """The exchange of the request being answered."""
    return cast(Exchange, g.exchange)
