"""Templates side by side: servers of two models, and what good logins moved, beside the enrolled one."""

import dataclasses
from datetime import datetime, timedelta

import pytest
from sqlalchemy import update

from auth_server.account_faces import FOLLOWED, MIGRATED, Held
from auth_server.accounts import Accounts, NewAccount
from auth_server.domain import Template
from auth_server.errors import StoreError
from auth_server.keyring import Keyring
from auth_server.store.database import Database
from auth_server.store.models import FACE_TEMPLATES, USERS

OLD, NEW, OTHER = Template("old", b"\1" * 2048), Template("new", b"\2" * 2048), Template("other", b"\3" * 2048)


def account(name: str, template: Template = OLD) -> NewAccount:
    return NewAccount(
        username=name,
        password_hash=b"$2b$12$hash",
        totp_secret="JBSWY3DPEHPK3PXP",
        totp_last_step=0,
        template=template,
        face_png=f"picture of {name}".encode(),
        mac_addresses=frozenset(),
    )


@pytest.fixture
def old(database: Database, keyring: Keyring) -> Accounts:
    """What a server that still runs the old model reads."""
    return Accounts(database, keyring.field, "old")


@pytest.fixture
def new(database: Database, keyring: Keyring) -> Accounts:
    """What a server that runs the new model reads."""
    return Accounts(database, keyring.field, "new")


def test_each_server_reads_the_template_of_its_own_model(old: Accounts, new: Accounts, now: datetime):
    old.add(account("ann"), now)
    before = new.enrolment("ann")
    assert before.template == OLD, "none was made yet: the server makes one of the picture"
    assert new.store_migrated(before, NEW, now)
    assert new.enrolment("ann").template == NEW
    assert old.enrolment("ann").template == OLD
    assert old.templates("ann") == (Held("old", "enrolled", None), Held("new", MIGRATED, now))
    assert old.templates("nobody") == ()


def test_one_that_is_made_twice_is_there_once(new: Accounts, now: datetime):
    new.add(account("ann"), now)
    later = now + timedelta(minutes=1)
    assert new.store_migrated(new.enrolment("ann"), OTHER, now)
    assert new.store_migrated(new.enrolment("ann"), NEW, now)
    assert new.store_migrated(new.enrolment("ann"), NEW, later)
    assert [held.made_at for held in new.templates("ann") if held.model == "new"] == [later]


def test_of_an_older_face_none_is_kept(new: Accounts, database: Database, now: datetime):
    """The picture was read, then another face enrolled: what was made of it must not let the old face in."""
    new.add(account("ann"), now)
    read = new.enrolment("ann")
    with database.transaction() as session:
        assert new.replace_face(session, "ann", OTHER, b"another picture", now + timedelta(seconds=1))
    assert not new.store_migrated(read, NEW, now)
    assert not new.store_migrated(new.enrolment("nobody"), NEW, now)
    assert new.templates("ann") == (Held("other", "enrolled", None),)


def test_another_face_ends_all_that_was_made_of_the_one_before(new: Accounts, database: Database, now: datetime):
    new.add(account("ann"), now)
    with database.transaction() as session:
        for kind in (MIGRATED, FOLLOWED):
            assert new.put_further(session, "ann", now, kind, NEW, now)
        assert new.replace_face(session, "ann", OTHER, b"another picture", now)
    assert new.templates("ann") == (Held("other", "enrolled", None),)
    assert new.enrolment("ann").template == OTHER


def test_what_good_logins_moved_is_handed_out_only_where_the_site_has_it_follow(
    new: Accounts, database: Database, keyring: Keyring, now: datetime
):
    following = Accounts(database, keyring.field, "new", is_following=True)
    new.add(account("ann", NEW), now)
    with database.transaction() as session:
        assert new.put_further(session, "ann", now, FOLLOWED, Template("new", b"\4" * 2048), now)
    assert (new.enrolment("ann").followed, new.enrolment("ann").followed_at) == (None, None)
    found = following.enrolment("ann")
    assert (found.template, found.followed, found.followed_at) == (NEW, Template("new", b"\4" * 2048), now)
    assert following.enrolment("nobody").followed is None


@pytest.mark.parametrize("wrong", [{"username": "bob"}, {"model": "other"}, {"kind": FOLLOWED}])
def test_a_template_that_is_moved_to_another_row_does_not_open(
    database: Database, keyring: Keyring, now: datetime, wrong: dict[str, str]
):
    for name in ("ann", "bob"):
        Accounts(database, keyring.field, "new").add(account(name), now)
    accounts = Accounts(database, keyring.field, wrong.get("model", "new"), is_following=True)
    with database.transaction() as session:
        for name in ("ann", "bob"):
            assert accounts.put_further(session, name, now, MIGRATED, NEW, now)
    with database.transaction() as session:
        connection = session.connection()
        connection.execute(FACE_TEMPLATES.delete().where(FACE_TEMPLATES.c.username == "bob"))
        connection.execute(FACE_TEMPLATES.update().where(FACE_TEMPLATES.c.username == "ann").values(**wrong))
    with pytest.raises(StoreError, match=r"face_templates\.template_enc"):
        accounts.enrolment(wrong.get("username", "ann"))


class TestMigration:
    """Who lacks a template, and the end of the old ones."""

    def test_who_lacks_one_is_told_in_order(self, new: Accounts, now: datetime):
        for name in ("cleo", "ann", "bob", "dan"):
            new.add(account(name, NEW if name == "bob" else OLD), now)
        assert new.without_template("new") == ["ann", "cleo", "dan"]
        assert new.without_template("new", after="ann", limit=1) == ["cleo"]
        new.store_migrated(new.enrolment("cleo"), NEW, now)
        assert new.without_template("new") == ["ann", "dan"]

    def test_pictures_are_read_together_and_a_damaged_one_hides_no_other(
        self, new: Accounts, database: Database, now: datetime
    ):
        for name in ("ann", "bob"):
            new.add(account(name), now)
        with database.transaction() as session:
            session.execute(update(USERS).where(USERS.c.username == "bob").values(face_image_enc=b"\0"))
        found = new.pictures(["bob", "ann", "nobody"])
        assert [(picture.username, picture.png) for picture in found] == [("ann", b"picture of ann"), ("bob", None)]
        assert found[0].factors_changed_at == now

    def test_afterwards_the_migrated_one_is_the_enrolled_one(self, new: Accounts, database: Database, now: datetime):
        for name in ("ann", "bob", "cleo"):
            new.add(account(name, NEW if name == "cleo" else OLD), now)
        for name in ("ann", "cleo"):
            new.store_migrated(new.enrolment(name), OTHER, now)
        before = new.enrolment("ann")
        new.store_migrated(before, NEW, now)
        with database.transaction() as session:
            assert new.put_further(session, "ann", now, FOLLOWED, OTHER, now)
            assert new.put_further(session, "ann", now, FOLLOWED, NEW, now)
        assert new.with_other_models("new", "", 10) == ["ann", "bob", "cleo"]
        with database.transaction() as session:
            assert new.keep_only(session, "ann", "new")
            assert new.keep_only(session, "cleo", "new")
            assert not new.keep_only(session, "bob", "new"), "nobody loses the one template that there is"
            assert not new.keep_only(session, "nobody", "new")
        assert new.with_other_models("new", "", 10) == ["bob"]
        assert new.templates("ann") == (Held("new", "enrolled", None), Held("new", FOLLOWED, now))
        assert new.templates("cleo") == (Held("new", "enrolled", None),)
        assert new.templates("bob") == (Held("old", "enrolled", None),)
        assert new.enrolment("ann") == dataclasses.replace(before, template=NEW)
