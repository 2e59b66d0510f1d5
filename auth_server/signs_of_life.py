"""Which kiosks should be alive and have fallen silent. Pure."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from auth_server.domain import Kiosk

SILENT_AFTER: Final = 3
"""Signs of life that may be missed before a kiosk counts as silent."""

INTERVAL_S: Final = 30.0
"""Between two of them, where the kiosk did not say; the agent's own default."""

STATES: Final = ("alive", "silent", "never_seen", "disabled")


def silent_since(kiosk: Kiosk, now: datetime) -> datetime | None:
    """Return when a kiosk that should be alive was last heard, where three of its signs of life are overdue."""
    if not kiosk.enabled or kiosk.last_seen_at is None:
        return None
    span = timedelta(seconds=SILENT_AFTER * float(kiosk.state.get("interval_s", INTERVAL_S)))
    return kiosk.last_seen_at if now - kiosk.last_seen_at > span else None


def count_states(kiosks: Iterable[Kiosk], now: datetime) -> dict[str, int]:
    """Return how many kiosks are in each of `STATES`."""
    found = Counter(_state(kiosk, now) for kiosk in kiosks)
    return {state: found[state] for state in STATES}


def _state(kiosk: Kiosk, now: datetime) -> str:
    if not kiosk.enabled:
        return "disabled"
    if kiosk.last_seen_at is None:
        return "never_seen"
    return "alive" if silent_since(kiosk, now) is None else "silent"
