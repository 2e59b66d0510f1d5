"""Why a row of the audit log is as it is, in plain words, from its own evidence. Pure.

It knows every action and reason that this program writes. A row of another shape, as a newer or an
older program writes it, is told as far as it is understood, and the rest as it stands.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from auth_server.audit_chain import AuditRow
from auth_server.audit_members import MEMBERS, spelt
from auth_server.audit_verdicts import FACTORS, verdict_words

_ASKED: Final = {
    "login": "asked to be let in",
    "register": "asked to be registered",
    "recover_totp": "asked for a new TOTP secret",
    "recover_password": "asked for a new password",
    "recover_face": "asked for a new face",
    "update_mac": "asked to be bound to this device instead",
    "confirm": "entered a first code of a new TOTP secret",
    "approve": "asked to approve somebody's change",
    "cancel": "asked to cancel a change",
    "open_attempt": "asked to open an attempt",
    "heartbeat": "sent a sign of life",
    "gateway_refusal": "reported what it could not take",
    "none": "sent a request",
}

_DECIDED: Final = {
    "denied": "It was denied: not every factor passed. The person was not told which.",
    "locked": "It was not judged: there were too many failures before.",
    "capture_again": "It was not judged: the pictures could not be used, and new ones were asked for. Nothing was "
    "counted.",
    "start_again": "It was refused, and the person was asked to start again.",
    "malformed": "It was refused: the request broke a rule of form.",
    "kiosk_refused": "It was refused before its body was read: it did not come from a kiosk in good standing.",
    "use_kiosk": "It was not judged: the settings ask for a kiosk, where a person can be asked to move.",
    "unavailable": "It was refused: the server could not decide at that moment.",
}

_OUTCOMES: Final = {
    ("heartbeat", "sound"): "The kiosk reported no faults any more.",
    ("heartbeat", "faults"): "The kiosk reported faults.",
    ("change_in_force", "in_force"): "The cooling-off time ended, and the change is in force: the old factor counts no "
    "more.",
    ("erase_details", "erased"): "The details of old rows were erased, as the settings ask. Their hashes stay, so that "
    "the log can still be proved whole.",
}

_ACTS: Final = {
    "admin.as": "act under a name",
    "admin.admin.add": "name an administrator",
    "admin.admin.role": "change an administrator's role",
    "admin.admin.renew-secret": "give an administrator a new secret",
    "admin.admin.remove": "remove an administrator",
    "admin.audit.accept_restore": "accept that an older database was put back",
    "admin.audit.erase": "erase the details of old rows",
    "admin.backup.make": "make a backup",
    "admin.backup.prune": "remove old backups",
    "admin.face.migrate": "give everybody a template of another model, or drop those of the old",
    "admin.face.snapshots.delete": "delete a picture of a refused attempt",
    "admin.face.snapshots.show": "look at a picture of a refused attempt",
    "admin.gateway.allow": "let a person come through a gateway",
    "admin.gateway.forbid": "let a person come through a gateway no more",
    "admin.import_original": "import the users of an original 4Auth",
    "admin.import_original.user": "import one user of an original 4Auth",
    "admin.keys.add": "make a key that waits to be used",
    "admin.keys.retire": "retire old keys",
    "admin.keys.rotate": "take a new key into use",
    "admin.kiosk.add": "register a kiosk",
    "admin.kiosk.disable": "disable a kiosk",
    "admin.kiosk.enable": "enable a kiosk",
    "admin.kiosk.replace-key": "replace a kiosk's key",
    "admin.notifications.retry": "send notifications again",
    "admin.notifications.test": "send a test notification",
    "admin.restore": "put a backup back",
    "admin.site.init": "set up the site",
    "admin.site.next-key": "make the server's next TLS key",
    "admin.site.upgrade": "upgrade the database's schema",
    "admin.site.use-next-key": "put the server's next TLS key into use",
    "admin.store.migrate": "move the store to another place",
    "admin.user.add": "enrol a person",
    "admin.user.bind": "bind an account to a kiosk",
    "admin.user.cancel-change": "cancel a person's change",
    "admin.user.delete": "delete an account",
    "admin.user.disable": "disable an account",
    "admin.user.enable": "enable an account",
    "admin.user.export": "give out all that is stored of a person",
    "admin.user.invite": "invite a person to register",
    "admin.user.reset": "reset factors of an account",
    "admin.user.set": "set which movements a person is asked for",
    "admin.user.unbind": "unbind an account from a kiosk",
    "admin.user.uninvite": "withdraw an invitation",
    "admin.user.unlock": "forget an account's failures",
}

_NEEDS: Final = {
    "code": "a first code of the new TOTP secret",
    "approval": "a supervisor's approval at another kiosk",
    "time": "the end of the cooling-off time",
}


def why(row: AuditRow) -> tuple[str, ...]:
    """Return the sentences that explain a row, the most telling first. It fails for no row."""
    detail, is_whole = _detail(row)
    return (_headline(row, detail), *_decision(row, detail), *([] if is_whole else [_GONE]), *_evidence(row, detail))


_GONE: Final = (
    "The details of this row were erased. Its hash still proves what they were to whoever has a copy of them, and the "
    "rest of the row is unchanged."
)


def _headline(row: AuditRow, detail: Mapping[str, Any]) -> str:
    when = row.ts_utc.strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{when}: {_who(row)} {_asked(row)}{_where(row, detail)}."


def _who(row: AuditRow) -> str:
    if _is_by_administrator(row):
        return "an administrator"
    if row.username is not None:
        return row.username
    return "a kiosk" if row.kiosk_id is not None else "the server" if row.source_address is None else "somebody"


def _asked(row: AuditRow) -> str:
    if _is_by_administrator(row):
        what = _ACTS.get(row.action, f"do {row.action.removeprefix('admin.')}")
        about = "".join(f", {name}" for name in (row.username, row.kiosk_id) if name)
        return f"set out to {what}{about}"
    special = {
        "refusals": "sent more refused requests than have rows of their own",
        "change_in_force": "had waited for a change",
        "erase_details": "looked for rows that are older than the log keeps details for",
    }
    return special.get(row.action) or _ASKED.get(row.action, f"did {row.action}")


def _where(row: AuditRow, detail: Mapping[str, Any]) -> str:
    if _is_by_administrator(row):
        return " on the server itself"
    if "gateway" in detail and row.kiosk_id is not None:
        return f" through gateway {row.kiosk_id}{_from_peer(detail['gateway'])}"
    at = "" if row.kiosk_id is None or row.username is None else f" at kiosk {row.kiosk_id}"
    at = f" ({row.kiosk_id})" if row.kiosk_id is not None and row.username is None else at
    return at if row.source_address is None else f"{at} from {row.source_address}"


def _from_peer(gateway: object) -> str:
    return f" from {spelt(gateway['peer'])}" if isinstance(gateway, Mapping) and "peer" in gateway else ""


def _decision(row: AuditRow, detail: Mapping[str, Any]) -> Iterator[str]:
    if (row.action, row.reason) in _OUTCOMES:
        yield _OUTCOMES[row.action, row.reason]
    elif _is_by_administrator(row):
        yield "It was done." if row.success else "It was refused, and nothing was changed."
    elif row.success and row.action == "login":
        yield ("The client was told so" if "gateway" in detail else "The door was opened") + ": every factor passed."
    elif row.success:
        yield "It was granted: every factor passed." if row.reason == "granted" else f"It was done ({row.reason})."
    elif row.reason == "denied" and "why" in detail:
        yield "It was denied, although every factor passed. The person was not told why."
    else:
        yield _DECIDED.get(row.reason, f"It was refused ({row.reason}).")


def _evidence(row: AuditRow, detail: Mapping[str, Any]) -> Iterator[str]:
    left = dict(detail)
    if row.kiosk_id is not None and isinstance(left.get("gateway"), Mapping):
        del left["gateway"]  # told in the headline
    verdicts = left.pop("verdicts", None)
    if isinstance(verdicts, Mapping):
        for factor, verdict in sorted(verdicts.items(), key=_failed_first):
            yield verdict_words(str(factor), verdict)
        yield from _of_pictures(row)
    elif verdicts is not None:
        left["verdicts"] = verdicts
    change = left.pop("change", None)
    if isinstance(change, Mapping):
        yield from _change(change)
    elif change is not None:
        left["change"] = change
    for name in [name for name in left if name in MEMBERS]:
        told = MEMBERS[name](left[name], row)
        if told is not None:
            del left[name]
            yield told
    for name, value in left.items():
        yield f"{name.replace('_', ' ')}: {spelt(value)}"


def _failed_first(item: tuple[Any, Any]) -> tuple[bool, int, str]:
    factor, verdict = str(item[0]), item[1]
    passed = isinstance(verdict, Mapping) and verdict.get("passed") is True
    return passed, FACTORS.index(factor) if factor in FACTORS else len(FACTORS), factor


def _of_pictures(row: AuditRow) -> Iterator[str]:
    if row.reason == "capture_again":
        yield "A wrong password or code would have been answered in the same way, so that nothing is learnt by it."


def _change(change: Mapping[str, Any]) -> Iterator[str]:
    what = _ASKED.get(str(change.get("action")), str(change.get("action"))).removeprefix("asked ")
    at = f" at kiosk {change['kiosk']}" if change.get("kiosk") else ""
    yield f"The change {spelt(change.get('id'))}: {what}{at}."
    if change.get("approved_by"):
        yield f"It was approved by {change['approved_by']}."
    needs = change.get("needs")
    if isinstance(needs, list) and needs:
        yield f"It waits for {' and '.join(_NEEDS.get(str(need), str(need)) for need in needs)}."
    if change.get("in_force_at"):
        yield f"It is in force from {change['in_force_at']}, unless it is cancelled before."
    elif isinstance(needs, list) and not needs:
        yield "Nothing was missing."
    known = {"id", "action", "kiosk", "approved_by", "needs", "in_force_at"}
    yield from (f"change {name}: {spelt(value)}" for name, value in change.items() if name not in known)


def _detail(row: AuditRow) -> tuple[Mapping[str, Any], bool]:
    """A row's detail, and whether it is there at all."""
    if row.detail is None:
        return {}, False
    try:
        found = json.loads(row.detail)
    except (ValueError, RecursionError):
        return {"detail": row.detail}, True  # damaged, and `audit verify` says so
    return (found, True) if isinstance(found, dict) else ({"detail": found}, True)


def _is_by_administrator(row: AuditRow) -> bool:
    return row.action.startswith("admin.")
