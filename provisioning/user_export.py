"""`4auth-provision user export`: all that is stored of one person, for the person.

Left out is what would let somebody else in: password hash and TOTP secret; and whose face theirs is like,
which is somebody else's.
"""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import click

from auth_server.audit import AuditLog
from auth_server.audit_chain import StoredRow
from auth_server.audit_filter import RowFilter
from auth_server.directory import Directory
from auth_server.exemptions import Exemptions
from auth_server.gateway_names import GatewayNames
from auth_server.kiosks import Kiosks
from auth_server.lockout_report import failures_of
from auth_server.personal_faces import PersonalFace, personal_face
from auth_server.tickets import Tickets
from provisioning.act import Act, commit, refusals_recorded
from provisioning.closed_file import closed_file
from provisioning.desk import Desk, Site, pass_desk, shared_options
from provisioning.face_snapshots import snapshot_document, snapshots_of
from provisioning.params import USERNAME
from provisioning.user_document import account_document, change_document, failures_document
from provisioning.user_lookup import accounts_of, changes_of, no_account

FORMAT: Final = 1


@click.command()
@click.argument("username", type=USERNAME, metavar="NAME")
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Write it to this new file.")
@shared_options
@pass_desk
def export(desk: Desk, username: str, to: Path) -> None:
    """Write all that is stored of a person to a new JSON file, mode 0600, to be handed to them.

    Their face is in it: the enrolled picture, its templates, and pictures of attempts refused in their name.
    Hand it to nobody else, and delete it then.

    \b
    Example:
      4auth-provision user export ann --to ann.json
    """
    act = Act("admin.user.export", desk.now(), username=username)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        document = _document(opened, username, act)
        if not any(document[name] for name in _HELD):
            raise no_account(username)
        with closed_file(to) as file:
            with commit(opened.database, act):
                pass
            file.write(json.dumps(document, indent=2, ensure_ascii=False).encode())
    desk.output.say(f"All that is stored of {username} is in {to}: hand it to them, and delete it then.")
    desk.output.result({"user": username, "file": str(to)})


_HELD: Final = ("account", "pending_change", "invitation", "failures", "log", "refused_attempts")


def _document(site: Site, username: str, act: Act) -> dict[str, Any]:
    change = changes_of(site).pending(username)
    return {
        "format": FORMAT,
        "site": site.settings.site,
        "made_at": act.now.isoformat(timespec="seconds"),
        "username": username,
        "account": _account(site, username),
        "face": _face(personal_face(site.database, site.keyring.field, username)),
        "pending_change": None if change is None else change_document(change),
        "invitation": _invitation(site, username, act),
        "gateway_allowed": GatewayNames(site.database).lists(username),
        "failures": [
            failures_document(one) for one in failures_of(site.database, [username], act.now).get(username, ())
        ],
        "refused_attempts": _snapshots(site, username),
        "log": [_row(row) for row in _rows(site, username)],
    }


def _account(site: Site, username: str) -> dict[str, object] | None:
    account = accounts_of(site).find(username)
    if account is None:
        return None
    names = Kiosks(site.database).macs()
    changed_at = Directory(site.database).factors_changed_at(username)
    return {
        **account_document(account),
        "kiosks": sorted(names.get(mac, mac) for mac in account.mac_addresses),
        "movements_not_asked_for": sorted(one.value for one in Exemptions(site.database).of(username)),
        "factors_changed_at": changed_at and changed_at.isoformat(timespec="seconds"),
    }


def _face(found: PersonalFace | None) -> dict[str, object] | None:
    if found is None:
        return None
    templates = [
        {
            "model": one.model,
            "kind": one.kind,
            "made_at": one.made_at and one.made_at.isoformat(timespec="seconds"),
            "embedding_float32_base64": _text(one.embedding),
        }
        for one in found.templates
    ]
    return {"picture_png_base64": _text(found.picture_png), "templates": templates}


def _invitation(site: Site, username: str, act: Act) -> dict[str, str] | None:
    tickets = Tickets(site.database).list(act.now)
    return next(
        (
            {"invited_by": one.invited_by, "expires_at": one.expires_at.isoformat(timespec="seconds")}
            for one in tickets
            if one.username == username
        ),
        None,
    )


def _snapshots(site: Site, username: str) -> list[dict[str, object]]:
    kept = snapshots_of(site)
    opened = (kept.open(one.number) for one in kept.list(username))
    return [{**snapshot_document(one), "picture_jpeg_base64": _text(picture)} for one, picture in filter(None, opened)]


def _rows(site: Site, username: str) -> list[StoredRow]:
    log = AuditLog(site.database)
    found = log.filtered(RowFilter(username=username), 0, log.head().sequence)
    return [row for row, _ in found]


def _row(row: StoredRow) -> dict[str, object]:
    detail = None if row.detail is None else json.loads(row.detail)
    if isinstance(detail, dict) and isinstance(detail.get("other_faces"), Mapping):
        detail["other_faces"] = {name: value for name, value in detail["other_faces"].items() if name != "like"}
    return {
        "row": row.id,
        "time": row.ts_utc,
        "action": row.action,
        "success": bool(row.success),
        "reason": row.reason,
        "kiosk": row.kiosk_id,
        "source_address": row.source_address,
        "detail": detail,
    }


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()
