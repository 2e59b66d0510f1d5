"""`4auth-provision face snapshots`: the pictures of refused attempts that a site keeps; each look is in the log."""

from pathlib import Path

import click

from auth_server.audit import AuditLog
from auth_server.snapshots import Snapshot, Snapshots
from provisioning.act import Act, commit, done_entry, refusals_recorded
from provisioning.closed_file import closed_file
from provisioning.desk import Desk, Site, pass_desk, shared_options, yes_option
from provisioning.errors import Refused

_NUMBER = click.IntRange(1)


@click.group()
def snapshots() -> None:
    """Look at the pictures of refused attempts, and delete them.

    They are kept only where face.keep_refused_days is set, encrypted, and deleted after so many days.

    \b
    Example:
      4auth-provision face snapshots list
    """


@snapshots.command("list")
@shared_options
@pass_desk
def list_(desk: Desk) -> None:
    """List the pictures that are kept, the newest first, without opening one.

    \b
    Example:
      4auth-provision face snapshots list
    """
    with desk.site() as opened:
        found = snapshots_of(opened).list()
    if not found:
        desk.output.say("No picture of a refused attempt is kept.")
    else:
        desk.output.table(("id", "name typed", "action", "kiosk", "taken", "until"), map(_cells, found))
    desk.output.result({"snapshots": [snapshot_document(one) for one in found]})


@snapshots.command()
@click.argument("number", type=_NUMBER, metavar="ID")
@click.option("--to", type=click.Path(path_type=Path, dir_okay=False), required=True, help="Write it to this new file.")
@shared_options
@pass_desk
def show(desk: Desk, number: int, to: Path) -> None:
    """Write one picture to a new file, mode 0600; the audit log says who did.

    \b
    Example:
      4auth-provision face snapshots show 3 --to refused.jpg
    """
    with desk.site() as opened:
        act = _act(desk, opened, "show", number)
        with refusals_recorded(opened.database, act):
            found = snapshots_of(opened).open(number)
            if found is None:
                raise _no_snapshot(number)
            # The row first: a picture that was seen without one would be worse than a row without a picture.
            with closed_file(to) as file:
                with commit(opened.database, act):
                    pass
                file.write(found[1])
    desk.output.say(f"The picture is in {to}: delete it when it has been looked at.")
    desk.output.result({"file": str(to), "snapshot": snapshot_document(found[0])})


@snapshots.command()
@click.argument("number", type=_NUMBER, metavar="ID", required=False)
@click.option("--all", "is_all", is_flag=True, help="Delete all of them.")
@yes_option
@shared_options
@pass_desk
def delete(desk: Desk, number: int | None, is_all: bool, yes: bool) -> None:
    """Delete one picture, or all, before their time; the audit log says who did, and which.

    \b
    Example:
      4auth-provision face snapshots delete 3
    """
    if (number is None) != is_all:
        raise click.UsageError("give either an ID or --all")
    with desk.site() as opened:
        act = _act(desk, opened, "delete", number)
        with refusals_recorded(opened.database, act):
            what = "All pictures" if number is None else f"Picture {number}"
            desk.confirm(f"{what} of refused attempts will be gone for good. Go on?", is_agreed=yes)
            gone = _delete(opened, act, number)
    desk.output.say(f"Deleted: {gone}.")
    desk.output.result({"deleted": gone})


def _delete(site: Site, act: Act, number: int | None) -> int:
    """Delete with a row for each, in one transaction; returns how many."""
    if number is not None:
        with commit(site.database, act) as database, database.transaction() as session:
            if not Snapshots.delete(session, number):
                raise _no_snapshot(number)
        return 1
    log = AuditLog(site.database)
    found = snapshots_of(site).list()
    with site.database.transaction() as session:
        for one in found:
            Snapshots.delete(session, one.number)
            log.append(session, done_entry(_act_on(act, one)), act.now)
    return len(found)


def snapshots_of(site: Site) -> Snapshots:
    """Return the kept pictures of an opened site."""
    return Snapshots(site.database, site.keyring.field, site.settings.face.keep_refused_days)


def snapshot_document(found: Snapshot) -> dict[str, object]:
    """Return what is known of a picture for `--json`."""
    return {
        "id": found.number,
        "username": found.username,
        "action": found.action,
        "kiosk": found.kiosk_id,
        "attempt": found.attempt_id,
        "taken_at": found.taken_at.isoformat(timespec="seconds"),
        "expires_at": found.expires_at.isoformat(timespec="seconds"),
    }


def _cells(found: Snapshot) -> tuple[str, ...]:
    name, times = found.username or "-", (f"{moment:%Y-%m-%d %H:%MZ}" for moment in (found.taken_at, found.expires_at))
    return str(found.number), name, found.action, found.kiosk_id, *times


def _act(desk: Desk, site: Site, verb: str, number: int | None) -> Act:
    """The act on one picture, in the name of whom it was taken as; on all, in nobody's."""
    act = Act(f"admin.face.snapshots.{verb}", desk.now(), detail={} if number is None else {"snapshot": number})
    found = next((one for one in snapshots_of(site).list() if one.number == number), None)
    return act if found is None else _act_on(act, found)


def _act_on(act: Act, found: Snapshot) -> Act:
    detail = {"snapshot": found.number, "attempt": found.attempt_id}
    return Act(act.action, act.now, username=found.username, kiosk_id=found.kiosk_id, detail=detail)


def _no_snapshot(number: int) -> Refused:
    return Refused(f"there is no picture {number}: `4auth-provision face snapshots list` tells which there are")
