"""Sealing anew beside processes that read, write, add and delete: nobody meets a value that does not open."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from auth_server.accounts import Accounts, NewAccount
from auth_server.changes import Changes
from auth_server.domain import Template
from auth_server.errors import StoreError
from auth_server.key_files import replace_key_file
from auth_server.key_forms import FIELD, State, taken
from auth_server.keyring import Keyring
from auth_server.resealing import SealedValues
from auth_server.store.database import Database, open_database

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)


@dataclass
class OwnSite:
    """A site whose keys a test may change."""

    folder: Path
    keyring: Keyring
    database: Database

    @property
    def path(self) -> Path:
        return self.database.path

    @property
    def values(self) -> SealedValues:
        return SealedValues(self.database, self.keyring)

    def take_another_key(self) -> str:
        """Put a new field key into use, the old ones behind it; returns its id."""
        keys = (*self.keyring.field.keys, FIELD.new(NOW, State.NEXT))
        replace_key_file(self.folder / FIELD.file, FIELD.spelt(taken(keys, NOW)))
        return self.keyring.field.keys[0].id

    def keep_only_the_key_in_use(self) -> None:
        replace_key_file(self.folder / FIELD.file, FIELD.spelt(self.keyring.field.keys[:1]))


@pytest.fixture
def own(tmp_path: Path, keys_folder: Path, empty_database_file: Path) -> Iterator[OwnSite]:
    shutil.copytree(keys_folder, tmp_path / "keys")
    (tmp_path / "store").mkdir()
    shutil.copy(empty_database_file, tmp_path / "store" / "4auth.db")
    keyring = Keyring.load(tmp_path / "keys")
    database = open_database(tmp_path / "store" / "4auth.db", keyring)
    yield OwnSite(tmp_path / "keys", keyring, database)
    database.close()


def account(name: str) -> NewAccount:
    return NewAccount(
        username=name,
        password_hash=b"$2b$12$hash",
        totp_secret=f"JBSWY3DP{name}",
        totp_last_step=0,
        template=Template("4auth", b"\0" * 2048),
        face_png=f"picture of {name}".encode() * 100,
        mac_addresses=frozenset(),
    )


def test_each_pass_leaves_every_value_under_the_key_in_use(own: OwnSite):
    accounts = Accounts(own.database, own.keyring.field, "4auth")
    for number in range(205):
        accounts.add(account(f"p{number}"), NOW)
    first = own.keyring.field.keys[0].id
    assert own.values.count() == 206
    assert own.values.by_key() == {first: 206}
    second = own.take_another_key()
    looked_at, batches = [], []
    assert own.values.reseal(looked_at.append, lambda: batches.append(1)) == []
    assert own.values.by_key() == {second: 206}
    assert (sum(looked_at), len(batches)) == (206, 3)
    own.keep_only_the_key_in_use()
    assert all(accounts.enrolment(f"p{n}").totp_secret == f"JBSWY3DPp{n}" for n in range(0, 205, 17))
    batches.clear()
    assert own.values.reseal(after_batch=lambda: batches.append(1)) == []
    assert batches == [], "what is done is not done again"


def test_a_key_that_waits_is_told_apart_from_one_that_seals(own: OwnSite):
    present = own.keyring.field.keys[0].id
    made = FIELD.new(NOW, State.NEXT)
    replace_key_file(own.folder / FIELD.file, FIELD.spelt((*own.keyring.field.keys, made)))
    assert own.values.by_key() == {present: 1}


def test_an_account_that_goes_between_two_looks_is_no_fault(own: OwnSite):
    accounts = Accounts(own.database, own.keyring.field, "4auth")
    for number in range(3):
        accounts.add(account(f"p{number}"), NOW)
    own.take_another_key()
    with own.database.transaction() as session:
        assert own.values._reseal_account(session, "nobody") is None
    assert own.values.reseal() == []


WORK = """
import pyotp
from datetime import UTC, datetime
from itertools import count
from auth_server.accounts import Accounts, NewAccount
from auth_server.changes import Changes
from auth_server.domain import Template
from auth_server.errors import StoreError
accounts = Accounts(database, keyring.field, "4auth")
now = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
me = sys.argv[3] if len(sys.argv) > 3 else str(__import__("os").getpid())
def new(name):
    first = b"first " + name.encode()
    return NewAccount(username=name, password_hash=b"h", totp_secret=first.decode(), totp_last_step=0,
                      template=Template("4auth", bytes(2048)), face_png=first, mac_addresses=frozenset())
wait_for_all()
def work(thread):
    written = {}
    for number in count():
        if number >= 40 and is_enough():
            break
        name = f"{me} {thread} {number}"
        accounts.add(new(name), now)
        written[name] = "first " + name
        for other in list(written)[-3:]:
            with database.transaction() as session:
                assert accounts.replace_totp(session, other, f"{number} {other}", number, now)
            written[other] = f"{number} {other}"
            found = accounts.enrolment(other)
            assert (found.is_decoy, found.totp_secret) == (False, written[other])
            assert accounts.face_picture(other) == b"first " + other.encode()
        assert accounts.store_migrated(accounts.enrolment(name), Template("next", name.encode()), now)
        assert accounts.enrolment("nobody").is_decoy
        if number % 5 == 4:
            gone = next(iter(written))
            assert accounts.delete(gone)
            del written[gone]
    later = Accounts(database, keyring.field, "next")
    for name, secret in written.items():
        assert accounts.enrolment(name).totp_secret == secret
        assert later.enrolment(name).template == Template("next", name.encode())
    return len(written)
print(sum(in_threads(2, work)))
"""


ROTATIONS_MIN = 3
ROTATIONS_MAX = 60
"""A key file takes no more than some hundred keys, and none is retired while others write."""


@pytest.mark.slow
def test_rotations_beside_processes_that_write_lose_nothing(
    own: OwnSite, run_beside: Callable[[OwnSite, int, str, Callable[[], bool]], list[str]], monkeypatch
):
    """The last key is retired as soon as nothing needs it, at once, where a rotation would wait a minute."""
    monkeypatch.setattr("auth_server.resealing.BATCH", 7)
    rotations = 0

    def rotate() -> bool:
        nonlocal rotations
        if rotations < ROTATIONS_MAX:
            present = own.take_another_key()
            assert own.values.reseal() == []
            with own.database.transaction() as session:
                assert set(own.values.by_key(session)) == {present}
            rotations += 1
        return rotations >= ROTATIONS_MIN

    kept = sum(map(int, run_beside(own, 2, WORK, rotate)))
    assert rotations >= ROTATIONS_MIN and kept >= 128
    own.keep_only_the_key_in_use()
    accounts = Accounts(own.database, own.keyring.field, "4auth")
    assert all(not accounts.enrolment(found.username).is_decoy for found in accounts.list())
    assert len(accounts.list()) == kept


def test_a_retired_key_is_noticed_by_a_server_that_holds_a_decoy(own: OwnSite):
    """The decoy of unknown names was sealed by the key of its time; it is made anew."""
    accounts = Accounts(own.database, own.keyring.field, "4auth")
    assert accounts.enrolment("nobody").is_decoy
    own.take_another_key()
    own.values.reseal()
    own.keep_only_the_key_in_use()
    assert accounts.enrolment("nobody").is_decoy


def test_a_change_under_way_is_read_by_whoever_confirms_it(own: OwnSite):
    from sqlalchemy import insert

    from auth_server.store.models import CHANGES

    values = {"username": "ann", "change_id": "c" * 22, "action": "recover_totp", "kiosk_id": "k", "requested_at": NOW}
    values |= {"expires_at": NOW, "is_code_needed": True, "tries_left": 5, "is_approval_needed": False}
    token = own.keyring.field.seal("changes", "payload_enc", "c" * 22, b'{"totp_secret": "JBSWY3DP"}')
    with own.database.transaction() as session:
        session.execute(insert(CHANGES).values(**values, cooling_off_s=0, payload_enc=token))
    changes = Changes(own.database, own.keyring.field, lambda: "unused")
    own.take_another_key()
    for _ in range(2):
        found = changes.pending("ann")
        assert found is not None and found.new.totp_secret == "JBSWY3DP"
        assert own.values.reseal() == []
        own.keep_only_the_key_in_use()
    with pytest.raises(StoreError):
        own.keyring.field.open("changes", "payload_enc", "c" * 22, token)
