"""Enrolment tickets: bound, expiring, usable once."""

from datetime import timedelta

import pytest

from auth_server.accounts import Accounts, NewAccount
from auth_server.domain import Template
from auth_server.errors import StoreError
from auth_server.secret_codes import grouped
from auth_server.store.models import TICKETS
from auth_server.tickets import Tickets

MAC = "02:00:5e:10:00:01"
DAY = timedelta(days=1)


@pytest.fixture
def tickets(database):
    return Tickets(database)


def use(database, tickets, ticket, username, now):
    with database.transaction() as session:
        return tickets.use(session, ticket.ticket_hash, username, now)


def test_a_ticket_is_found_however_it_is_typed_and_says_whose_it_is(tickets, now):
    text = tickets.invite("Ann", {MAC.upper()}, "root as chief", now, DAY)
    for typed in (text, grouped(text), text.lower()):
        found = tickets.find(typed, now)
        assert found is not None
        assert (found.username, found.invited_by, found.mac_addresses) == ("ann", "root as chief", {MAC})
        assert found.expires_at == now + DAY


@pytest.mark.parametrize("typed", ["", "0" * 16, "0" * 25, "ö" * 16])
def test_another_ticket_is_not_found(tickets, now, typed):
    tickets.invite("ann", {MAC}, "root", now, DAY)
    assert tickets.find(typed, now) is None


def test_the_ticket_is_stored_as_a_hash_alone(tickets, database, now):
    text = tickets.invite("ann", {MAC}, "root", now, DAY)
    with database.read() as session:
        stored = session.connection().execute(TICKETS.select()).one()
    assert text not in map(str, stored)


def test_a_ticket_is_used_once(tickets, database, now):
    found = tickets.find(tickets.invite("ann", {MAC}, "root", now, DAY), now)
    assert use(database, tickets, found, "ann", now)
    assert not use(database, tickets, found, "ann", now)
    assert tickets.list(now) == []


def test_a_ticket_is_good_for_its_own_name_alone(tickets, database, now):
    found = tickets.find(tickets.invite("ann", {MAC}, "root", now, DAY), now)
    assert not use(database, tickets, found, "bob", now)
    assert use(database, tickets, found, "ann", now)


def test_a_use_that_is_rolled_back_was_none(tickets, database, now):
    text = tickets.invite("ann", {MAC}, "root", now, DAY)
    found = tickets.find(text, now)
    with pytest.raises(RuntimeError), database.transaction() as session:
        assert tickets.use(session, found.ticket_hash, "ann", now)
        raise RuntimeError("the account could not be made")
    assert tickets.find(text, now) == found


@pytest.mark.parametrize(
    ("after", "is_good"), [(DAY - timedelta(microseconds=1), True), (DAY, False), (2 * DAY, False)]
)
def test_a_ticket_expires(tickets, database, now, after, is_good):
    text = tickets.invite("ann", {MAC}, "root", now, DAY)
    found = tickets.find(text, now)
    assert (tickets.find(text, now + after) is not None) == is_good
    assert bool(tickets.list(now + after)) == is_good
    assert use(database, tickets, found, "ann", now + after) == is_good


def test_a_new_invitation_ends_the_older_one(tickets, now):
    old = tickets.invite("ann", {MAC}, "root", now, DAY)
    new = tickets.invite("ann", {MAC}, "root", now, DAY)
    assert tickets.find(old, now) is None
    assert tickets.find(new, now) is not None
    assert len(tickets.list(now)) == 1


def test_a_revoked_ticket_is_good_for_nothing(tickets, database, now):
    text = tickets.invite("ann", {MAC}, "root", now, DAY)
    found = tickets.find(text, now)
    assert tickets.revoke("ann")
    assert not tickets.revoke("ann")
    assert tickets.find(text, now) is None
    assert not use(database, tickets, found, "ann", now)


def test_who_has_an_account_is_not_invited(tickets, database, keyring, now):
    account = NewAccount(
        username="ann",
        password_hash=b"$2b$12$no-password-fits",
        totp_secret="JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
        totp_last_step=0,
        template=Template("4auth", b"\0" * 2048),
        face_png=b"no picture",
        mac_addresses=frozenset({MAC}),
    )
    Accounts(database, keyring.field, "4auth").add(account, now)
    with pytest.raises(StoreError, match="there is an account 'ann' already"):
        tickets.invite("Ann", {MAC}, "root", now, DAY)


@pytest.mark.parametrize(
    ("name", "mac", "ttl"), [("a\nb", MAC, DAY), ("ann", "no mac", DAY), ("ann", MAC, timedelta(0))]
)
def test_a_ticket_of_the_wrong_form_is_refused(tickets, now, name, mac, ttl):
    with pytest.raises(ValueError):
        tickets.invite(name, {mac}, "root", now, ttl)
    assert tickets.list(now) == []


def test_expired_tickets_are_forgotten(tickets, now):
    tickets.invite("ann", {MAC}, "root", now, DAY)
    tickets.invite("bob", {MAC}, "root", now, 2 * DAY)
    assert tickets.prune(now) == 0
    assert tickets.prune(now + DAY) == 1
    assert [ticket.username for ticket in tickets.list(now)] == ["bob"]


def test_of_any_number_of_processes_one_uses_it(tickets, now, run_in_processes):
    text = tickets.invite("ann", {MAC}, "root", now, DAY)
    lines = run_in_processes(
        3,
        f"""
from auth_server.tickets import Tickets
tickets = Tickets(database)
found = tickets.find({text!r}, now)
def use(_):
    with database.transaction() as session:
        return tickets.use(session, found.ticket_hash, "ann", now)
wait_for_all()
for used in in_threads(4, use):
    print(used)
""",
    )
    assert sorted(lines) == ["False"] * 11 + ["True"]
