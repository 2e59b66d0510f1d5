"""What the list of kiosks shows of each. Pure."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from auth_server.domain import Kiosk
from auth_server.signs_of_life import silent_since
from provisioning.kiosk_lookup import span_words, when

COLUMNS: Final = ("KIOSK", "STANDING", "MAC", "LAST SEEN", "VERSION", "UP", "TEMP", "PARTS", "CLOCK", "REPORTS")
_NOTHING: Final = "-"


def row_of(kiosk: Kiosk, now: datetime) -> tuple[str, ...]:
    """Return a kiosk's line, a text for each column."""
    state = kiosk.state
    return (
        kiosk.kiosk_id,
        standing(kiosk, now),
        kiosk.mac_address or "gateway",
        when(kiosk.last_seen_at) or "never",
        kiosk.agent_version or _NOTHING,
        span_words(state["uptime_s"]) if "uptime_s" in state else _NOTHING,
        _temperature(state),
        _parts(state),
        f"{state['clock_offset_s']:+.1f} s" if "clock_offset_s" in state else _NOTHING,
        report_of(kiosk),
    )


def standing(kiosk: Kiosk, now: datetime | None = None) -> str:
    """Return whether a kiosk is let in and, by `now`, for how long it has been silent."""
    if not kiosk.enabled:
        return "disabled"
    since = None if now is None else silent_since(kiosk, now)
    return "enabled" if since is None or now is None else f"SILENT {span_words((now - since).total_seconds())}"


def is_silent(kiosk: Kiosk, now: datetime) -> bool:
    """Return whether three signs of life are overdue."""
    return silent_since(kiosk, now) is not None


def report_of(kiosk: Kiosk) -> str:
    """Return what the kiosk said of itself when it was last seen, in a word or two."""
    if kiosk.last_seen_at is None:
        return _NOTHING
    count = len(kiosk.faults)
    return f"{count} fault{'' if count == 1 else 's'}" if count else "no fault"


def _temperature(state: Mapping[str, Any]) -> str:
    if "temperature_c" not in state:
        return _NOTHING
    return f"{state['temperature_c']:.0f} \u00b0C" + (" !" if state.get("throttled") else "")


def _parts(state: Mapping[str, Any]) -> str:
    """The parts that are not well, or that all are."""
    told = {part: state[part] for part in ("camera", "keypad", "door") if part in state}
    if not told:
        return _NOTHING
    return ", ".join(f"{part} {word}" for part, word in told.items() if word != "ok") or "all well"
