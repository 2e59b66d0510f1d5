"""What the commands about kiosks look up, check and show."""

from datetime import datetime
from typing import Final

from auth_server.domain import Kiosk
from auth_server.kiosks import Kiosks
from provisioning.errors import Refused
from provisioning.params import encode_public_key

NAMES_MAX: Final = 50
"""How many names an audit row lists."""


def find_kiosk(kiosks: Kiosks, kiosk_id: str) -> Kiosk:
    """Return a kiosk. Raises Refused when there is none of this id."""
    found = kiosks.find(kiosk_id)
    if found is None:
        raise Refused(f"there is no kiosk {kiosk_id}: `4auth-provision kiosk list` tells which there are")
    return found


def mac_of(kiosk: Kiosk) -> str:
    """Return a kiosk's MAC, to bind an account to. Raises Refused for a gateway, which has none."""
    if kiosk.mac_address is None:
        raise Refused(
            f"{kiosk.kiosk_id} is a gateway, and nobody is bound to one: `4auth-provision gateway allow NAME` lets a "
            "person come through it"
        )
    return kiosk.mac_address


def check_unique(kiosks: Kiosks, kiosk: Kiosk) -> None:
    """Refuse a key that another kiosk has, and a MAC that another enabled kiosk has.

    A disabled kiosk keeps its MAC, so that a machine that lost its key can be registered anew.
    """
    for other in kiosks.list():
        if other.kiosk_id == kiosk.kiosk_id:
            continue
        if other.public_key == kiosk.public_key:
            raise Refused(f"kiosk {other.kiosk_id} has this key: a key is made on one kiosk and never copied")
        if other.enabled and kiosk.mac_address is not None and other.mac_address == kiosk.mac_address:
            raise Refused(
                f"kiosk {other.kiosk_id} has the MAC {kiosk.mac_address}: no two kiosks may share one. Where this is "
                f"the same machine with a new key, run `4auth-provision kiosk disable {other.kiosk_id}` first"
            )


def when(moment: datetime | None) -> str | None:
    """Return a time to the second, None for never."""
    return moment.isoformat(timespec="seconds") if moment else None


def kiosk_document(kiosk: Kiosk) -> dict[str, object]:
    """Return a kiosk for `--json`."""
    return {
        "kiosk_id": kiosk.kiosk_id,
        "enabled": kiosk.enabled,
        "is_gateway": kiosk.is_gateway,
        "mac_address": kiosk.mac_address,
        "public_key": encode_public_key(kiosk.public_key),
        "last_seen_at": when(kiosk.last_seen_at),
        "agent_version": kiosk.agent_version,
        "faults": list(kiosk.faults),
        "state": dict(kiosk.state),
    }


def span_words(seconds: float) -> str:
    """Return a span in its largest whole unit, as in 3 d, 5 h, 12 min, 40 s."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"
