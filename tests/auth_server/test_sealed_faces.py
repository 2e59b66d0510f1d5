"""What is sealed of faces beside the accounts: all of it is opened by a check, and sealed anew by a rotation."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from auth_server.account_faces import FOLLOWED, MIGRATED
from auth_server.accounts import Accounts, NewAccount
from auth_server.domain import Template
from auth_server.errors import StoreError
from auth_server.key_files import replace_key_file
from auth_server.key_forms import FIELD, State, taken
from auth_server.keyring import Keyring
from auth_server.resealing import SealedValues
from auth_server.sealed_faces import SNAPSHOT_PLACE, count_faces, faults_of_faces
from auth_server.store.database import Database, create_database
from auth_server.store.models import FACE_TEMPLATES, SNAPSHOTS, USER_KEYS

PEOPLE = 60
"""Of whom each has two further templates, which is more than one page."""


def account(name: str) -> NewAccount:
    return NewAccount(
        username=name,
        password_hash=b"$2b$12$hash",
        totp_secret="JBSWY3DPEHPK3PXP",
        totp_last_step=0,
        template=Template("old", b"enrolled"),
        face_png=b"png",
        mac_addresses=frozenset(),
    )


@pytest.fixture
def own_keyring(tmp_path_factory: pytest.TempPathFactory) -> Keyring:
    """Keys that a test may change."""
    folder = tmp_path_factory.mktemp("own") / "keys"
    Keyring.create(folder)
    return Keyring.load(folder)


@pytest.fixture
def filled(own_keyring: Keyring, tmp_path_factory: pytest.TempPathFactory, now: datetime) -> Iterator[Database]:
    """People with further templates, and as many pictures of refused attempts."""
    database = create_database(tmp_path_factory.mktemp("own-store") / "4auth.db", own_keyring)
    accounts = Accounts(database, own_keyring.field, "new", is_following=True)
    with database.transaction() as session:
        for number in range(PEOPLE):
            name, attempt = f"p{number:03}", f"attempt-{number:03}"
            accounts.create(session, account(name), now)
            accounts.put_further(session, name, now, MIGRATED, Template("new", f"m {name}".encode()), now)
            accounts.put_further(session, name, now, FOLLOWED, Template("new", f"f {name}".encode()), now)
            sealed = own_keyring.field.seal(*SNAPSHOT_PLACE, attempt, f"jpeg of {name}".encode())
            session.connection().execute(
                SNAPSHOTS.insert().values(
                    username=name,
                    kiosk_id="k",
                    action="login",
                    attempt_id=attempt,
                    taken_at=now,
                    expires_at=now + timedelta(days=7),
                    picture_enc=sealed,
                )
            )
    yield database
    database.close()


def test_a_whole_store_has_no_fault_and_every_row_is_looked_at(filled: Database, own_keyring: Keyring):
    with filled.read() as session:
        assert count_faces(session) == 3 * PEOPLE
    assert list(faults_of_faces(filled, own_keyring.field)) == [None] * (3 * PEOPLE)


def test_each_damaged_one_is_named(filled: Database, own_keyring: Keyring):
    with filled.transaction() as session:
        run = session.connection().execute
        run(FACE_TEMPLATES.update().where(FACE_TEMPLATES.c.username == "p058").values(template_enc=b"rubbish"))
        run(USER_KEYS.update().where(USER_KEYS.c.username == "p002").values(data_key_enc=b"rubbish"))
        run(SNAPSHOTS.update().where(SNAPSHOTS.c.attempt_id == "attempt-007").values(picture_enc=b"rubbish"))
    found = [fault for fault in faults_of_faces(filled, own_keyring.field) if fault]
    assert len(found) == 5
    for name in ("followed new p058", "migrated new p058", "'p002'", "'attempt-007'"):
        assert any(name in fault for fault in found), name


def test_a_rotation_seals_all_of_it_anew(filled: Database, own_keyring: Keyring, now: datetime):
    with filled.read() as session:
        before = set(session.connection().execute(FACE_TEMPLATES.select()).scalars("template_enc"))
        first = session.connection().execute(SNAPSHOTS.select()).scalars("picture_enc").first()
    keys = (*own_keyring.field.keys, FIELD.new(now, State.NEXT))
    replace_key_file(own_keyring.folder / FIELD.file, FIELD.spelt(taken(keys, now)))
    values = SealedValues(filled, own_keyring)
    assert values.reseal() == []
    # An account's value is its data key; then each picture, and the canary.
    assert values.by_key() == {own_keyring.field.keys[0].id: 2 * PEOPLE + 1}
    replace_key_file(own_keyring.folder / FIELD.file, FIELD.spelt(own_keyring.field.keys[:1]))
    assert set(faults_of_faces(filled, own_keyring.field)) == {None}
    accounts = Accounts(filled, own_keyring.field, "new", is_following=True)
    assert accounts.enrolment("p031").template.embedding == b"m p031"
    with filled.read() as session:
        after = set(session.connection().execute(FACE_TEMPLATES.select()).scalars("template_enc"))
    assert not before & after
    with pytest.raises(StoreError):
        own_keyring.field.open(*SNAPSHOT_PLACE, "attempt-000", first)


def test_of_a_deleted_person_nothing_opens_and_nothing_is_left(filled: Database, own_keyring: Keyring, now: datetime):
    accounts = Accounts(filled, own_keyring.field, "new", is_following=True)
    with filled.read() as session:
        kept = session.connection().execute(FACE_TEMPLATES.select()).all()
    assert accounts.delete("p004")
    with filled.read() as session:
        for table in (FACE_TEMPLATES, SNAPSHOTS, USER_KEYS):
            rows = session.connection().execute(table.select().where(table.c.username == "p004")).all()
            assert rows == [], table.name
    assert accounts.enrolment("p004").is_decoy
    assert accounts.templates("p004") == ()
    # Put back from an old copy of the database, under an account of the same name, it opens no more.
    accounts.add(account("p004"), now)
    with filled.transaction() as session:
        for row in kept:
            if row.username == "p004":
                session.connection().execute(FACE_TEMPLATES.insert().values(**row._mapping))
    with pytest.raises(StoreError):
        accounts.enrolment("p004")
