"""What single members of a row's detail mean, in words. Pure."""

import json
from collections.abc import Mapping
from typing import Any, Final

from auth_server.audit_chain import AuditRow

_ACCOUNTS: Final = {
    "unknown": "No account has this name. The same work was done as for a known one, so that nobody can tell.",
    "disabled": "The account is disabled, so nothing could have granted this.",
    "face disabled": "The face factor of the account is switched off after fifty failures in a row, so nothing could "
    "have granted this; `4auth-provision user unlock` ends it.",
}

_ATTEMPTS: Final = {
    "unknown": "No attempt has the nonce of this signature.",
    "foreign": "The attempt belongs to another kiosk or another action.",
    "expired": "The attempt had expired.",
    "used": "The attempt had been used: a submission is accepted once.",
}


def _attempt(value: object, _row: AuditRow) -> str | None:
    return _ATTEMPTS.get(str(value), f"Attempt: {spelt(value)}.")


def _skew(value: object, _row: AuditRow) -> str | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return f"The kiosk's clock was {abs(value)} s {'ahead of' if value > 0 else 'behind'} the server's."


def _authenticated(value: object, _row: AuditRow) -> str | None:
    if value is True:
        return "The kiosk's own signature was right."
    return "No signature proves that it was this kiosk." if value is False else None


def _faults(value: object, _row: AuditRow) -> str | None:
    if not isinstance(value, list):
        return None
    return f"Faults: {'; '.join(map(str, value))}." if value else None


def _other_faces(value: object, _row: AuditRow) -> str | None:
    if not isinstance(value, Mapping):
        return None
    parts = []
    if "like" in value:
        ends = "which was refused" if value.get("refused") is True else "which was let pass"
        parts.append(
            f"The new face is like that of {spelt(value['like'])} (distance {spelt(value.get('distance'))}), {ends}; "
            f"among all accounts, chance would bring {spelt(value.get('strangers'))} as near."
        )
    if value.get("skipped"):
        parts.append(
            f"The new face was compared with {spelt(value.get('compared'))} accounts; {spelt(value['skipped'])} more "
            "had no template of its model."
        )
    return " ".join(parts) or None


def _account(value: object, _row: AuditRow) -> str | None:
    return _ACCOUNTS.get(str(value), f"The account is {spelt(value)}.")


MEMBERS: Final[dict[str, Any]] = {
    "account": _account,
    "other_faces": _other_faces,
    "bound_already": lambda value, _row: (
        f"Bound to its MAC before, and so to it: {', '.join(map(str, value))}." if isinstance(value, list) else None
    ),
    "duplicate_allowed": lambda _value, _row: "The administrator allowed it, for instance for twins.",
    "why": lambda value, _row: f"Reason: {spelt(value)}.",
    "locked_for_s": lambda value, _row: f"The next try is let in {spelt(value)} s later.",
    "administrator": lambda value, _row: f"By {spelt(value)}.",
    "faults": _faults,
    "authenticated": _authenticated,
    "skew_s": _skew,
    "incident": lambda value, _row: f"Incident {spelt(value)}: the server's own log says more under this number.",
    "assertion": lambda value, _row: f"The assertion that was handed out has the id {spelt(value)}.",
    "person": lambda value, _row: f"The person whose change it is: {spelt(value)}.",
    "template_followed": lambda value, _row: "The stored face followed this one a little." if value is True else None,
    "attempt": _attempt,
    "unwritten_before": lambda value, _row: f"Before it, {spelt(value)} refusals of this source have no rows.",
}


def spelt(value: object) -> str:
    """Return a value of a detail as it stands there."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
