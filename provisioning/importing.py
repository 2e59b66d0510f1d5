"""Taking over what an original 4Auth holds: one account, or one page of its log, in a transaction each.

What was taken over is noted in the same transaction, under a name that says which original it came
from. So a run that is killed goes on where it stopped, and another run takes nothing twice, whatever
the audit log's retention forgot since.
"""

import hashlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Final

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from auth_server.accounts import Accounts, NewAccount
from auth_server.audit import AuditLog
from auth_server.errors import FaceUnusable, Malformed
from auth_server.face.observation import EnrolledFace
from auth_server.kiosks import Kiosks
from auth_server.store.models import SITE
from provisioning.act import Act, commit
from provisioning.desk import Site
from provisioning.errors import Refused
from provisioning.original import Original, OriginalKey, OriginalUser
from provisioning.original_rows import Candidate, Fault, LeftOut, judge, log_entry, opens, shared_names, shown
from provisioning.pictures import as_frame

if TYPE_CHECKING:
    from auth_server.face.engine import FaceEngine

_BEFORE_ALL: Final = -(2**63)
_NOTE = select(SITE.c.value).where(SITE.c.key == bindparam("wanted"))
_ADD_NOTE = insert(SITE)
_SET_NOTE = update(SITE).where(SITE.c.key == bindparam("wanted")).values(value=bindparam("new_value"))


@dataclass(frozen=True, slots=True)
class Taken:
    """An account that is taken over, and what its administrator has to know."""

    username: str
    mac_addresses: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Already:
    """An account that an earlier run took over."""

    username: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Import:
    """One run over one original. `kiosk_macs` are bound to every account besides its own device."""

    site: Site
    original: Original
    key: OriginalKey
    engine: "Callable[[], FaceEngine]"
    now: datetime
    kiosk_macs: frozenset[str] = frozenset()
    is_dry: bool = False

    def check_key(self) -> None:
        """Raise Refused when the key opens no account's secret: then it is another site's."""
        count = 0
        for user in self.original.users():
            if opens(user, self.key.fernet):
                return
            count += 1
        if count:
            raise Refused(
                f"the key opens the TOTP secret of none of the {count} accounts of {self.original.path}: "
                "name the fernet.key that lay beside it"
            )

    def users(self) -> Iterator[Taken | Already | LeftOut]:
        """Take the accounts over, one after another."""
        shared = shared_names(self.original.names())
        registered = Kiosks(self.site.database).macs()
        for user in self.original.users():
            try:
                yield self._user(user, shared, registered)
            except Fault as fault:
                yield LeftOut(shown(user.username), fault.kind, fault.why)

    def log(self) -> Iterator[int]:
        """Take the log over, a page in a transaction; gives how many rows each had."""
        after = self._log_begins()
        while page := self.original.log_page(after):
            if not self.is_dry:
                with self.site.database.transaction() as session:
                    log = AuditLog(self.site.database)
                    for row in page:
                        log.append(session, log_entry(row, self.key.source), self.now)
                    _note(session, self._note_key("log"), str(page[-1].id).encode())
            after = page[-1].id
            yield len(page)

    def log_rows_left(self) -> int:
        """How many log rows no run has taken over yet."""
        return self.original.log_count(self._log_begins())

    def _log_begins(self) -> int:
        with self.site.database.read() as session:
            noted = _noted(session, self._note_key("log"))
        return _BEFORE_ALL if noted is None else int(noted)

    def _user(self, user: OriginalUser, shared: frozenset[str], registered: Collection[str]) -> Taken | Already:
        candidate = judge(user, self.key.fernet, shared, needs_mac=not self.kiosk_macs)
        with self.site.database.read() as session:
            noted = _noted(session, self._note_key(f"user {candidate.username}"))
            is_there = Accounts.is_there(session, candidate.username)
        if noted is not None:
            return _earlier(candidate, noted, is_there=is_there)
        if is_there:
            raise Fault("name_in_use", f"there is another account {candidate.username!r} here already")
        face = _enrolled(self.engine(), candidate)
        own = frozenset() if candidate.mac_address is None else frozenset({candidate.mac_address})
        notes = (*candidate.notes, *_unknown_device(candidate, registered))
        taken = Taken(candidate.username, tuple(sorted(self.kiosk_macs | own)), notes)
        if not self.is_dry:
            self._store(candidate, face, taken)
        return taken

    def _store(self, candidate: Candidate, face: EnrolledFace, taken: Taken) -> None:
        account = NewAccount(
            username=candidate.username,
            password_hash=candidate.password_hash,
            totp_secret=candidate.totp_secret,
            totp_last_step=0,  # the original kept none, and the person's next code has to count
            template=face.template,
            face_png=face.picture_png,
            mac_addresses=frozenset(taken.mac_addresses),
        )
        detail = {"source": self.key.source, "mac_addresses": list(taken.mac_addresses), "notes": list(taken.notes)}
        act = Act("admin.import_original.user", self.now, username=account.username, detail=detail)
        with commit(self.site.database, act) as database, database.transaction() as session:
            Accounts(database, self.site.keyring.field, face.template.model).create(session, account, self.now)
            _note(session, self._note_key(f"user {account.username}"), candidate.row_hash)

    def _note_key(self, what: str) -> str:
        """The key of a note among the site's values, 32 characters."""
        return "import-" + hashlib.sha256(f"{self.key.source} {what}".encode()).hexdigest()[:25]


def _earlier(candidate: Candidate, noted: bytes, *, is_there: bool) -> Already:
    if not is_there:
        raise Fault("deleted", "an earlier import took it over, and it was deleted here since")
    if noted != candidate.row_hash:
        raise Fault("changed", "an earlier import took it over; it has changed in the original since, and not here")
    return Already(candidate.username)


def _enrolled(engine: "FaceEngine", candidate: Candidate) -> EnrolledFace:
    try:
        return engine.enrol([as_frame(candidate.picture, "its face picture")], is_vouched=True)
    except FaceUnusable as error:
        raise Fault(f"face_{error.hint.value}", f"its face picture cannot be enrolled: {error.problem}") from None
    except (Refused, Malformed) as error:
        raise Fault("face_picture", str(error)) from None


def _unknown_device(candidate: Candidate, registered: Collection[str]) -> tuple[str, ...]:
    mac = candidate.mac_address
    if mac is None or mac in registered:
        return ()
    return (f"its device {mac} is no registered kiosk's: register that kiosk, or bind the account to another",)


def _noted(session: Session, key: str) -> bytes | None:
    found: bytes | None = session.connection().execute(_NOTE, {"wanted": key}).scalar_one_or_none()
    return found


def _note(session: Session, key: str, value: bytes) -> None:
    if session.connection().execute(_SET_NOTE, {"wanted": key, "new_value": value}).rowcount == 0:
        session.connection().execute(_ADD_NOTE, {"key": key, "value": value})
