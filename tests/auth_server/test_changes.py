"""Pending changes: what each waits for, its steps from one state to the next, and that nothing is in the clear."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from auth_contract.actions import Action, Need
from auth_contract.limits import CHANGE_TTL_S, CONFIRM_TRIES
from auth_server.changes import Asked, Change, Changes, NewFactors
from auth_server.domain import Template
from auth_server.errors import StoreError
from auth_server.keyring import FieldCipher, Keyring
from auth_server.policy import ActionPolicy, Effect
from auth_server.store.database import Database
from auth_server.store.models import CHANGES

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
SECRET = "KRSXG5CTMVRXEZLUKRSXG5CTMVRXEZLU"
WHOLE = NewFactors(
    password_hash=b"$2b$12$new",
    totp_secret=SECRET,
    totp_step=59,
    template=Template("4auth", b"\x00\xff" * 4),
    face_png=b"\x89PNG of a face",
    mac_addresses=frozenset({"02:00:5e:10:00:01"}),
)


@pytest.fixture
def changes(database: Database, keyring: Keyring) -> Changes:
    tokens = iter(f"change-{number}" for number in range(100))
    return Changes(database, keyring.field, lambda: next(tokens))


def policy(*, second_person: bool = False, window_s: int = 900, cooling_off_s: int = 0) -> ActionPolicy:
    return ActionPolicy(
        (),
        Effect.CHANGE,
        second_person=second_person,
        approval_window_s=window_s,
        cooling_off_s=cooling_off_s,
    )


def asked(action: Action = Action.RECOVER_TOTP, new: NewFactors = WHOLE, **more: str) -> Asked:
    return Asked(**{"username": "ann", "kiosk_id": "lobby-1", "permission": None} | more, action=action, new=new)


def put(changes: Changes, database: Database, change: Change) -> Change:
    with database.transaction() as session:
        changes.put(session, change)
    return change


def take_try(changes: Changes, change: Change, now: datetime = NOW, **other: str) -> Change | None:
    known = {"username": change.username, "change_id": change.change_id, "kiosk_id": change.kiosk_id}
    return changes.take_try(**known | other, now=now)


@pytest.mark.parametrize(
    ("action", "site", "needs", "is_settled"),
    [
        (Action.RECOVER_PASSWORD, policy(), [], True),
        (Action.RECOVER_FACE, policy(), [], True),
        (Action.UPDATE_MAC, policy(), [], True),
        (Action.RECOVER_TOTP, policy(), [Need.CODE], False),
        (Action.REGISTER, policy(), [Need.CODE], False),
        (Action.RECOVER_PASSWORD, policy(second_person=True), [Need.APPROVAL], False),
        (Action.RECOVER_PASSWORD, policy(cooling_off_s=60), [Need.TIME], True),
        (
            Action.RECOVER_TOTP,
            policy(second_person=True, cooling_off_s=60),
            [Need.CODE, Need.APPROVAL, Need.TIME],
            False,
        ),
    ],
)
def test_what_a_new_change_waits_for(changes, action, site, needs, is_settled):
    change = changes.new(asked(action), site, NOW)
    assert list(change.needs) == needs
    assert (change.in_force_at is not None) is is_settled
    if is_settled:
        assert change.in_force_at == NOW + timedelta(seconds=site.cooling_off_s)
    assert change.is_due(NOW) is (not needs)


@pytest.mark.parametrize(
    ("action", "lasts_s"),
    [(Action.RECOVER_TOTP, CHANGE_TTL_S), (Action.REGISTER, CHANGE_TTL_S), (Action.RECOVER_FACE, 60)],
)
def test_how_long_it_may_wait_first(changes, action, lasts_s):
    change = changes.new(asked(action), policy(second_person=True, window_s=60), NOW)
    assert change.expires_at == NOW + timedelta(seconds=lasts_s)


def test_the_steps_from_a_code_over_an_approval_to_force(changes):
    site = policy(second_person=True, window_s=120, cooling_off_s=3600)
    change = changes.new(asked(), site, NOW)
    later = NOW + timedelta(seconds=300)
    confirmed = change.confirmed(1234, site, later)
    assert confirmed.needs == (Need.APPROVAL, Need.TIME) and confirmed.new.totp_step == 1234
    assert confirmed.expires_at == later + timedelta(seconds=120), "an approval has a window of its own"
    approved = confirmed.approved("grace", later + timedelta(seconds=100))
    assert approved.needs == (Need.TIME,) and approved.approved_by == "grace"
    assert approved.in_force_at == later + timedelta(seconds=3700)
    assert not approved.is_due(later + timedelta(seconds=3699))
    assert approved.is_due(later + timedelta(seconds=3700))


@given(st.booleans(), st.booleans(), st.integers(0, 10**6), st.integers(0, 10**6))
def test_nothing_is_ever_due_while_a_code_or_an_approval_is_missing(is_code, is_approval, cooling_off_s, later_s):
    change = Change(
        username="ann",
        change_id="c",
        action=Action.RECOVER_FACE,
        kiosk_id="lobby-1",
        requested_at=NOW,
        expires_at=NOW,
        is_code_needed=is_code,
        is_approval_needed=is_approval,
        cooling_off_s=cooling_off_s,
        new=WHOLE,
    ).settled(NOW)
    is_due = change.is_due(NOW + timedelta(seconds=later_s))
    assert is_due is (not is_code and not is_approval and later_s >= cooling_off_s)
    assert change.settled(NOW + timedelta(days=1)).in_force_at == (
        change.in_force_at or (None if is_code or is_approval else NOW)
    ), "a time that was promised stays"


def test_what_was_put_is_found_whole(changes, database):
    change = put(changes, database, changes.new(asked(permission="ticket:abc"), policy(second_person=True), NOW))
    assert changes.pending("ann") == change
    assert changes.list() == [change]
    assert changes.pending("bob") is None
    with database.read() as session:
        glance = changes.glance(session, "ann")
        assert glance is not None and changes.glance(session, "bob") is None
        assert (glance.action, glance.kiosk_id, glance.is_code_needed) == (Action.RECOVER_TOTP, "lobby-1", True)


@pytest.mark.parametrize(
    "new",
    [
        NewFactors(),
        NewFactors(password_hash=b"\x00\xff"),
        NewFactors(totp_secret=SECRET, totp_step=0),
        NewFactors(template=Template("4auth", b""), face_png=b""),
        NewFactors(mac_addresses=frozenset()),
    ],
)
def test_any_part_of_the_factors_comes_back_as_it_was(changes, database, new):
    put(changes, database, changes.new(asked(new=new), policy(), NOW))
    assert changes.pending("ann").new == new


def test_the_newest_takes_the_place_of_the_one_before(changes, database):
    first = put(changes, database, changes.new(asked(), policy(), NOW))
    second = put(changes, database, changes.new(asked(Action.RECOVER_FACE), policy(), NOW))
    assert changes.list() == [second]
    assert take_try(changes, first) is None


def test_what_will_be_in_force_is_stored_sealed_and_for_this_change_alone(changes, database):
    for name in ("ann", "bob"):
        put(changes, database, changes.new(asked(username=name), policy(), NOW))
    with database.read() as session:
        rows = {row.username: row for row in session.execute(select(CHANGES))}
    for row in rows.values():
        assert not [secret for secret in (SECRET, "$2b$12$new", "PNG of a face") if secret in str(tuple(row))]
    with database.transaction() as session:
        session.execute(update(CHANGES).where(CHANGES.c.username == "ann").values(payload_enc=rows["bob"].payload_enc))
    with pytest.raises(StoreError, match="sealed for another place"):
        changes.pending("ann")


def test_a_change_of_another_site_does_not_open(changes, database):
    put(changes, database, changes.new(asked(), policy(), NOW))
    other = Changes(database, FieldCipher([Fernet.generate_key()]), str)
    with pytest.raises(StoreError, match="sealed by another key"):
        other.pending("ann")


def test_no_repr_shows_what_will_be_in_force(changes):
    change = changes.new(asked(permission="ticket:secret-hash"), policy(), NOW)
    text = repr(change) + repr(asked(permission="ticket:secret-hash")) + repr(WHOLE)
    assert "ann" in text
    assert not [secret for secret in (SECRET, "$2b$12$new", "PNG of a face", "secret-hash") if secret in text]


class TestTakeTry:
    """A try is counted ahead of its judgement, so that of any number at once five are judged."""

    def test_five_and_no_more(self, changes, database):
        change = put(changes, database, changes.new(asked(), policy(), NOW))
        left = [take_try(changes, change) for _ in range(CONFIRM_TRIES + 2)]
        assert [found and found.tries_left for found in left] == [4, 3, 2, 1, 0, None, None]
        assert left[0].new == WHOLE

    @pytest.mark.parametrize(
        ("other", "later_s", "is_taken"),
        [
            ({}, 0, True),
            ({}, CHANGE_TTL_S - 1, True),
            ({}, CHANGE_TTL_S, False),
            ({"kiosk_id": "lobby-2"}, 0, False),
            ({"change_id": "another"}, 0, False),
            ({"username": "bob"}, 0, False),
        ],
    )
    def test_only_for_this_change_at_its_kiosk_and_in_time(self, changes, database, other, later_s, is_taken):
        change = put(changes, database, changes.new(asked(), policy(), NOW))
        found = take_try(changes, change, NOW + timedelta(seconds=later_s), **other)
        assert (found is not None) is is_taken
        assert changes.pending("ann").tries_left == CONFIRM_TRIES - is_taken, "what is not judged costs no try"

    def test_not_for_one_that_needs_no_code(self, changes, database):
        change = put(changes, database, changes.new(asked(Action.RECOVER_FACE), policy(second_person=True), NOW))
        assert take_try(changes, change) is None

    def test_of_any_number_at_once_five_are_judged(
        self, changes: Changes, database: Database, run_in_processes: Callable[[int, str], list[str]]
    ):
        change = put(changes, database, changes.new(asked(), policy(), NOW))
        lines = run_in_processes(
            3,
            f"""
from auth_server.changes import Changes
changes = Changes(database, keyring.field, str)
wait_for_all()
def work(_):
    known = {{"username": "ann", "change_id": "{change.change_id}", "kiosk_id": "lobby-1"}}
    return changes.take_try(**known, now=now) is not None
for is_taken in in_threads(8, work):
    print(is_taken)
""",
        )
        assert sorted(lines) == ["False"] * 19 + ["True"] * 5


def test_drop_is_for_one_name_and_tells_whether_there_was_one(changes, database):
    for name in ("ann", "bob"):
        put(changes, database, changes.new(asked(username=name), policy(), NOW))
    with database.transaction() as session:
        assert changes.drop(session, "ann")
        assert not changes.drop(session, "ann")
    assert [change.username for change in changes.list()] == ["bob"]


def test_due_are_those_that_waited_for_time_alone_and_long_enough(changes, database):
    for name, site in (
        ("soon", policy(cooling_off_s=60)),
        ("later", policy(cooling_off_s=61)),
        ("unapproved", policy(second_person=True, cooling_off_s=1)),
    ):
        put(changes, database, changes.new(asked(Action.RECOVER_FACE, username=name), site, NOW))
    assert changes.due(NOW + timedelta(seconds=59)) == []
    assert changes.due(NOW + timedelta(seconds=60)) == ["soon"]


def test_prune_forgets_what_was_not_confirmed_in_time_and_never_what_waits_for_time(changes, database):
    waiting = changes.new(asked(Action.RECOVER_FACE, username="cooling"), policy(window_s=60, cooling_off_s=10**6), NOW)
    open_ = changes.new(asked(Action.RECOVER_FACE, username="open"), policy(second_person=True, window_s=60), NOW)
    for change in (waiting, open_):
        put(changes, database, change)
    assert changes.prune(NOW + timedelta(seconds=59)) == 0
    assert changes.prune(NOW + timedelta(seconds=60)) == 1
    assert changes.list() == [waiting]


def test_nothing_of_a_change_is_kept_when_its_transaction_does_not_commit(changes, database):
    before = put(changes, database, changes.new(asked(), policy(), NOW))
    with pytest.raises(RuntimeError), database.transaction() as session:
        changes.put(session, replace(before, is_approval_needed=True))
        raise RuntimeError
    assert changes.pending("ann") == before
