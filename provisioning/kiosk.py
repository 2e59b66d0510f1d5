"""`4auth-provision kiosk`: which kiosks the server listens to."""

from dataclasses import replace
from datetime import datetime, timedelta

import click

from auth_server.domain import Kiosk
from auth_server.kiosk_replacement import bound_to
from auth_server.kiosks import Kiosks
from provisioning.act import Act, commit, perform, refusals_recorded
from provisioning.desk import Desk, pass_desk, shared_options, yes_option
from provisioning.kiosk_lookup import NAMES_MAX, check_unique, find_kiosk, kiosk_document
from provisioning.kiosk_replace import replace_key
from provisioning.kiosk_table import COLUMNS, is_silent, report_of, row_of, standing
from provisioning.params import KIOSK_ID, MAC, PUBLIC_KEY, SPAN, encode_public_key


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
@click.option("--mac", type=MAC, help="Of the kiosk's network interface.")
@click.option("--gateway", is_flag=True, help="It is a 4auth-gateway, which has no MAC.")
@shared_options
@pass_desk
def add(desk: Desk, kiosk_id: str, public_key: bytes, mac: str | None, gateway: bool) -> None:
    """Register a kiosk by the public half of its device key.

    \b
    Example:
      4auth-provision kiosk add lobby-1 --mac b8:27:eb:12:34:56 \\
        --public-key 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo
      4auth-provision kiosk add gate-1 --gateway --public-key 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo
    """
    if (mac is None) != gateway:
        raise click.UsageError("name the kiosk's --mac, or say --gateway for a gateway, which has none")
    shown = encode_public_key(public_key)
    act = Act("admin.kiosk.add", desk.now(), kiosk_id=kiosk_id, detail={"public_key": shown, "mac": mac})
    with desk.site() as opened, perform(opened.database, act) as database:
        kiosks = Kiosks(database)
        check_unique(kiosks, Kiosk(kiosk_id, public_key, mac, enabled=True))
        added = kiosks.add(kiosk_id, public_key, mac)
        with database.transaction() as session:
            already = bound_to(session, mac)
        if already:
            act.notes["bound_already"] = already[:NAMES_MAX]
    desk.output.say(f"{'Gateway' if gateway else 'Kiosk'} {kiosk_id} is registered.")
    if already:
        shown = ", ".join(already[:NAMES_MAX]) + (", ..." if len(already) > NAMES_MAX else "")
        desk.output.say(f"Bound to its MAC before, so they may log in there: {shown}.")
        desk.output.say(f"Where that is not meant: `4auth-provision user unbind NAME {kiosk_id}`.")
    desk.output.result({"kiosk": kiosk_document(added), "bound_already": already})


kiosk.add_command(replace_key)


@kiosk.command("list")
@click.option("--stale", type=SPAN, metavar="SPAN", help="Only enabled ones that were not seen for so long, as 10m.")
@shared_options
@pass_desk
def list_(desk: Desk, stale: timedelta | None) -> None:
    """List all kiosks, or those that went silent: of these three signs of life in a row did not come.

    \b
    Example:
      4auth-provision kiosk list --stale 10m
    """
    with desk.site() as opened:
        kiosks = Kiosks(opened.database).list()
    if stale is not None:
        kiosks = [k for k in kiosks if k.enabled and not _is_seen_since(k, desk.now() - stale)]
    now = desk.now()
    desk.output.table(COLUMNS, [row_of(k, now) for k in kiosks])
    desk.output.result({"kiosks": [kiosk_document(k) | {"is_silent": is_silent(k, now)} for k in kiosks]})


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
        found = find_kiosk(Kiosks(opened.database), kiosk_id)
    shown = {**kiosk_document(found), "faults": report_of(found), "state": "" if found.state else None}
    for name, value in shown.items():
        desk.output.say(f"{name.replace('_', ' ') + ':':16}{'-' if value is None else value}")
    for name, value in found.state.items():
        desk.output.say(f"  {name.replace('_', ' ') + ':':16}{', '.join(value) if isinstance(value, list) else value}")
    for fault in found.faults:
        desk.output.say(f"  {fault}")
    desk.output.result({"kiosk": kiosk_document(found)})


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
        found = find_kiosk(Kiosks(opened.database), kiosk_id)
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
        found = find_kiosk(kiosks, kiosk_id)
        check_unique(kiosks, found)
        kiosks.set_enabled(kiosk_id, True)
    _tell_standing(desk, found, replace(found, enabled=True))


def _act(verb: str, desk: Desk, kiosk_id: str) -> Act:
    return Act(f"admin.kiosk.{verb}", desk.now(), kiosk_id=kiosk_id)


def _tell_standing(desk: Desk, before: Kiosk, after: Kiosk) -> None:
    word = "was already" if before.enabled == after.enabled else "is now"
    desk.output.say(f"Kiosk {after.kiosk_id} {word} {standing(after)}.")
    desk.output.result({"kiosk": kiosk_document(after)})


def _is_seen_since(kiosk: Kiosk, moment: datetime) -> bool:
    return kiosk.last_seen_at is not None and kiosk.last_seen_at >= moment
