"""`4auth-provision kiosk replace-key`: a machine that died or was stolen, put back under its id."""

from collections.abc import Mapping
from dataclasses import replace

import click
from sqlalchemy.orm import Session

from auth_server.domain import Kiosk
from auth_server.kiosk_replacement import NewMachine, bound_to, move_change, replace_machine
from auth_server.kiosks import Kiosks
from auth_server.store.database import Database
from provisioning.act import Act, commit, refusals_recorded
from provisioning.desk import Desk, Site, pass_desk, shared_options, yes_option
from provisioning.errors import Refused
from provisioning.kiosk_lookup import NAMES_MAX, check_unique, find_kiosk, kiosk_document
from provisioning.params import KIOSK_ID, MAC, PUBLIC_KEY, encode_public_key
from provisioning.user_lookup import changes_of, end_change


@click.command("replace-key")
@click.argument("kiosk_id", type=KIOSK_ID, metavar="ID")
@click.option("--public-key", type=PUBLIC_KEY, required=True, help="Of the new machine, as it prints it.")
@click.option("--mac", type=MAC, help="Of the new machine, where it is another.  [default: as it was]")
@yes_option
@shared_options
@pass_desk
def replace_key(desk: Desk, kiosk_id: str, public_key: bytes, mac: str | None, yes: bool) -> None:
    """Give a kiosk whose card died or was stolen a new device key; the old one opens nothing any more.

    Whoever was bound to the kiosk stays bound, also where its MAC is a new one. What was under way
    there ends: open attempts, and changes that somebody asked for there.

    \b
    Example:
      4auth-provision kiosk replace-key lobby-1 --public-key 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo
    """
    detail: dict[str, object] = {"public_key": encode_public_key(public_key), "mac": mac}
    act = Act("admin.kiosk.replace-key", desk.now(), kiosk_id=kiosk_id, detail=detail)
    with desk.site() as opened, refusals_recorded(opened.database, act):
        found = find_kiosk(Kiosks(opened.database), kiosk_id)
        if found.is_gateway and mac is not None:
            raise Refused(f"{kiosk_id} is a gateway and has no MAC: leave out --mac")
        after = replace(
            found,
            public_key=public_key,
            mac_address=mac or found.mac_address,
            last_seen_at=None,
            agent_version=None,
            faults=(),
        )
        _check(Kiosks(opened.database), found, after)
        desk.confirm(_question(opened.database, found, after), is_agreed=yes)
        with commit(opened.database, act) as database:
            # Once more, now that nobody else can write.
            _check(Kiosks(database), find_kiosk(Kiosks(database), kiosk_id), after)
            done = _replace(opened, database, found, after, act)
            detail |= done
    _tell(desk, after, done)


def _check(kiosks: Kiosks, found: Kiosk, after: Kiosk) -> None:
    if found.public_key == after.public_key:
        raise Refused(f"this is the key that kiosk {found.kiosk_id} has: make a new one on the new machine")
    check_unique(kiosks, after)


def _question(database: Database, found: Kiosk, after: Kiosk) -> str:
    question = f"The present key of kiosk {found.kiosk_id} will open nothing, and what is under way there ends."
    if after.mac_address != found.mac_address:
        with database.read() as session:
            count = len(bound_to(session, found.mac_address))
        question += f" {count} {'person' if count == 1 else 'people'} move from {found.mac_address} to the new MAC."
    return f"{question} Go on?"


def _replace(site: Site, database: Database, found: Kiosk, after: Kiosk, act: Act) -> Mapping[str, object]:
    """Put the new machine in the old one's place; returns what ended and who moved, for the audit."""
    new = NewMachine(after.kiosk_id, after.public_key, after.mac_address, found.mac_address)
    with database.transaction() as session:
        is_moved = new.mac_address != new.old_mac_address
        moved = bound_to(session, found.mac_address) if is_moved else []
        before = bound_to(session, new.mac_address) if is_moved else []
        attempts = replace_machine(session, new, act.now)
        ended = _end_changes(site, database, session, new, act)
    return {
        "old_public_key": encode_public_key(found.public_key),
        "old_mac": found.mac_address,
        "attempts_ended": attempts,
        "changes_ended": ended[:NAMES_MAX],
        "people_moved": len(moved),
        "moved": moved[:NAMES_MAX],
        "bound_already": before[:NAMES_MAX],
    }


def _end_changes(site: Site, database: Database, session: Session, new: NewMachine, act: Act) -> list[str]:
    """End what was asked for at the old machine, and let the rest bind to the new MAC; returns whose ended."""
    changes, ended = changes_of(site, database), []
    for change in changes.list():
        if change.kiosk_id == new.kiosk_id:
            end_change(site, database, change.username, act.now)
            ended.append(change.username)
        else:
            move_change(changes, session, change, new)
    return ended


def _tell(desk: Desk, after: Kiosk, done: Mapping[str, object]) -> None:
    desk.output.say(f"Kiosk {after.kiosk_id} has a new key.")
    if done["people_moved"]:
        desk.output.say(f"{done['people_moved']} people are bound to {after.mac_address} now.")
    if done["bound_already"]:
        desk.output.say(f"Bound to its MAC before, so they may log in there: {', '.join(done['bound_already'])}.")  # type: ignore[arg-type]
    for username in list(done["changes_ended"]):  # type: ignore[call-overload]
        desk.output.say(f"The pending change of {username} has ended: it was asked for there.")
    if not after.enabled:
        desk.output.say(f"It is disabled: `4auth-provision kiosk enable {after.kiosk_id}` lets it in.")
    names = ("attempts_ended", "changes_ended", "people_moved", "bound_already")
    desk.output.result({"kiosk": kiosk_document(after), **{name: done[name] for name in names}})
