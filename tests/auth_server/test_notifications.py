"""The outbox: nothing is told that did not happen, and nothing that happened goes untold."""

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.notifications import (
    FIRST_WAIT_S,
    LONGEST_WAIT_S,
    OVERDUE_AFTER_S,
    Event,
    Notifications,
    Queue,
    body_text,
    wait_s,
)
from tests.postgres import IN_A_FILE

LEASE_S = 70


@pytest.fixture
def outbox(database):
    return Notifications(database)


@pytest.fixture
def add(database, outbox, now):
    """Adds a notification of a name, as happened `after` seconds from now."""

    def add_one(name="ann", after=0.0, event=Event.CHANGE_IN_FORCE, **body):
        with database.transaction() as session:
            outbox.add(session, event, name, body, now + timedelta(seconds=after))

    return add_one


def seconds(count):
    return timedelta(seconds=count)


class TestAdded:
    def test_it_is_there_with_what_it_tells_of(self, add, outbox, now):
        add(kiosk="lobby-1", action="recover_totp")
        (stored,) = outbox.list()
        told = json.loads(stored.document("head-office"))
        assert told.pop("message").startswith(
            "A new authenticator secret for ann is in force, asked for at kiosk lobby-1."
        )
        assert told == {
            "id": stored.notification_id,
            "site": "head-office",
            "event": "change_in_force",
            "username": "ann",
            "kiosk": "lobby-1",
            "time": "2026-11-22T09:30:00.000000Z",
            "action": "recover_totp",
        }

    def test_it_is_gone_with_what_was_rolled_back(self, database, outbox, now):
        with pytest.raises(RuntimeError), database.transaction() as session:
            outbox.add(session, Event.CHANGE_IN_FORCE, "ann", {}, now)
            raise RuntimeError("the change failed")
        assert outbox.list() == []

    def test_where_nobody_is_told_nothing_is_kept(self, database, now):
        silent = Notifications(database, is_kept=False)
        with database.transaction() as session:
            silent.add(session, Event.CHANGE_IN_FORCE, "ann", {}, now)
        assert silent.list() == []

    @pytest.mark.parametrize("member", ["totp_secret", "provisioning_uri", "ticket", "code", "password", "secret"])
    @pytest.mark.parametrize("is_kept", [True, False])
    def test_it_cannot_hold_a_secret(self, database, now, member, is_kept):
        with pytest.raises(ValueError, match=f"holds no {member}"), database.transaction() as session:
            Notifications(database, is_kept=is_kept).add(session, Event.CHANGE_IN_FORCE, "ann", {member: "x"}, now)

    def test_a_value_that_is_no_plain_one_is_refused(self, now):
        with pytest.raises(TypeError, match="no bytes"):
            body_text(Event.CHANGE_IN_FORCE, "ann", {"reason": b"x"}, now, "id")

    @given(st.sampled_from([*Event, "something_else"]), st.none() | st.text(), st.text(max_size=500))
    def test_it_is_bounded_json_whatever_strangers_typed(self, event, name, kiosk):
        text = body_text(event, name, {"kiosk": kiosk}, datetime.fromisoformat("2026-11-22T09:30:00Z"), "id")
        told = json.loads(text)
        assert len(text.encode()) < 8192
        assert told["message"] and len(told["message"]) < 800
        text.encode().decode()

    def test_each_event_has_a_sentence_of_its_own(self, now):
        texts = [json.loads(body_text(event, "ann", {}, now, "id"))["message"] for event in Event]
        assert len(set(texts)) == len(Event)
        assert all("ann" in text or event is Event.TEST for event, text in zip(Event, texts, strict=True))

    def test_two_notifications_differ_in_their_id(self, add, outbox):
        add()
        add()
        first, second = outbox.list()
        assert first.notification_id != second.notification_id


class TestLeased:
    def test_nobody_else_is_given_it_meanwhile(self, add, outbox, now):
        add()
        leased = outbox.lease(now, LEASE_S)
        assert leased is not None and leased.tries == 1
        assert outbox.lease(now, LEASE_S) is None
        assert outbox.lease(now + seconds(LEASE_S - 1), LEASE_S) is None

    def test_the_lease_of_a_dead_worker_ends(self, add, outbox, now):
        add()
        outbox.lease(now, LEASE_S)
        again = outbox.lease(now + seconds(LEASE_S), LEASE_S)
        assert again is not None and again.tries == 2

    def test_what_has_waited_longest_comes_first(self, add, outbox, now):
        add("bob", after=1)
        add("ann", after=0)
        assert [outbox.lease(now + seconds(2), LEASE_S).username for _ in "ab"] == ["ann", "bob"]

    def test_nothing_is_due_before_its_time(self, add, outbox, now):
        add(after=60)
        assert not outbox.due(now)
        assert outbox.lease(now, LEASE_S) is None
        assert outbox.due(now + seconds(60))

    def test_a_clock_that_was_set_back_by_a_day_holds_nothing_up(self, add, outbox, now):
        add(after=24 * 3600)
        assert outbox.lease(now, LEASE_S) is not None

    def test_of_any_number_of_processes_one_is_given_it(self, add, outbox, run_in_processes):
        for number in range(20):
            add(f"user{number}")
        lines = run_in_processes(
            3,
            """
from auth_server.notifications import Notifications
outbox = Notifications(database)
wait_for_all()
for found in in_threads(20, lambda _: outbox.lease(now, 60)):
    print(found.username if found else None)
""",
        )
        assert sorted(name for name in lines if name != "None") == sorted(f"user{n}" for n in range(20))


class TestDelivered:
    def test_it_is_gone(self, add, outbox, now):
        add()
        outbox.delivered(outbox.lease(now, LEASE_S))
        assert outbox.list() == []

    @IN_A_FILE
    def test_a_late_word_of_an_older_one_takes_no_newer_one_away(self, add, outbox, now):
        """The database gives numbers again: two workers delivered the first one, and a second took its number."""
        add("ann")
        leased = outbox.lease(now, LEASE_S)
        outbox.delivered(outbox.lease(now + seconds(LEASE_S), LEASE_S))
        add("bob")
        assert outbox.list()[0].number == leased.number
        outbox.delivered(leased)
        outbox.failed(leased, "too late", now)
        (kept,) = outbox.list()
        assert (kept.username, kept.tries, kept.last_error) == ("bob", 0, None)


class TestFailed:
    @pytest.mark.parametrize(
        ("tries", "wait"), [(0, 5), (1, 5), (2, 10), (3, 20), (10, 2560), (11, 3600), (12, 3600), (10**6, 3600)]
    )
    def test_the_wait_doubles(self, tries, wait):
        assert wait_s(tries) == wait

    def test_it_waits_longer_each_time_and_is_never_forgotten(self, add, outbox, now):
        add()
        waits = []
        for _ in range(14):
            leased = outbox.lease(now, LEASE_S)
            outbox.failed(leased, "the receiver answered 500", now)
            (stored,) = outbox.list()
            waits.append((stored.next_try_at - now).total_seconds())
            now = stored.next_try_at
        assert waits[:4] == [FIRST_WAIT_S, 10, 20, 40]
        assert waits[-1] == LONGEST_WAIT_S
        assert stored.last_error == "the receiver answered 500"

    def test_an_error_is_kept_short(self, add, outbox, now):
        add()
        outbox.failed(outbox.lease(now, LEASE_S), "x" * 5000, now)
        assert outbox.list()[0].last_error == "x" * 200

    def test_a_worker_whose_lease_ended_changes_nothing(self, add, outbox, now):
        add()
        late = outbox.lease(now, LEASE_S)
        held = outbox.lease(now + seconds(LEASE_S), LEASE_S)
        outbox.failed(late, "too late", now)
        assert outbox.list() == [held]

    def test_after_three_days_it_is_overdue_and_still_tried(self, add, outbox, now):
        add()
        assert outbox.queue(now) == Queue(waiting=1, overdue=0)
        later = now + seconds(OVERDUE_AFTER_S)
        outbox.failed(outbox.lease(later, LEASE_S), "no connection", later)
        assert outbox.queue(later) == Queue(waiting=1, overdue=1)
        assert outbox.list()[0].is_overdue(later)
        assert outbox.lease(later + seconds(FIRST_WAIT_S), LEASE_S) is not None

    def test_what_was_never_tried_is_not_overdue(self, add, outbox, now):
        """After a week without a server the first try is not a fault yet."""
        add()
        assert outbox.queue(now + timedelta(days=7)) == Queue(waiting=1, overdue=0)

    def test_a_retry_makes_it_due_at_once(self, add, outbox, now):
        add("ann")
        add("bob")
        for _ in range(5):
            for _ in "ab":
                outbox.failed(outbox.lease(now + timedelta(days=1), LEASE_S), "no connection", now)
        ann, _ = outbox.list()
        assert outbox.retry([ann.number, 999], now) == 1
        assert [(n.username, n.tries) for n in outbox.list() if n.next_try_at == now] == [("ann", 0)]
        assert outbox.retry(None, now) == 2
        assert outbox.retry([999], now) == 0
