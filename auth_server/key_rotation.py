"""The life of a key: added, taken into use with all that the one before did done anew, retired.

A key that is added is known to everybody and seals nothing yet. Taking it into use leaves the one
before in its file as an old one, which is unused once everything is done anew. Each step is on the
disk before the next begins, and each may be the last of its process: what stands in the key file and
in the store tells where to go on. Hold `key_files.changing_keys` around all of it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from auth_server.audit import AuditLog
from auth_server.checkpoints import Checkpoints
from auth_server.errors import RotationRefused, StoreError
from auth_server.key_files import replace_key_file
from auth_server.key_forms import FORMS, RETIRED_AUDIT, Key, Keys, Kind, State, key_id, old, taken, unused, waiting
from auth_server.keyring import Keyring, read_keys
from auth_server.resealing import SealedValues
from auth_server.servers import SHARED_KINDS, Server
from auth_server.shared_keys import note_assertion_key
from auth_server.store.canary import read_canary, renew_canary
from auth_server.store.database import Database
from auth_server.store.rekey import effort, fold, opens_now, pages_of_another_key, rekey

VERIFIER_CACHE_S: Final = 60
"""For so long a verifier may use the assertion keys that it fetched."""

REST_S: Final[Mapping[Kind, int]] = {
    Kind.DATABASE: 0,
    Kind.FIELD: 60,  # a request may have read a value just before it was sealed anew
    Kind.AUDIT: 60,
    Kind.ASSERTION: 60 + VERIFIER_CACHE_S,  # the last assertion's life, and a cache that was filled just before
}
"""How long an unused key stays before it may be retired."""

_TOLD_MAX: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    """Changes the keys of an opened site. `pause` waits some seconds; `step` is told what is on the disk.

    `others` are the living servers of the same database that have key files of their own.
    """

    keyring: Keyring
    database: Database
    checkpoints: Checkpoints
    now: Callable[[], datetime]
    pause: Callable[[float], None]
    step: Callable[[str], None] = lambda _: None
    others: Callable[[datetime], Sequence[Server]] = lambda _: ()
    on_done: Callable[[int], None] = lambda _: None
    after_batch: Callable[[], None] = lambda: None

    def keys(self, kind: Kind) -> Keys[Any]:
        """Return the keys of a kind as their file has them. Raises KeyringRefused for a damaged file."""
        form = FORMS[kind]
        return read_keys(self.keyring.folder / form.file, form)

    def is_unfinished(self, kind: Kind) -> bool:
        """Whether a rotation was begun and not ended, here or, of what other servers seal, there."""
        keys = self.keys(kind)
        if any(key.unused_since is None for key in old(keys)):
            return True
        return kind is Kind.FIELD and waiting(keys) is None and bool(self._others(kind)) and self._needs(old(keys))

    def _needs(self, keys: Sequence[Key[Any]]) -> bool:
        """Whether a value is sealed by one of these, as by a server that learnt of their successor later."""
        if not keys:
            return False
        counts = SealedValues(self.database, self.keyring).by_key()
        return any(counts[key.id] for key in keys)

    def add(self, kind: Kind) -> Key[Any]:
        """Make a key and put it into its file, not yet in use. Raises RotationRefused when one is waiting already."""
        keys = self.keys(kind)
        if (present := waiting(keys)) is not None:
            raise RotationRefused(f"{kind} key {present.id} is waiting already: `keys rotate {kind}` takes it into use")
        made = FORMS[kind].new(self.now(), State.NEXT)
        self._put(kind, (*keys, made))
        self.step("added")
        return made

    def rotate(self, kind: Kind) -> None:
        """Take the waiting key into use, or a new one, and do anew what the one before did.

        Goes on where a rotation that was killed stood. Raises RotationRefused, StoreError or KeyringRefused.
        """
        if not self.is_unfinished(kind):
            self._refuse_unknown(kind)
            if waiting(self.keys(kind)) is None:
                self.add(kind)
            self._take(kind)
            self.step("taken")
        self._finish(kind)
        self.step("finished")

    def settle(self, kind: Kind) -> None:
        """Note that the old keys are unused from now on."""
        self._put(kind, unused(self.keys(kind), self.now()))
        self.step("settled")

    def leaving(self, kind: Kind) -> list[Key[Any]]:
        """Return the keys that may be retired by their age. Raises RotationRefused when there are none."""
        going = old(self.keys(kind))
        if not going:
            raise RotationRefused(
                f"there is no old {kind} key to retire: `keys rotate {kind}` makes the present one old"
            )
        if self.is_unfinished(kind):
            raise RotationRefused(f"the rotation of the {kind} key has not ended: run `keys rotate {kind}` again")
        since = max(key.unused_since for key in going if key.unused_since is not None)
        wait_s = (since + timedelta(seconds=REST_S[kind]) - self.now()).total_seconds()
        if wait_s > 0:
            raise RotationRefused(
                f"{kind} key {going[0].id} was in use until {since:%Y-%m-%dT%H:%M:%SZ}, and what it did may still be "
                f"under way: try again in {min(wait_s, REST_S[kind]):.0f} s"
            )
        return going

    def retire(self, kind: Kind, going: Sequence[Key[Any]]) -> None:
        """Remove old keys from their file once nothing provably needs them. Raises RotationRefused or StoreError."""
        self._refuse_used(kind, going)
        proofs = {Kind.DATABASE: self._prove_database, Kind.AUDIT: self._prove_audit}
        leaving = {key.id for key in going}
        kept = tuple(key for key in self.keys(kind) if key.id not in leaving)
        if kind is Kind.FIELD:
            # While nobody can write, or a value might be sealed between the look and the change.
            with self.database.transaction() as session:
                counts = SealedValues(self.database, self.keyring).by_key(session, self.on_done)
                if needing := sum(counts[key.id] for key in going):
                    raise RotationRefused(
                        f"{needing} values still need an old field key: run `keys rotate field` again"
                    )
                self._put(kind, kept)
        else:
            proofs.get(kind, lambda _: None)(going)
            self._put(kind, kept)
        self.step("retired")

    def _refuse_unknown(self, kind: Kind) -> None:
        """Raise RotationRefused while another server would not open or prove what the waiting key seals or signs."""
        others, following = self._others(kind), waiting(self.keys(kind))
        if others and following is None:
            raise RotationRefused(
                f"{_named(others)} use this database too, and must know a key before it is used: `keys add {kind}`, "
                "copy the key files there, then this again"
            )
        if following is not None and (strangers := [s for s in others if not s.knows(kind, following.id)]):
            raise RotationRefused(
                f"{kind} key {following.id} is not known at {_named(strangers)}: copy the key files there, restart the "
                "server where it has copies of them, and try again in a minute"
            )

    def _refuse_used(self, kind: Kind, going: Sequence[Key[Any]]) -> None:
        leaving = {key.id for key in going}
        if users := [server for server in self._others(kind) if server.uses(kind) in leaving]:
            raise RotationRefused(
                f"{_named(users)} still use {kind} key {', '.join(sorted(leaving))}: copy the key files there, restart "
                "the server where it has copies of them, and try again in a minute"
            )

    def _others(self, kind: Kind) -> Sequence[Server]:
        return self.others(self.now()) if kind in SHARED_KINDS else ()

    def _take(self, kind: Kind) -> None:
        keys = self.keys(kind)
        following = waiting(keys)
        if following is None:
            raise RotationRefused(f"there is no {kind} key to take into use")
        match kind:
            case Kind.DATABASE:
                self._rekey(keys, following)
            case Kind.AUDIT:
                self.checkpoints.hand_over(AuditLog(self.database), following.material, self.now())
                self.step("handed over")
            case Kind.ASSERTION:
                self._wait_until_known(following)
            case Kind.FIELD:
                pass  # it begins with the key file: from then on nothing more is sealed by the old key
        self._put(kind, taken(keys, None))

    def _finish(self, kind: Kind) -> None:
        match kind:
            case Kind.DATABASE:
                if self.database.is_file:
                    fold(self.database.path, self._opening_key().material)
            case Kind.FIELD:
                self._reseal()
            case Kind.AUDIT:
                with self.database.transaction() as session:
                    renew_canary(session, self.keyring)
            case Kind.ASSERTION:
                # What the old key signed has ended by itself before it is retired.
                with self.database.transaction() as session:
                    note_assertion_key(session, self.keyring)

    def _rekey(self, keys: Keys[Any], following: Key[Any]) -> None:
        if not self.database.is_file:
            return  # it encrypts backups alone
        present = self._opening_key()
        if present.id == following.id:
            return  # a killed rotation came so far
        if not effort(self.database.path).has_room:
            raise RotationRefused(
                f"the disk of {self.database.path} has no room for a second copy of it, which the rotation needs"
            )
        rekey(self.database.path, present.material, following.material)
        self.step("encrypted anew")

    def _opening_key(self) -> Key[Any]:
        path = self.database.path
        for key in self.keys(Kind.DATABASE):
            if opens_now(path, key.material):
                return key
        raise StoreError(f"no key in database.key opens {path}")

    def _wait_until_known(self, following: Key[Any]) -> None:
        if following.added_at is not None:
            since_s = (self.now() - following.added_at).total_seconds()
            if since_s < VERIFIER_CACHE_S:
                self.pause(min(VERIFIER_CACHE_S - since_s, VERIFIER_CACHE_S))

    def _reseal(self) -> None:
        def after_batch() -> None:
            self.step("batch")
            self.after_batch()

        bad = SealedValues(self.database, self.keyring).reseal(self.on_done, after_batch)
        if bad:
            named = "\n".join(bad[:_TOLD_MAX])
            raise RotationRefused(
                f"{len(bad)} values could not be opened, and stay as they are; the others are sealed anew:\n{named}\n"
                "reset or delete these accounts, then run `keys rotate field` again"
            )

    def _prove_database(self, going: Sequence[Key[Any]]) -> None:
        if not self.database.is_file:
            return
        present = self._opening_key()
        if present.id in {key.id for key in going}:
            raise RotationRefused(
                f"database key {present.id} is needed: it opens the database. Run `keys rotate database`"
            )
        found = pages_of_another_key(self.database.path, present.material)
        if found:
            raise RotationRefused(
                f"not every page of {self.database.path} is under key {present.id} ({len(found)} are not, or the file "
                "is damaged): try again when less is written, and check the database by a backup"
            )

    def _prove_audit(self, going: Sequence[Key[Any]]) -> None:
        leaving = {key.id for key in going}
        with self.database.read() as session:
            canary = read_canary(session, self.keyring)
        signing = key_id(self.checkpoints.signed().keys.newest)
        if (canary is None or canary[1] in leaving) or signing in leaving:
            raise RotationRefused("an old audit key is still needed: run `keys rotate audit` again")
        path = self.keyring.folder / RETIRED_AUDIT.file
        before = {key.id: key for key in read_keys(path, RETIRED_AUDIT)}
        halves = (Key(key.id, key.material.public_key(), State.OLD, key.added_at, key.unused_since) for key in going)
        # First the public halves, by which what these keys signed is proved, then the keys go.
        replace_key_file(path, RETIRED_AUDIT.spelt([*before.values(), *(k for k in halves if k.id not in before)]))
        self.step("published")

    def _put(self, kind: Kind, keys: Sequence[Key[Any]]) -> None:
        form = FORMS[kind]
        replace_key_file(self.keyring.folder / form.file, form.spelt(keys))


def _named(servers: Sequence[Server]) -> str:
    return ", ".join(f"{server.host} ({server.folder})" for server in servers)
