"""What each key of a site still holds: the values, checkpoints and assertions that need it."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any

from auth_server.audit_chain import Checkpoint
from auth_server.checkpoints import Checkpoints
from auth_server.key_forms import RETIRED_AUDIT, Key, Kind, State
from auth_server.key_rotation import REST_S
from auth_server.keyring import read_keys
from auth_server.resealing import SealedValues
from auth_server.store.canary import read_canary
from auth_server.store.rekey import opens_now
from provisioning.desk import Site

Holding = tuple[Kind, Key[Any], str]


def key_holdings(site: Site, now: datetime) -> Iterator[Holding]:
    """Give every key with what it holds, in words; retired audit keys too, by their public halves."""
    ring = site.keyring
    kinds: tuple[tuple[Kind, Sequence[Key[Any]], Callable[[Key[Any]], str]], ...] = (
        (Kind.DATABASE, ring.database(), lambda key: _database_holds(site, key)),
        (Kind.FIELD, ring.field.keys, _field_holds(site)),
        (Kind.AUDIT, (*ring.audit.keys, *_retired(site)), _audit_holds(site)),
        (Kind.ASSERTION, ring.assertion.keys, lambda key: _assertion_holds(key, now)),
    )
    for kind, keys, holds in kinds:
        for key in keys:
            yield kind, key, holds(key)


def _retired(site: Site) -> Sequence[Key[Any]]:
    held = {key.id for key in site.keyring.audit.keys}
    found = read_keys(site.keyring.folder / RETIRED_AUDIT.file, RETIRED_AUDIT)
    return [key for key in found if key.id not in held]


def _database_holds(site: Site, key: Key[bytes]) -> str:
    if not site.database.is_file:
        return "backups" if key.state is State.IN_USE else _nothing(key)
    return "the database" if opens_now(site.database.path, key.material) else _nothing(key)


def _field_holds(site: Site) -> Callable[[Key[Any]], str]:
    counts = SealedValues(site.database, site.keyring).by_key()
    return lambda key: _count(counts[key.id], "value") if counts[key.id] else _nothing(key)


def _nothing(key: Key[Any]) -> str:
    return "nothing here; older backups" if key.state is State.OLD else "nothing yet"


def _audit_holds(site: Site) -> Callable[[Key[Any]], str]:
    lines = Checkpoints.of(site.settings.store, site.keyring.audit).read()
    signed = Counter(line.key_id for line in lines if isinstance(line, Checkpoint))
    with site.database.read() as session:
        canary = read_canary(session, site.keyring)
    named = canary and canary[1]
    return lambda key: _count(signed[key.id], "checkpoint") + (", the canary" if key.id == named else "")


def _assertion_holds(key: Key[Any], now: datetime) -> str:
    if key.state is not State.OLD or key.unused_since is None:
        return "published" if key.state is State.NEXT else "published, signs"
    until = key.unused_since + timedelta(seconds=REST_S[Kind.ASSERTION])
    return f"published until {until:%H:%M:%S}" if until > now else "published, not needed"


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
