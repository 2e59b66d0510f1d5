"""`4auth-provision kiosk`: which kiosks the server listens to."""

from dataclasses import replace
from datetime import datetime

import click

from auth_server.domain import Kiosk
from auth_server.kiosks import Kiosks
from provisioning.act import Act, commit, perform, refusals_recorded
from provisioning.desk import Desk, pass_desk, shared_options, yes_option
from provisioning.errors import Refused
from provisioning.params import KIOSK_ID, MAC, PUBLIC_KEY, encode_public_key


@click.group()
def kiosk() -> None:
    """Register kiosks, list them, and shut them out.

    \b
    Example:
      4auth-provision kiosk list
    """


@kiosk.command()
@click.argument("kiosk_id", type=KIOSK_ID, metavar="ID")
@click.option("--public-key", type=PUBLIC_KEY, required=True, help="As the kiosk prints it: base64url, 43 characters.")
@click.option("--mac", type=MAC, required=True, help="Of the kiosk's network interface.")
@shared_options
@pass_desk
def add(desk: Desk, kiosk_id: str, public_key: bytes, mac: str) -> None:
    """Register a kiosk by the public half of its device key.

    \b
    Example:
      4auth-provision kiosk add lobby-1 --mac b8:27:eb:12:34:56 \\
        --public-key 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo
    """
    shown = encode_public_key(public_key)
    act = Act("admin.kiosk.add", desk.now(), kiosk_id=kiosk_id, detail={"public_key": shown, "mac": mac})
    with desk.site() as opened, perform(opened.database, act) as database:
        kiosks = Kiosks(database)
        _check_unique(kiosks, Kiosk(kiosk_id, public_key, mac, enabled=True))
        added = kiosks.add(kiosk_id, public_key, mac)
    desk.output.say(f"Kiosk {kiosk_id} is registered.")
    desk.output.result({"kiosk": _document(added)})


@kiosk.command("list")
@shared_options
@pass_desk
def list_(desk: Desk) -> None:
    """List all kiosks.

    \b
    Example:
      4auth-provision kiosk list --json
    """
    with desk.site() as opened:
        kiosks = Kiosks(opened.database).list()
    rows = [
        (k.kiosk_id, _standing(k), k.mac_address, _when(k.last_seen_at) or "never", k.agent_version or "-", _report(k))
        for k in kiosks
    ]
    desk.output.table(("KIOSK", "STANDING", "MAC", "LAST SEEN", "VERSION", "REPORTS"), rows)
    desk.output.result({"kiosks": [_document(k) for k in kiosks]})


@kiosk.command()
@click.argument("kiosk_id", type=KIOSK_ID, metavar="ID")
@shared_options
@pass_desk
def show(desk: Desk, kiosk_id: str) -> None:
    """Show all that is known of one kiosk.

    \b
    Example:
      4auth-provision kiosk show lobby-1
    """
    with desk.site() as opened:
        found = _find(Kiosks(opened.database), kiosk_id)
    for name, value in (_document(found) | {"faults": _report(found)}).items():
        desk.output.say(f"{name.replace('_', ' ') + ':':16}{'-' if value is None else value}")
    for fault in found.faults:
        desk.output.say(f"  {fault}")
    desk.output.result({"kiosk": _document(found)})


@kiosk.command()
@click.argument("kiosk_id", type=KIOSK_ID, metavar="ID")
@yes_option
@shared_options
@pass_desk
def disable(desk: Desk, kiosk_id: str, yes: bool) -> None:
    """Shut a kiosk out: from its next request on, it is refused.

    \b
    Example:
      4auth-provision kiosk disable lobby-1 --yes
    """
    with desk.site() as opened, refusals_recorded(opened.database, act := _act("disable", desk, kiosk_id)):
        found = _find(Kiosks(opened.database), kiosk_id)
        desk.confirm(f"Nobody will be able to log in at kiosk {kiosk_id}. Disable it?", is_agreed=yes)
        with commit(opened.database, act) as database:
            Kiosks(database).set_enabled(kiosk_id, False)
    _tell_standing(desk, found, replace(found, enabled=False))


@kiosk.command()
@click.argument("kiosk_id", type=KIOSK_ID, metavar="ID")
@shared_options
@pass_desk
def enable(desk: Desk, kiosk_id: str) -> None:
    """Let a disabled kiosk in again.

    \b
    Example:
      4auth-provision kiosk enable lobby-1
    """
    with desk.site() as opened, perform(opened.database, _act("enable", desk, kiosk_id)) as database:
        kiosks = Kiosks(database)
        found = _find(kiosks, kiosk_id)
        _check_unique(kiosks, found)
        kiosks.set_enabled(kiosk_id, True)
    _tell_standing(desk, found, replace(found, enabled=True))


def _check_unique(kiosks: Kiosks, kiosk: Kiosk) -> None:
    """Refuse a key that another kiosk has, and a MAC that another enabled kiosk has.

    A disabled kiosk keeps its MAC, so that a machine that lost its key can be registered anew.
    """
    for other in kiosks.list():
        if other.kiosk_id == kiosk.kiosk_id:
            continue
        if other.public_key == kiosk.public_key:
            raise Refused(f"kiosk {other.kiosk_id} has this key: a key is made on one kiosk and never copied")
        if other.enabled and other.mac_address == kiosk.mac_address:
            raise Refused(
                f"kiosk {other.kiosk_id} has the MAC {kiosk.mac_address}: no two kiosks may share one. Where this is "
                f"the same machine with a new key, run `4auth-provision kiosk disable {other.kiosk_id}` first"
            )


def _act(verb: str, desk: Desk, kiosk_id: str) -> Act:
    return Act(f"admin.kiosk.{verb}", desk.now(), kiosk_id=kiosk_id)


def _tell_standing(desk: Desk, before: Kiosk, after: Kiosk) -> None:
    word = "was already" if before.enabled == after.enabled else "is now"
    desk.output.say(f"Kiosk {after.kiosk_id} {word} {_standing(after)}.")
    desk.output.result({"kiosk": _document(after)})


def _find(kiosks: Kiosks, kiosk_id: str) -> Kiosk:
    found = kiosks.find(kiosk_id)
    if found is None:
        raise Refused(f"there is no kiosk {kiosk_id}: `4auth-provision kiosk list` tells which there are")
    return found


def _standing(kiosk: Kiosk) -> str:
    return "enabled" if kiosk.enabled else "disabled"


def _report(kiosk: Kiosk) -> str:
    """What the kiosk said of itself when it was last seen, in a word or two."""
    if kiosk.last_seen_at is None:
        return "-"
    count = len(kiosk.faults)
    return f"{count} fault{'' if count == 1 else 's'}" if count else "no fault"


def _when(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None


def _document(kiosk: Kiosk) -> dict[str, object]:
    return {
        "kiosk_id": kiosk.kiosk_id,
        "enabled": kiosk.enabled,
        "mac_address": kiosk.mac_address,
        "public_key": encode_public_key(kiosk.public_key),
        "last_seen_at": _when(kiosk.last_seen_at),
        "agent_version": kiosk.agent_version,
        "faults": list(kiosk.faults),
    }
