"""Accounts, failures and pending changes as commands show them: never with a secret, a hash or a face."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from auth_server.accounts import Account
from auth_server.changes import Change
from auth_server.lockout_report import Failures
from auth_server.store.models import (
    ANYWHERE,
    ANYWHERE_IN_A_ROW,
    IN_A_ROW,
    OVER_ALL,
    THROUGH_GATEWAYS,
    THROUGH_GATEWAYS_IN_A_ROW,
)

_PLACES: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        OVER_ALL: ("own_kiosks", "the own kiosks together"),
        IN_A_ROW: ("own_kiosks_in_a_row", "the own kiosks, in a row"),
        ANYWHERE: ("anywhere", "moving to a kiosk, or cancelling, anywhere"),
        ANYWHERE_IN_A_ROW: ("anywhere_in_a_row", "moving or cancelling anywhere, in a row"),
        THROUGH_GATEWAYS: ("gateways", "all gateways together"),
        THROUGH_GATEWAYS_IN_A_ROW: ("gateways_in_a_row", "all gateways, in a row"),
    }
)
"""What stands for several kiosks: its name in JSON, and in words."""


def account_standing(account: Account) -> str:
    """Return in a word or two whether a person may log in."""
    if not account.enabled:
        return "disabled"
    return "enabled" if account.face_enabled else "face disabled"


def account_document(account: Account) -> dict[str, object]:
    """Return an account for `--json`."""
    return {
        "username": account.username,
        "enabled": account.enabled,
        "face_enabled": account.face_enabled,
        "face_model": account.face_model,
        "mac_addresses": sorted(account.mac_addresses),
        "created_at": account.created_at.isoformat(timespec="seconds"),
    }


def failures_document(failures: Failures) -> dict[str, object]:
    """Return the failures at one place for `--json`."""
    until = failures.locked_until
    return {
        "place": _PLACES[failures.place][0] if failures.place in _PLACES else f"kiosk {failures.place}",
        "failures": failures.count,
        "last_at": failures.last_at.isoformat(timespec="seconds"),
        "locked_until": None if until is None else until.isoformat(timespec="seconds"),
        "closed": failures.is_closed,
    }


def failures_sentence(failures: Failures) -> str:
    """Return the failures at one place in words."""
    where = _PLACES[failures.place][1] if failures.place in _PLACES else f"kiosk {failures.place}"
    text = f"{failures.count} at {where}, last {failures.last_at:%Y-%m-%d %H:%M:%SZ}"
    if failures.is_closed:
        return f"{text}; closed until `4auth-provision user unlock`"
    return text if failures.locked_until is None else f"{text}; locked until {failures.locked_until:%H:%M:%SZ}"


def change_document(change: Change) -> dict[str, object]:
    """Return a pending change for `--json`: never what will be in force."""
    in_force_at = change.in_force_at
    return {
        "username": change.username,
        "action": change.action.value,
        "kiosk": change.kiosk_id,
        "needs": [need.value for need in change.needs],
        "requested_at": change.requested_at.isoformat(timespec="seconds"),
        "expires_at": None if in_force_at else change.expires_at.isoformat(timespec="seconds"),
        "approved_by": change.approved_by,
        "in_force_at": in_force_at and in_force_at.isoformat(timespec="seconds"),
    }


def change_waits(change: Change) -> str:
    """Return in words what a pending change waits for, and until when."""
    if change.in_force_at is not None:
        return f"in force from {change.in_force_at:%Y-%m-%d %H:%M:%SZ}"
    needs = ", then ".join(need.value for need in change.needs)
    return f"{needs}; ends {change.expires_at:%Y-%m-%d %H:%M:%SZ}"
