"""`4auth-provision keys`: show, add, rotate, retire and check the site's keys while the server runs."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any

import click

from auth_server.checkpoints import Checkpoints
from auth_server.key_files import changing_keys
from auth_server.key_forms import Key, Kind
from auth_server.key_rotation import Rotation
from auth_server.resealing import SealedValues
from auth_server.servers import Servers
from auth_server.store.rekey import effort
from provisioning.desk import Desk, Site, pass_desk, shared_options, yes_option
from provisioning.errors import EXIT_REFUSED
from provisioning.key_acts import Rotated, add_key, retire_keys, rotate_key
from provisioning.key_check import check_keys, secret_count
from provisioning.key_holdings import key_holdings
from provisioning.progress import Progress, progress

_KIND = click.Choice([kind.value for kind in Kind])
_ASK_ABOVE_S = 1.0
_TURN_MAX_S = 0.5


@click.group()
def keys() -> None:
    """Show, add, rotate, retire and check the site's keys; the server may go on running.

    \b
    Example:
      4auth-provision keys rotate field
    """


@keys.command("list")
@shared_options
@pass_desk
def list_(desk: Desk) -> None:
    """List all keys with their state and what each still holds.

    \b
    Example:
      4auth-provision keys list
    """
    with desk.site() as opened:
        rows = list(key_holdings(opened, desk.now()))
    desk.output.table(
        ("KIND", "ID", "STATE", "ADDED", "UNUSED SINCE", "HOLDS"),
        [
            (kind.value, key.id, key.state.value, _when(key.added_at) or "-", _when(key.unused_since) or "-", holds)
            for kind, key, holds in rows
        ],
    )
    desk.output.result({"keys": [_document(kind, key) | {"holds": holds} for kind, key, holds in rows]})


@keys.command()
@click.argument("kind", type=_KIND)
@shared_options
@pass_desk
def add(desk: Desk, kind: str) -> None:
    """Make a key that everybody knows and nobody uses yet; `keys rotate` takes it into use.

    Where the server has copies of the key files (systemd credentials), restart it before rotating.

    \b
    Example:
      4auth-provision keys add assertion
    """
    with _rotating(desk) as (_, rotation):
        made = add_key(rotation, Kind(kind))
    desk.output.say(f"{kind} key {made.id} is added. Back up the key folder, then: 4auth-provision keys rotate {kind}")
    desk.output.result({"key": _document(Kind(kind), made)})


@keys.command()
@click.argument("kind", type=_KIND)
@yes_option
@shared_options
@pass_desk
def rotate(desk: Desk, kind: str, yes: bool) -> None:
    """Take the added key into use, or a new one, and seal or sign anew all that needs it.

    A run that was interrupted is ended by running this again.

    \b
    Example:
      4auth-provision keys rotate field
    """
    wanted = Kind(kind)
    with _rotating(desk) as (opened, plain):
        if wanted is Kind.DATABASE:
            _ask_for_rekey(desk, opened, yes)
        with _counted(desk, opened, plain, wanted) as rotation:
            done = rotate_key(rotation, wanted)
    _tell_rotated(desk, wanted, done)


@keys.command()
@click.argument("kind", type=_KIND)
@yes_option
@shared_options
@pass_desk
def retire(desk: Desk, kind: str, yes: bool) -> None:
    """Remove the old keys of a kind, once it is proved that nothing on this site needs them.

    Backups made before the rotation may need them: keep a copy with those.

    \b
    Example:
      4auth-provision keys retire field --yes
    """
    wanted = Kind(kind)

    def agree(going: Sequence[Key[Any]]) -> None:
        if wanted in (Kind.DATABASE, Kind.FIELD):
            ids = ", ".join(key.id for key in going)
            desk.output.warn(
                f"Backups made with {kind} key {ids} can never be opened without it. Is the key folder backed up "
                "beside them?"
            )
        desk.confirm(f"Remove {len(going)} {kind} key{'s' if len(going) > 1 else ''} for good?", is_agreed=yes)

    with _rotating(desk) as (opened, plain), _counted(desk, opened, plain, wanted) as rotation:
        gone = retire_keys(rotation, wanted, agree)
    for key in gone:
        desk.output.say(f"{kind} key {key.id} is retired.")
    desk.output.result({"retired": [_document(wanted, key) for key in gone]})


@keys.command()
@shared_options
@click.pass_context
def check(context: click.Context) -> None:
    """Prove that every secret opens and that all keys fit what they belong to; exit 1 when one does not.

    \b
    Example:
      4auth-provision keys check
    """
    desk: Desk = context.ensure_object(Desk)
    with desk.site() as opened:
        bar: Progress[None] = progress(secret_count(opened), "Opening every secret")
        with bar:
            checked = check_keys(opened, bar.advance)
    for finding in checked.findings:
        desk.output.warn(f"FOUND: {finding}")
    for note in checked.notes:
        desk.output.warn(f"NOTE: {note}")
    looked_at = ", ".join(f"{count} {what}" for what, count in checked.counts.items())
    word = f"{len(checked.findings)} do not open or do not fit" if checked.findings else "every secret opens"
    desk.output.say(f"{looked_at}: {word}.")
    desk.output.result(
        {
            "ok": not checked.findings,
            "checked": dict(checked.counts),
            "findings": checked.findings,
            "notes": checked.notes,
        }
    )
    if checked.findings:
        context.exit(EXIT_REFUSED)


@contextmanager
def _rotating(desk: Desk) -> Iterator[tuple[Site, Rotation]]:
    with desk.site() as opened, changing_keys(opened.settings.store.keys):
        yield (
            opened,
            Rotation(
                keyring=opened.keyring,
                database=opened.database,
                checkpoints=Checkpoints.of(opened.settings.store, opened.keyring.audit),
                now=desk.now,
                pause=lambda seconds: _wait(desk, seconds),
                others=Servers(opened.database, opened.keyring).others,
            ),
        )


@contextmanager
def _counted(desk: Desk, opened: Site, plain: Rotation, kind: Kind) -> Iterator[Rotation]:
    """The same rotation with a bar over the sealed values, and a pause between batches in which others write."""
    if kind is not Kind.FIELD:
        yield plain
        return
    began = time.monotonic()

    def take_turns() -> None:
        nonlocal began
        # As long as others were kept out, they have for themselves now.
        desk.pause(min(time.monotonic() - began, _TURN_MAX_S))
        began = time.monotonic()

    bar: Progress[None] = progress(SealedValues(opened.database, opened.keyring).count(), "Looking at sealed values")
    with bar:
        yield replace(plain, on_done=bar.advance, after_batch=take_turns)


def _wait(desk: Desk, seconds: float) -> None:
    desk.output.say(f"Waiting {seconds:.0f} s, until every verifier knows the new key.")
    desk.pause(seconds)


def _ask_for_rekey(desk: Desk, opened: Site, is_agreed: bool) -> None:
    if not opened.database.is_file:
        return
    wanted = effort(opened.database.path)
    if wanted.seconds > _ASK_ABOVE_S:
        desk.confirm(
            f"Encrypting {wanted.file_bytes / 1e6:.0f} MB anew takes up to {wanted.seconds:.0f} s, and above 5 s "
            "logins are refused meanwhile. Do it now?",
            is_agreed=is_agreed,
        )


def _tell_rotated(desk: Desk, kind: Kind, done: Rotated) -> None:
    before = ", ".join(key.id for key in done.before)
    if done.is_continued:
        desk.output.say(f"An earlier rotation of the {kind} key was interrupted; it is ended now.")
    desk.output.say(f"{kind} key {done.present.id} is in use; {before} is old.")
    desk.output.say(f"Back up the key folder now. Later: 4auth-provision keys retire {kind}")
    desk.output.result(
        {
            "key": _document(kind, done.present),
            "old": [key.id for key in done.before],
            "continued": done.is_continued,
        }
    )


def _document(kind: Kind, key: Key[Any]) -> dict[str, object]:
    return {
        "kind": kind.value,
        "id": key.id,
        "state": key.state.value,
        "added_at": _when(key.added_at),
        "unused_since": _when(key.unused_since),
    }


def _when(moment: datetime | None) -> str | None:
    return moment.isoformat(timespec="seconds") if moment else None
