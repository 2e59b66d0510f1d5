"""From one recognition model to another, while people log in: first templates side by side, then the old ones go.

What is done is told by the store alone: whoever has a template of the new model needs none. So a run that was
killed is simply run again, and whoever enrols meanwhile is found by the next look. Embedding is done outside of
transactions; a template is stored only where the face is still the one of the picture that was read.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from auth_server.account_faces import MIGRATED, AccountFaces, EnrolledPicture
from auth_server.domain import Template
from auth_server.store.database import Database

BATCH: Final = 50
"""Accounts in one transaction: some 50 ms in which nobody else can write."""

Reembed = Callable[[bytes], Template]
"""Makes the template of an enrolled picture. Raises ValueError or OSError for what is none."""


@dataclass(slots=True)
class Migrated:
    """What a run did: how many templates it stored, and whose picture could not be read."""

    stored: int = 0
    failed: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class FaceMigration:
    """Gives every account a template of `model`. `jobs` pictures are embedded at once."""

    database: Database
    accounts: AccountFaces
    model: str
    now: Callable[[], datetime]
    jobs: int = 1

    def count(self) -> int:
        """Return how many accounts have no template of the model."""
        return len(self.accounts.without_template(self.model))

    def migrate(self, reembed: Reembed, on_done: Callable[[int], None] = lambda _: None) -> Migrated:
        """Store a template of the model beside the enrolled one for everybody who has none.

        `on_done` is told how many more are done. Raises StoreError, with all whole batches before it stored.
        """
        done = Migrated()
        with ThreadPoolExecutor(self.jobs, thread_name_prefix="migrate") as pool:
            # Who changed a factor between reading and storing, or enrolled behind us, is met by another look.
            while any([self._batch(names, reembed, pool, done, on_done) for names in self._lacking(done.failed)]):
                pass
        return done

    def finish(
        self, on_done: Callable[[int], None] = lambda _: None, after_batch: Callable[[], None] = lambda: None
    ) -> int:
        """Make the model's templates the enrolled ones, drop those of all others, and return how many accounts changed.

        Whoever has none of the model keeps what there is. `after_batch` is called between transactions.
        """
        after, changed = "", 0
        while names := self.accounts.with_other_models(self.model, after, BATCH):
            with self.database.transaction() as session:
                changed += sum([self.accounts.keep_only(session, name, self.model) for name in names])
            on_done(len(names))
            after_batch()
            after = names[-1]
        return changed

    def _lacking(self, failed: Sequence[str]) -> Iterator[list[str]]:
        after = ""
        while names := self.accounts.without_template(self.model, after, BATCH):
            after = names[-1]
            yield [name for name in names if name not in failed]

    def _batch(
        self,
        names: Sequence[str],
        reembed: Reembed,
        pool: ThreadPoolExecutor,
        done: Migrated,
        on_done: Callable[[int], None],
    ) -> bool:
        """Store the templates of one batch; whether there was anything to be done."""
        pictures = self.accounts.pictures(names)
        made = list(zip(pictures, pool.map(lambda one: _template(reembed, one), pictures), strict=True))
        with self.database.transaction() as session:
            stored = [
                self.accounts.put_further(session, one.username, one.factors_changed_at, MIGRATED, template, self.now())
                for one, template in made
                if template is not None
            ]
        failed = [one.username for one, template in made if template is None]
        done.failed += failed
        done.stored += sum(stored)
        on_done(sum(stored) + len(failed))
        return bool(names)


def _template(reembed: Reembed, picture: EnrolledPicture) -> Template | None:
    if picture.png is None:
        return None
    try:
        return reembed(picture.png)
    except (ValueError, OSError, SyntaxError):  # Pillow raises each of these for some damaged file
        return None
