"""Administrators: names, roles, secrets, and the last one."""

import pytest

from auth_server.admins import Admin, Admins, Role
from auth_server.errors import StoreError
from auth_server.secret_codes import grouped
from auth_server.store.models import ADMINS


@pytest.fixture
def admins(database):
    return Admins(database)


def test_a_secret_finds_its_owner_however_it_is_typed(admins, now):
    secret = admins.add("Zoë", Role.SUPERVISOR, now)
    found = Admin("zoë", Role.SUPERVISOR, now)
    for typed in (secret, grouped(secret), secret.lower()):
        assert admins.find_by_secret(typed) == found
    assert admins.find("zoë") == found
    assert admins.list() == [found]


@pytest.mark.parametrize("typed", ["", "0" * 25, "0" * 16, "ö", "x" * 5000])
def test_another_secret_finds_nobody(admins, now, typed):
    admins.add("ann", Role.ADMIN, now)
    assert admins.find_by_secret(typed) is None


def test_the_secret_is_stored_as_a_hash_alone(admins, database, now):
    secret = admins.add("ann", Role.ADMIN, now)
    with database.read() as session:
        stored = session.connection().execute(ADMINS.select()).one()
    assert secret not in map(str, stored)
    assert secret not in repr(admins.find("ann"))


def test_a_renewed_secret_is_the_only_one(admins, now):
    old = admins.add("ann", Role.ADMIN, now)
    new = admins.renew_secret("ann")
    assert admins.find_by_secret(old) is None
    assert admins.find_by_secret(new) == Admin("ann", Role.ADMIN, now)


def test_the_role_of_a_name(admins, database, now):
    admins.add("ann", Role.AUDITOR, now)
    with database.transaction() as session:
        assert admins.role_of(session, "ann") is Role.AUDITOR
        assert admins.role_of(session, "bob") is None


def test_a_name_is_used_once(admins, now):
    admins.add("ann", Role.ADMIN, now)
    with pytest.raises(StoreError, match="there is an administrator 'ann' already"):
        admins.add("Ann", Role.AUDITOR, now)


def test_a_name_has_the_form_of_an_account(admins, now):
    with pytest.raises(ValueError, match="a name has"):
        admins.add("a\nb", Role.ADMIN, now)


@pytest.mark.parametrize(
    ("act", "sentence"),
    [
        (lambda a: a.remove("ann"), "cannot be removed: give that role to somebody else first"),
        (lambda a: a.set_role("ann", Role.SUPERVISOR), "cannot be made supervisor"),
        (lambda a: a.set_role("ann", Role.AUDITOR), "cannot be made auditor"),
        (lambda a: a.remove("carl"), "there is no administrator 'carl'"),
        (lambda a: a.set_role("carl", Role.ADMIN), "there is no administrator 'carl'"),
        (lambda a: a.renew_secret("carl"), "there is no administrator 'carl'"),
    ],
)
def test_what_is_refused(admins, now, act, sentence):
    admins.add("ann", Role.ADMIN, now)
    admins.add("bob", Role.SUPERVISOR, now)
    before = admins.list()
    with pytest.raises(StoreError, match=sentence):
        act(admins)
    assert admins.list() == before


def test_of_two_admins_one_may_go(admins, now):
    admins.add("ann", Role.ADMIN, now)
    admins.add("bob", Role.ADMIN, now)
    admins.set_role("ann", Role.ADMIN)
    admins.remove("ann")
    admins.set_role("bob", Role.ADMIN)
    with pytest.raises(StoreError, match="last administrator"):
        admins.remove("bob")


def test_anybody_else_may_go(admins, now):
    admins.add("ann", Role.ADMIN, now)
    admins.add("bob", Role.AUDITOR, now)
    admins.set_role("bob", Role.SUPERVISOR)
    admins.remove("bob")
    assert [a.name for a in admins.list()] == ["ann"]


def test_two_commands_at_once_leave_an_admin(admins, now, run_in_processes):
    for name in ("a", "b", "c", "d", "e", "f"):
        admins.add(name, Role.ADMIN, now)
    lines = run_in_processes(
        3,
        """
from auth_server.admins import Admins, Role
from auth_server.errors import StoreError
admins = Admins(database)
wait_for_all()
for name in "abcdef":
    for act in (lambda: admins.set_role(name, Role.AUDITOR), lambda: admins.remove(name)):
        try:
            act()
        except StoreError as error:
            print(error)
""",
    )
    assert [a.role for a in admins.list()].count(Role.ADMIN) == 1
    assert not any("busy" in line or "locked" in line for line in lines)
