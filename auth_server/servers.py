"""The servers that share a database: which of them live, and which keys each of them knows.

Each notes its own keys in every round of its housekeeping. A key may be used once all who live know it, and go once
nobody who lives uses it: what one server seals the next one must open.
"""

import hashlib
import json
import socket
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, insert, select

from auth_server.errors import KeyringRefused
from auth_server.key_forms import Keys, Kind
from auth_server.keyring import Keyring
from auth_server.store.database import Database
from auth_server.store.models import SITE

_ROUNDS_MISSED: Final = 3
_LATE_BY: Final = timedelta(seconds=20)
"""A server that has noted nothing in three rounds, and a little, does not live."""

SHARED_KINDS: Final = (Kind.FIELD, Kind.AUDIT, Kind.ASSERTION)
"""The keys that every server must have; that of the database encrypts backups where there is no file."""

_FORGOTTEN_AFTER: Final = timedelta(days=1)
_PREFIX: Final = "server "
_ID_CHARS: Final = 24


@dataclass(frozen=True, slots=True)
class Server:
    """A server as it noted itself: host, key folder, when, and by kind the ids of its keys, the one in use first.

    It does so every `every_s` seconds.
    """

    host: str
    folder: str
    seen_at: datetime
    every_s: float
    keys: Mapping[str, tuple[str, ...]]

    def is_living(self, now: datetime) -> bool:
        """Whether it was heard of lately."""
        return _is_living(self.seen_at, self.every_s, now)

    def knows(self, kind: Kind, key_id: str) -> bool:
        """Whether it has a key of this id."""
        return key_id in self.keys.get(kind.value, ())

    def uses(self, kind: Kind) -> str | None:
        """The id of the key that it seals or signs with."""
        return next(iter(self.keys.get(kind.value, ())), None)


@dataclass(slots=True)
class Servers:
    """The servers of one database, as this one, on `host`, with the keys in the keyring's folder, sees them."""

    database: Database
    keyring: Keyring
    host: str = field(default_factory=socket.gethostname)
    every_s: float = 60.0
    _noted_at: datetime | None = field(default=None, init=False)

    def note(self, now: datetime) -> None:
        """Note that this server lives, and its keys. Forgets those that were not heard of for a day.

        Raises KeyringRefused where this one was cut off for so long that others went on without it, and one of them
        does not know a key that it uses: what is sealed by a key that was retired nobody else opens.
        """
        told = {
            "host": self.host,
            "folder": str(self.keyring.folder),
            "seen_at": now.isoformat(),
            "every_s": self.every_s,
            "keys": self._keys(),
        }
        with self.database.transaction() as session:
            found = session.execute(select(SITE.c.key, SITE.c.value).where(SITE.c.key.startswith(_PREFIX))).all()
            gone = [key for key, value in found if now - _read(value).seen_at > _FORGOTTEN_AFTER]
            session.execute(delete(SITE).where(SITE.c.key.in_([self._name, *gone])))
            session.execute(insert(SITE).values(key=self._name, value=json.dumps(told).encode()))
        noted_at, self._noted_at = self._noted_at, now
        if noted_at is not None and not _is_living(noted_at, self.every_s, now):
            self._refuse_retired([_read(value) for key, value in found if key != self._name], now)

    def living(self, now: datetime) -> list[Server]:
        """Return the servers that live, this one too, by their hosts' names."""
        with self.database.read() as session:
            found = session.scalars(select(SITE.c.value).where(SITE.c.key.startswith(_PREFIX))).all()
        servers = sorted(map(_read, found), key=lambda server: (server.host, server.folder))
        return [server for server in servers if server.is_living(now)]

    def others(self, now: datetime) -> list[Server]:
        """Return those that live and read other key files, which a change of the keyring's does not reach."""
        here = (self.host, str(self.keyring.folder))
        return [server for server in self.living(now) if (server.host, server.folder) != here]

    def _refuse_retired(self, others: Iterable[Server], now: datetime) -> None:
        used = {Kind(kind): ids[0] for kind, ids in self._keys().items()}
        for server in others:
            unknown = [
                kind for kind, key_id in used.items() if server.is_living(now) and not server.knows(kind, key_id)
            ]
            if unknown:
                raise KeyringRefused(
                    f"{server.host} does not know the {unknown[0].value} key {used[unknown[0]]} of this server: it was "
                    "retired meanwhile. Copy store.keys from there, and start this server anew"
                )

    @property
    def _name(self) -> str:
        here = f"{self.host}\n{self.keyring.folder}"
        return _PREFIX + hashlib.sha256(here.encode()).hexdigest()[:_ID_CHARS]

    def _keys(self) -> dict[str, list[str]]:
        rings: tuple[Keys[Any], ...] = (self.keyring.field.keys, self.keyring.audit.keys, self.keyring.assertion.keys)
        return {kind.value: [key.id for key in keys] for kind, keys in zip(SHARED_KINDS, rings, strict=True)}


def _is_living(seen_at: datetime, every_s: float, now: datetime) -> bool:
    return now - seen_at <= _ROUNDS_MISSED * timedelta(seconds=every_s) + _LATE_BY


def _read(value: bytes) -> Server:
    told = json.loads(value)
    keys = {kind: tuple(ids) for kind, ids in told["keys"].items()}
    seen_at = datetime.fromisoformat(told["seen_at"])
    return Server(str(told["host"]), str(told["folder"]), seen_at, float(told["every_s"]), keys)
