"""`4auth-provision restore`: put a backup in the place of the database."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import click

from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.errors import AuthServerError, LogRolledBack
from auth_server.store import schema
from auth_server.store.in_use import alone
from auth_server.store.location import Location, Postgresql
from provisioning.act import Act, refusals_recorded
from provisioning.backup_file import CHECKPOINTS, DATABASE
from provisioning.backup_keys import Ring
from provisioning.backup_manifest import Manifest
from provisioning.backup_proof import Proof, prove, unpack
from provisioning.desk import Desk, pass_desk, shared_options, yes_option
from provisioning.errors import ProvisioningError, Refused
from provisioning.restoring import name_aside, put_checkpoints, put_in_place, record
from provisioning.restoring_postgresql import alone_in, put_into, standing_in
from provisioning.scratch import scratch_folder
from provisioning.standing import Loss, loss, standing
from provisioning.steps import Step, no_step


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did. `kept` is the path of the database that it replaced."""

    manifest: Manifest
    loss: Loss
    kept: Path | None


@dataclass(frozen=True, slots=True)
class Restoring:
    """One restore. `agree` is asked before a database is replaced, and raises where the answer is no."""

    desk: Desk
    path: Path
    agree: Callable[[str], None]
    despite_findings: bool = False
    step: Step = no_step

    def run(self) -> Restored:
        """Restore, and audit what is refused in the log of the database that stands there, where one does.

        Raises Refused, StartRefused or StoreError; then what stood there stands there still.
        """
        try:
            return self._restore()
        except (AuthServerError, ProvisioningError) as error:
            act = Act("admin.restore", self.desk.now(), detail={"file": self.path.name})
            # Where there is no database to write it into, the refusal has no row.
            with suppress(AuthServerError, ProvisioningError), self.desk.site() as site:
                with refusals_recorded(site.database, act):
                    raise error
            raise

    def _restore(self) -> Restored:
        store, now = self.desk.settings.store, self.desk.now()
        ring, place = Ring.load(store.keys), store.database
        if not isinstance(place, Path):
            return self._restore_to(place, ring)
        _make_folder(place.parent)
        with alone(place), scratch_folder(place.parent, "restore") as scratch:
            manifest = unpack(self.path, ring, scratch)
            self.step("unpacked")
            self._refuse_unproved(prove(manifest, ring, scratch))
            old = standing(place, ring)
            lost = loss(scratch / DATABASE, ring, old, Checkpoints(store.checkpoints, ring.keyring.audit))
            aside = None if old is None else name_aside(place, now)
            if aside is not None:
                self.agree(_question(place, aside, manifest, lost))
            record(
                scratch / DATABASE, ring, Act("admin.restore", now, detail=_detail(self.path, manifest, lost, aside))
            )
            self.step("recorded")
            put_in_place(scratch, place, store.checkpoints, aside, self.step)
        return Restored(manifest, lost, aside)

    def _restore_to(self, place: Postgresql, ring: Ring) -> Restored:
        """The same in a PostgreSQL database; what it held is kept as a SQLCipher file beside the checkpoints."""
        store, now = self.desk.settings.store, self.desk.now()
        beside = store.folder
        _make_folder(beside)
        with scratch_folder(beside, "restore") as scratch:
            manifest = unpack(self.path, ring, scratch)
            self.step("unpacked")
            self._refuse_unproved(prove(manifest, ring, scratch))
            restored = scratch / DATABASE
            with standing_in(place, ring) as (database, is_new):
                old = None if is_new else AuditLog(database)
                signed = Checkpoints(store.checkpoints, ring.keyring.audit)
                lost = loss(restored, ring, old, signed)
                aside = None if old is None else name_aside(beside / DATABASE, now)
                if aside is not None:
                    self.agree(_question(place, aside, manifest, lost))
                with alone_in(database, place) as session:
                    _refuse_grown(place, lost, loss(restored, ring, old, signed))
                    record(restored, ring, Act("admin.restore", now, detail=_detail(self.path, manifest, lost, aside)))
                    self.step("recorded")
                    put_into(restored, database, session, ring, aside, self.step)
            self.step("placed")
            put_checkpoints(scratch / CHECKPOINTS, store.checkpoints)
        return Restored(manifest, lost, aside)

    def _refuse_unproved(self, proof: Proof) -> None:
        if proof.ok or (self.despite_findings and not proof.damage):
            return
        found = "; ".join(proof.findings[:3])
        more = "" if proof.damage else ". To restore it nevertheless, add --despite-findings"
        raise Refused(f"{self.path} did not pass its check: {found}{more}")


@click.command()
@click.argument("path", type=click.Path(path_type=Path, exists=True, dir_okay=False), metavar="FILE")
@click.option(
    "--despite-findings",
    is_flag=True,
    help="Restore although the log in the backup was tampered with before it was made.",
)
@yes_option
@shared_options
@pass_desk
def restore(desk: Desk, path: Path, despite_findings: bool, yes: bool) -> None:
    """Put a backup in the place of the database that the settings name.

    Stop the server before. The backup is proved whole before anything is touched; an older schema is
    migrated. The database that stands there is kept beside it under a dated name. The checkpoint file
    stays: where it has signed rows that the backup lacks, nobody is let in until `audit accept-restore`
    says that this is on purpose.

    \b
    Example:
      4auth-provision restore /backup/head-office-20261122T093000Z.4auth-backup
    """
    agree = lambda question: desk.confirm(question, is_agreed=yes)  # noqa: E731 - one line says it
    done = Restoring(desk, path, agree, despite_findings).run()
    fault = _log_fault(desk)
    _tell(desk, done, fault)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"{folder} cannot be made: {error.strerror}: make it, writable for this user") from error


def _question(place: Location, aside: Path, manifest: Manifest, lost: Loss) -> str:
    gone = f" {lost.rows} rows of the log since row {lost.kept} are given up." if lost.rows else ""
    return (
        f"Replace {place} by the backup of {manifest.site} of {manifest.made_at}?{gone} "
        f"What stands there is kept as {aside.name}."
    )


def _refuse_grown(place: Location, told: Loss, now: Loss) -> None:
    """Raise Refused where more would be given up than was told: somebody wrote while the question stood."""
    if now != told:
        raise Refused(
            f"{place} has {now.given_up_to - told.given_up_to} rows more than a moment ago: "
            "stop every server, then run the same restore again"
        )


def _detail(path: Path, manifest: Manifest, lost: Loss, aside: Path | None) -> dict[str, object]:
    return {
        "file": path.name,
        "made_at": manifest.made_at,
        "head": {"row": manifest.head.sequence, "hash": manifest.head.row_hash},
        "given_up": {"after": lost.kept, "to": lost.given_up_to, "rows": lost.rows},
        "kept": None if aside is None else aside.name,
    }


def _log_fault(desk: Desk) -> str | None:
    """Sign the restored log, or return why it may not be signed yet."""
    with desk.site() as site:
        try:
            Checkpoints.of(site.settings.store, site.keyring.audit).write(AuditLog(site.database), desk.now())
        except LogRolledBack as error:
            return str(error)
    return None


def _tell(desk: Desk, done: Restored, fault: str | None) -> None:
    out, manifest, lost = desk.output, done.manifest, done.loss
    out.say(f"Restored: the backup of {manifest.site} of {manifest.made_at}, up to row {manifest.head.sequence}.")
    if manifest.schema != schema.head():
        out.say(f"Its schema {manifest.schema} was migrated to {schema.head()}.")
    if done.kept is not None:
        out.say(f"What stood there is kept as {done.kept}: remove it when all is well.")
    if lost.rows:
        out.warn(
            f"{lost.rows} rows of the log after row {lost.kept} are given up: codes used since then work again, "
            "and who was disabled or deleted since then is back."
        )
    if fault is not None:
        out.warn(fault)
    out.result(
        {
            "site": manifest.site,
            "made_at": manifest.made_at,
            "head": {"row": manifest.head.sequence, "hash": manifest.head.row_hash},
            "schema": {"was": manifest.schema, "is": schema.head()},
            "kept": None if done.kept is None else str(done.kept),
            "given_up": {"after": lost.kept, "to": lost.given_up_to, "rows": lost.rows},
            "must_accept": fault is not None,
        }
    )
