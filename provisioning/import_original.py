"""`4auth-provision import-original`: what the command line says, and what the administrator reads."""

import functools
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from provisioning.act import Act, commit, refusals_recorded
from provisioning.desk import Desk, Site, shared_options
from provisioning.errors import EXIT_REFUSED
from provisioning.importing import Already, Import, Taken
from provisioning.original import OriginalKey, original
from provisioning.original_rows import LeftOut
from provisioning.params import KIOSK_ID
from provisioning.progress import Progress, progress
from provisioning.user_lookup import macs_of

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command("import-original")
@click.option("--db", "path", type=_FILE, required=True, help="The original's users.db. It is not changed.")
@click.option("--fernet-key", "key_path", type=_FILE, required=True, help="The key file that lay beside it.")
@click.option(
    "--kiosk", "kiosk_ids", type=KIOSK_ID, multiple=True, help="Where everybody may log in, besides the own device."
)
@click.option("--dry-run", is_flag=True, help="Say what would be taken over, and change nothing.")
@shared_options
@click.pass_context
def import_original(
    context: click.Context, path: Path, key_path: Path, kiosk_ids: tuple[str, ...], dry_run: bool
) -> None:
    """Take over the users and the access log of an original 4Auth; exit 1 when any was left out.

    Passwords and authenticator apps stay as they are, and each face is embedded anew from its stored
    picture. Whoever cannot be taken over is listed with the reason. Old log rows come into the audit
    log as import.* rows that keep their time and number in the detail: they are the original's word.

    Stop the original before. Another run goes on where one stopped and takes nothing twice.

    \b
    Example:
      4auth-provision import-original --db users.db --fernet-key fernet.key --kiosk lobby-1
    """
    desk: Desk = context.ensure_object(Desk)
    key = OriginalKey.read(key_path)
    with desk.site() as site, original(path, desk.settings.store.folder) as opened:
        run = Import(
            site=site,
            original=opened,
            key=key,
            engine=functools.cache(lambda: desk.load_face_engine(site.settings.face)),
            now=desk.now(),
            kiosk_macs=_macs(site, kiosk_ids),
            is_dry=dry_run,
        )
        detail = {"file": path.name, "sha256": opened.sha256, "source": key.source, "kiosks": sorted(kiosk_ids)}
        _begin(run, Act("admin.import_original", run.now, detail=detail))
        accounts = _accounts(run)
        rows = _log(run)
    is_whole = _tell(desk, run, accounts, rows)
    if not is_whole:
        context.exit(EXIT_REFUSED)


def _begin(run: Import, act: Act) -> None:
    """Audit that an import begins, or that it was refused; a dry run leaves no trace."""
    if run.is_dry:
        run.check_key()
        return
    with refusals_recorded(run.site.database, act):
        run.check_key()
    with commit(run.site.database, act):
        pass


def _accounts(run: Import) -> list[Taken | Already | LeftOut]:
    return list(progress(run.users(), "Accounts", total=len(run.original.names())))


def _log(run: Import) -> int:
    bar: Progress[int] = progress(run.log_rows_left(), "Log rows")
    with bar:
        taken = 0
        for rows in run.log():
            taken += rows
            bar.advance(rows)
    return taken


def _macs(site: Site, kiosk_ids: Sequence[str]) -> frozenset[str]:
    return frozenset(macs_of(site.database, kiosk_ids).values())


def _tell(desk: Desk, run: Import, accounts: Sequence[Taken | Already | LeftOut], log_rows: int) -> bool:
    """Print what became of it all; whether nobody was left out."""
    taken = [account for account in accounts if isinstance(account, Taken)]
    already = [account for account in accounts if isinstance(account, Already)]
    left_out = [account for account in accounts if isinstance(account, LeftOut)]
    out, would = desk.output, "would be " if run.is_dry else ""
    if left_out:
        out.table(("LEFT OUT", "KIND", "WHY"), [(lost.username, lost.kind, lost.why) for lost in left_out])
    for account in taken:
        for note in account.notes:
            out.warn(f"NOTE: {account.username}: {note}")
    out.say(
        f"{len(taken)} accounts {would}taken over, {len(already)} were before, {len(left_out)} {would}left out; "
        f"{log_rows} rows of the old log {would}taken over."
    )
    if taken and not run.is_dry:
        out.say("Delete the original's files when everybody has logged in: the key there opens every secret in them.")
    out.result(
        {
            "dry_run": run.is_dry,
            "source": {"sha256": run.original.sha256, "id": run.key.source},
            "taken": [asdict(account) for account in taken],
            "already": [account.username for account in already],
            "left_out": [asdict(lost) for lost in left_out],
            "log_rows": log_rows,
        }
    )
    return not left_out
