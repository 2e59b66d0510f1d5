"""Moving a site's store to another place: copied while servers serve, proved, and switched in some seconds.

In this order, each step durable before the next: changes are noted; rows are copied; the copy is proved; under the
writers' lock the rest is brought, the copy is made whole, the old store is closed; the log tells of it; the settings
name the new one. Whoever is killed in between runs the same command again.
"""

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.errors import StoreError
from auth_server.keyring import Keyring
from auth_server.store import marks, moving
from auth_server.store.copying import copy_rows
from auth_server.store.database import Database
from auth_server.store.location import Location
from auth_server.store.models import USERS
from provisioning.act import Act, done_entry
from provisioning.backup_file import CHECKPOINTS
from provisioning.backup_make import copy_checkpoints
from provisioning.backup_proof import sealed_faults
from provisioning.errors import Refused
from provisioning.progress import Progress, progress
from provisioning.scratch import scratch_folder
from provisioning.steps import Step, no_step
from provisioning.store_target import open_target, prepare, refuse_partial

_NOBODY = "Nobody is let in from here on, until servers run with the new store."


@dataclass(frozen=True, slots=True)
class Moved:
    """What a move brought: the rows of the log, the accounts, and the seconds in which nobody was let in."""

    rows: int
    accounts: int
    waited_s: float


@dataclass(frozen=True, slots=True)
class Move:
    """One move. `switch` puts the new place into the settings, in the time in which nobody is let in."""

    source: Database
    to: Location
    keyring: Keyring
    checkpoints: Checkpoints
    now: Callable[[], datetime]
    say: Callable[[str], None]
    switch: Callable[[], None]
    step: Step = no_step

    def run(self) -> Moved:
        """Move the store. Raises Refused, and the old store is as it was; or StoreError, and it may be run again."""
        with closing(open_target(self.to, self.keyring)) as target:
            began = time.monotonic()
            if self._is_closed():
                refuse_partial(target, self.keyring)
            else:
                prepare(self.source, target, self.keyring)
                self.step("noting")
                try:
                    began = self._from_file(target) if self.source.is_file else self._in_one_go(target)
                except Refused:
                    give_up(self.source)
                    raise
            return self._end(target, began)

    def _from_file(self, target: Database) -> float:
        """Copy, prove and close while servers go on, and return the time from which on nobody was let in."""
        with scratch_folder(self.checkpoints.path.parent, "move") as scratch:
            # In this order: a row that was signed when the lines were copied is brought.
            copy_checkpoints(self.checkpoints.path, scratch / CHECKPOINTS)
            self._copy(target)
            self.step("copied")
            self._prove(target, Checkpoints(scratch / CHECKPOINTS, self.keyring.audit))
        self.step("proved")
        self._bring(target)
        self._count(target)
        self._bring(target)  # what came while all was counted
        self.say(_NOBODY)
        began = time.monotonic()
        self._close(target, lambda session: self._refuse_differing(moving.bring_rest(session, target)))
        return began

    def _in_one_go(self, target: Database) -> float:
        """The way back from PostgreSQL: nobody is let in while it is copied."""
        self.say(_NOBODY)
        began = time.monotonic()
        self._close(target, lambda session: self._copy_all(session, target))
        return began

    def _close(self, target: Database, bring_all: Callable[[Session], None]) -> None:
        """Under the writers' lock, bring what is missing, make the copy whole and close the old store."""
        try:
            with self.source.transaction() as session:
                moving.stay(session)
                bring_all(session)
                moving.make_whole(session, target)
                self.step("whole")
                moving.stop_noting(session)
                marks.close_for_good(session, str(self.to), self.now())
        except StoreError:
            # Of a COMMIT whose answer did not come nobody knows whether it was done.
            if not self._is_closed_for_certain():
                raise
        self.step("closed")

    def _is_closed(self) -> bool:
        with self.source.read() as session:
            return marks.moved_to(session) == str(self.to)

    def _is_closed_for_certain(self) -> bool:
        try:
            with self.source.transaction() as session:  # its turn comes when the COMMIT has ended
                return marks.moved_to(session) == str(self.to)
        except StoreError as error:
            raise StoreError(
                f"{error}: it is not known whether {self.source.location} is closed: run the same command again"
            ) from error

    def _copy(self, target: Database) -> None:
        rows = progress_of("Copying rows")
        with rows:
            moving.copy_pages(self.source, target, rows.advance)
        self._bring(target)

    def _bring(self, target: Database) -> None:
        changes = progress_of("Bringing changes")
        with changes:
            moving.bring(self.source, target, changes.advance)

    def _copy_all(self, session: Session, target: Database) -> None:
        token, rows = marks.token_of(session, marks.LEAVING), progress_of("Copying rows")
        with target.transaction() as taking, rows:
            copy_rows(session, taking, rows.advance)
            marks.arrive(taking, token or "")
        self._prove(target, self.checkpoints)

    def _prove(self, target: Database, checkpoints: Checkpoints) -> None:
        """Open every secret of the copy and check its whole log. Raises Refused with what was found."""
        _, found = sealed_faults(target, self.keyring.field)
        log = AuditLog(target)
        rows = progress(log.chain(), "Verifying the log", total=log.head().sequence)
        found += [finding.what for finding in checkpoints.verify(rows).findings]
        if found:
            raise Refused(f"the copy in {self.to} is not sound, and nothing was switched: {'; '.join(found[:5])}")

    def _count(self, target: Database) -> None:
        """Compare the numbers of rows while servers go on: under the lock it would keep people waiting."""
        with self.source.read() as session:
            self._refuse_differing(moving.bring_rest(session, target))
            with target.read() as copied:
                moving.stay(copied)
                self._refuse_differing(moving.differing(session, copied))

    def _refuse_differing(self, where: str | None) -> None:
        if where is not None:
            raise Refused(f"the copy in {self.to} differs in its table {where}: run the same command again")

    def _end(self, target: Database, began: float) -> Moved:
        """Let the log tell of the move, once, and switch; whoever is killed in here comes here again."""
        now, log = self.now(), AuditLog(target)
        act = Act("admin.store.migrate", now, detail={"from": str(self.source.location), "to": str(self.to)})
        with target.transaction() as session:
            accounts = session.execute(select(func.count()).select_from(USERS)).scalar_one()
            if marks.end_arrival(session):
                log.append(session, done_entry(act), now)
        self.checkpoints.write(log, now)
        self.step("recorded")
        self.switch()
        self.step("switched")
        return Moved(log.head().sequence, accounts, time.monotonic() - began)


def give_up(source: Database) -> bool:
    """Take back what a move put into a store that it copies, and return whether there was one. Raises StoreError."""
    with source.transaction() as session:
        return moving.stop_noting(session)


def progress_of(label: str) -> Progress[int]:
    """A bar over an unknown number."""
    bar: Progress[int] = progress(None, label)
    return bar
