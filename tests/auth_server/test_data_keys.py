"""Each account's own key: what it seals opens for that account alone, and for nobody once the key is gone."""

import dataclasses
import random
import secrets
from datetime import datetime
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from sqlalchemy import insert, select, update

from auth_server.accounts import Accounts, NewAccount
from auth_server.data_keys import SEALED_COLUMNS, new_data_key, open_data_key
from auth_server.domain import Template
from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher, Keyring
from auth_server.store.clearing import clear_out
from auth_server.store.database import Database
from auth_server.store.models import CHANGES, LOCKOUTS, TICKETS, USER_DEVICES, USER_KEYS, USERS
from tests.postgres import IN_A_FILE

MAC = "02:00:5e:10:00:01"


@pytest.fixture
def accounts(database: Database, keyring: Keyring) -> Accounts:
    return Accounts(database, keyring.field, "4auth")


def person(username: str = "alice") -> NewAccount:
    return NewAccount(
        username=username,
        password_hash=b"hash",
        totp_secret="JBSWY3DPEHPK3PXP",
        totp_last_step=0,
        template=Template("4auth", secrets.token_bytes(2048)),
        face_png=secrets.token_bytes(9000),
        mac_addresses=frozenset({MAC}),
    )


def row_of(database: Database, username: str) -> dict[str, object]:
    with database.read() as session:
        return dict(session.execute(select(USERS).where(USERS.c.username == username)).one()._mapping)


def data_key_of(database: Database, username: str) -> bytes:
    with database.read() as session:
        return session.execute(select(USER_KEYS.c.data_key_enc).where(USER_KEYS.c.username == username)).scalar_one()


def test_two_accounts_have_two_keys(accounts: Accounts, database: Database, keyring: Keyring, now: datetime):
    for name in ("alice", "bob"):
        accounts.add(person(name), now)
    alice, bob = (
        keyring.field.open("user_keys", "data_key_enc", n, data_key_of(database, n)) for n in ("alice", "bob")
    )
    assert alice != bob and len(alice) == len(bob) == 44


def test_the_sealed_columns_are_those_of_the_table():
    assert set(SEALED_COLUMNS) == {name for name in USERS.c.keys() if name.endswith("_enc")}


@pytest.mark.parametrize("column", SEALED_COLUMNS)
def test_the_sites_keys_alone_open_no_secret(accounts, database, keyring, now, column):
    accounts.add(person(), now)
    token = row_of(database, "alice")[column]
    with pytest.raises(StoreError, match="sealed by another key"):
        keyring.field.open("users", column, "alice", token)
    own = open_data_key(keyring.field, "alice", data_key_of(database, "alice"))
    assert own.open("users", column, "alice", token)


def test_a_key_that_was_moved_to_another_account_is_refused(accounts, database, now):
    for name in ("alice", "bob"):
        accounts.add(person(name), now)
    with database.transaction() as session:
        bobs = data_key_of(database, "bob")
        session.execute(update(USER_KEYS).where(USER_KEYS.c.username == "alice").values(data_key_enc=bobs))
    with pytest.raises(StoreError, match="sealed for another place"):
        accounts.enrolment("alice")


def test_a_key_of_another_site_is_refused():
    _, token = new_data_key(FieldCipher([Fernet.generate_key()]), "alice")
    with pytest.raises(StoreError, match="sealed by another key"):
        open_data_key(FieldCipher([Fernet.generate_key()]), "alice", token)


class TestDelete:
    """Crypto-shredding: without its key no copy of a row is worth anything."""

    def test_every_row_of_the_name_goes(self, accounts: Accounts, database: Database, now: datetime):
        accounts.add(person(), now)
        accounts.add(person("bob"), now)
        with database.transaction() as session:
            session.execute(insert(LOCKOUTS), _lockout("alice", now))
            session.execute(insert(TICKETS), _ticket("alice", now))
            session.execute(insert(CHANGES), _change("alice", now))
        assert accounts.delete("alice")
        for table in (USERS, USER_KEYS, USER_DEVICES, LOCKOUTS, TICKETS, CHANGES):
            with database.read() as session:
                names = set(session.execute(select(table.c.username)).scalars())
            assert "alice" not in names, table.name
        assert accounts.find("bob") and accounts.enrolment("bob").totp_secret
        assert not accounts.delete("alice")
        assert accounts.enrolment("alice").is_decoy

    def test_an_old_copy_of_the_row_does_not_open_for_the_same_name_added_again(
        self, accounts: Accounts, database: Database, now: datetime
    ):
        accounts.add(person(), now)
        old = row_of(database, "alice")
        accounts.delete("alice")
        accounts.add(dataclasses.replace(person(), totp_secret="KRSXG5CTMVRXEZLU"), now)
        with database.transaction() as session:
            sealed = {column: old[column] for column in SEALED_COLUMNS}
            session.execute(update(USERS).where(USERS.c.username == "alice").values(**sealed))
        with pytest.raises(StoreError, match="sealed by another key"):
            accounts.enrolment("alice")
        with pytest.raises(StoreError, match="sealed by another key"):
            accounts.face_picture("alice")

    @pytest.mark.parametrize("order", range(3))
    @IN_A_FILE
    def test_no_page_holds_what_was_deleted_or_replaced(self, accounts, database, keyring, now, order):
        """Every page as it lies in the file, free space and all: an export would leave that out."""
        names = [f"person-{number:03}" for number in range(90)]
        chance = random.Random(order)  # noqa: S311 - any order will do
        chance.shuffle(names)
        for name in names:
            accounts.add(dataclasses.replace(person(name), face_png=b"picture"), now)
        gone, resealed, kept = names[::3], names[1::3], names[2::3]
        tokens = {name: data_key_of(database, name) for name in names}
        for name in chance.sample(gone + resealed, 60):
            if name in gone:
                accounts.delete(name)
            else:
                own = keyring.field.open("user_keys", "data_key_enc", name, tokens[name])
                _reseal(database, name, keyring.field.seal("user_keys", "data_key_enc", name, own))
        assert clear_out(database)
        pages = decrypted_pages(database.path, keyring.database_key)
        assert {name for name, token in tokens.items() if token in pages} == set(kept)


def _lockout(name: str, now: datetime) -> dict[str, object]:
    return {"username": name, "kiosk_id": "*", "failures": 1, "first_failure_at": now, "last_failure_at": now}


def _ticket(name: str, now: datetime) -> dict[str, object]:
    members = {"ticket_hash": "h", "username": name, "invited_by": "root", "mac_addresses": []}
    return {**members, "created_at": now, "expires_at": now}


def _change(name: str, now: datetime) -> dict[str, object]:
    members = {"username": name, "change_id": "c", "action": "recover_face", "kiosk_id": "lobby-1", "tries_left": 5}
    times = {"requested_at": now, "expires_at": now, "cooling_off_s": 0}
    return {**members, **times, "is_code_needed": False, "is_approval_needed": True, "payload_enc": b""}


def _reseal(database: Database, name: str, token: bytes) -> None:
    with database.transaction() as session:
        session.execute(update(USER_KEYS).where(USER_KEYS.c.username == name).values(data_key_enc=token))


def decrypted_pages(path: Path, key: bytes) -> bytes:
    """Return the pages of an SQLCipher 4 file of a raw key: AES-256-CBC, its vector and MAC in the last 80 bytes."""
    data, pages = path.read_bytes(), []
    for start in range(0, len(data), 4096):
        page = data[start : start + 4096]
        content = page[16 if start == 0 else 0 : 4016]  # the first page begins with the salt
        decryptor = Cipher(algorithms.AES(key), modes.CBC(page[4016:4032])).decryptor()
        pages.append(decryptor.update(content) + decryptor.finalize())
    return b"".join(pages)
