"""`4auth-provision backup`: make a backup of the running site, check one, tell those of a folder."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import click

from provisioning.backup_folder import backups_in, prune
from provisioning.backup_keys import Ring
from provisioning.backup_make import Order, make_backup
from provisioning.backup_proof import Proof, prove, unpack
from provisioning.desk import Desk, pass_desk, shared_options
from provisioning.errors import EXIT_REFUSED
from provisioning.scratch import scratch_folder

_FOLDER = click.Path(path_type=Path, exists=True, file_okay=False)
_FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.group()
def backup() -> None:
    """Make a backup of the running site, check one, and tell those of a folder.

    A backup holds the database, encrypted as it is, and the checkpoint file. It holds no key: keep a
    copy of the keys elsewhere, for without them it opens for nobody.

    \b
    Example:
      4auth-provision backup make --to /backup --keep 14
    """


@backup.command()
@click.option(
    "--to", type=click.Path(path_type=Path), required=True, help="A new file, or a folder, where the name is dated."
)
@click.option(
    "--keep", type=click.IntRange(1), help="Afterwards remove this site's older backups in that folder but for so many."
)
@shared_options
@pass_desk
def make(desk: Desk, to: Path, keep: int | None) -> None:
    """Make a backup while the server runs, and prove it by a restore into a scratch folder.

    The file appears under its name only when it was proved; one that did not pass is kept with .bad
    added, and the exit code is 1. Nothing is ever overwritten.

    \b
    Example:
      4auth-provision backup make --to /backup --keep 14
    """
    if keep is not None and not to.is_dir():
        raise click.UsageError("--keep needs a folder in --to: it removes older backups there")
    with desk.site() as site:
        order = Order(site.settings, Ring.of(site.keyring), _program(), desk.now())
        target, proof = make_backup(site, order, to)
        removed = prune(site, target, keep, order.now) if keep is not None else []
    _tell(desk, target, proof)
    for path in removed:
        desk.output.say(f"Removed: {path}")
    desk.output.result({**_document(target, proof), "removed": [str(path) for path in removed]})


@backup.command()
@click.argument("path", type=_FILE, metavar="FILE")
@click.option("--scratch", type=_FOLDER, help="Where there is room to unpack it.  [default: beside FILE]")
@shared_options
@click.pass_context
def check(context: click.Context, path: Path, scratch: Path | None) -> None:
    """Prove a backup by a restore into a scratch folder; exit 1 when anything is wrong with it.

    It needs the site's settings and keys, and no database.

    \b
    Example:
      4auth-provision backup check /backup/head-office-20261122T093000Z.4auth-backup
    """
    desk: Desk = context.ensure_object(Desk)
    ring = Ring.load(desk.settings.store.keys)
    with scratch_folder(scratch or path.absolute().parent, "check") as folder:
        proof = prove(unpack(path, ring, folder), ring, folder)
    _tell(desk, path, proof)
    desk.output.result(_document(path, proof))
    if not proof.ok:
        context.exit(EXIT_REFUSED)


@backup.command("list")
@click.argument("folder", type=_FOLDER)
@shared_options
@pass_desk
def list_(desk: Desk, folder: Path) -> None:
    """Tell this site's backups in a folder, the newest first, by what their signed manifests say.

    \b
    Example:
      4auth-provision backup list /backup
    """
    settings = desk.settings
    found = backups_in(folder, Ring.load(settings.store.keys), settings.site)
    desk.output.table(
        ("MADE", "LAST ROW", "SCHEMA", "BYTES", "FILE"),
        [
            (backup.made_at, str(backup.head.sequence), backup.schema, str(path.stat().st_size), path.name)
            for path, backup in found
        ],
    )
    desk.output.result({"backups": [{"file": str(path), **backup.document()} for path, backup in found]})


def _tell(desk: Desk, path: Path, proof: Proof) -> None:
    out, manifest = desk.output, proof.manifest
    for finding in proof.findings:
        out.warn(f"FOUND: {finding}")
    if not proof.ok:
        out.warn(f"{path} is bad, do not rely on it.")
        return
    out.say(f"{path}: {manifest.site}, {manifest.made_at}, schema {manifest.schema}.")
    out.say(
        f"Every page, the secrets of {proof.accounts} accounts and the log's {manifest.head.sequence} rows are good."
    )
    out.say("It holds no key: without a copy of the keys it opens for nobody.")


def _document(path: Path, proof: Proof) -> dict[str, object]:
    return {
        "file": str(path),
        "ok": proof.ok,
        "accounts": proof.accounts,
        "findings": list(proof.findings),
        "manifest": proof.manifest.document(),
    }


def _program() -> str:
    try:
        return version("fourauth")
    except PackageNotFoundError:
        return "not installed"
