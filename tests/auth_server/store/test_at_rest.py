"""What somebody learns who takes the database's files: nothing."""

import struct
from datetime import datetime
from pathlib import Path

import pyotp
import pytest
from sqlalchemy import select, update

from auth_server.accounts import Accounts, NewAccount
from auth_server.audit import AuditLog
from auth_server.domain import AuditEntry, Template
from auth_server.errors import StoreError
from auth_server.keyring import Keyring
from auth_server.store.database import Database
from auth_server.store.models import USERS
from tests.postgres import IN_A_FILE

SECRET = pyotp.random_base32()
PASSWORD_HASH = b"$2b$12$abcdefghijklmnopqrstuuWq8FvN1ZpXo0HnJ7ZbJm1o0y5mM5b6a"
PNG = b"\x89PNG\r\n\x1a\n" + b"the face itself " * 64
EMBEDDING = struct.pack("<512f", *([0.0441942] * 512))


def _account(name: str) -> NewAccount:
    return NewAccount(
        username=name,
        password_hash=PASSWORD_HASH,
        totp_secret=SECRET,
        totp_last_step=0,
        template=Template("4auth", EMBEDDING),
        face_png=PNG,
        mac_addresses=frozenset({"02:00:5e:10:00:01"}),
    )


@pytest.fixture
def accounts(database: Database, keyring: Keyring, now: datetime) -> Accounts:
    """Two accounts that share every secret."""
    made = Accounts(database, keyring.field, "4auth")
    made.add(_account("rosalind"), now)
    made.add(_account("barbara"), now)
    return made


@IN_A_FILE
def test_the_files_hold_nothing_in_plain(accounts: Accounts, database: Database, now: datetime, tmp_path: Path):
    entry = AuditEntry("login", False, "denied", "rosalind", "lobby-east", "192.0.2.77", {"why": "a detail of it"})
    AuditLog(database).record(entry, now)
    files = {path.name: path.read_bytes() for path in tmp_path.glob("4auth.db*")}
    database.close()  # which moves the log's pages into the file
    files["4auth.db after closing"] = (tmp_path / "4auth.db").read_bytes()
    assert len(files["4auth.db-wal"]) > 4096
    needles = [
        PASSWORD_HASH,
        SECRET.encode(),
        PNG[:64],
        EMBEDDING[:64],
        b"rosalind",
        b"barbara",
        b"02:00:5e",
        b"lobby-east",
        b"192.0.2.77",
        b"a detail of it",
        b"SQLite format 3",
        b"CREATE TABLE",
    ]
    assert [(name, needle) for name, data in files.items() for needle in needles if needle in data] == []


def test_inside_the_database_the_secrets_are_sealed_again(accounts: Accounts, database: Database):
    with database.read() as session:
        rows = session.execute(select(USERS)).all()
    told = b"".join(value for row in rows for value in row if isinstance(value, bytes))
    assert len(rows) == 2
    assert [needle for needle in (SECRET.encode(), PNG[:64], EMBEDDING[:64]) if needle in told] == []


@pytest.mark.parametrize("column", ["totp_secret_enc", "face_template_enc"])
def test_a_blob_moved_to_another_account_does_not_open(accounts: Accounts, database: Database, column: str):
    with database.transaction() as session:
        stolen = session.execute(select(USERS.c[column]).where(USERS.c.username == "barbara")).scalar_one()
        session.execute(update(USERS).where(USERS.c.username == "rosalind").values({column: stolen}))
    with pytest.raises(StoreError, match=rf"{column}.*another"):
        accounts.enrolment("rosalind")
    assert accounts.enrolment("barbara").totp_secret == SECRET


def test_a_picture_moved_to_another_account_does_not_open(accounts: Accounts, database: Database):
    with database.transaction() as session:
        stolen = session.execute(select(USERS.c.face_image_enc).where(USERS.c.username == "barbara")).scalar_one()
        session.execute(update(USERS).where(USERS.c.username == "rosalind").values(face_image_enc=stolen))
    with pytest.raises(StoreError, match="another key"):
        accounts.face_picture("rosalind")


def test_a_blob_moved_to_another_column_does_not_open(accounts: Accounts, database: Database):
    with database.transaction() as session:
        session.execute(update(USERS).values(totp_secret_enc=USERS.c.face_template_enc))
    with pytest.raises(StoreError, match=r"totp_secret_enc.*another place"):
        accounts.enrolment("rosalind")
