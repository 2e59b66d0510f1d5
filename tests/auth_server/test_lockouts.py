"""Stored counters: nothing is judged above the limit, and no stranger locks anybody out."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from auth_server.accounts import Accounts, NewAccount
from auth_server.domain import Template
from auth_server.keyring import Keyring
from auth_server.lockout import FORGOTTEN_AFTER_S, LONGEST_WAIT_S, wait_s
from auth_server.lockouts import CLOCK_STEP_S, LockedUntil, Lockouts, Reservation
from auth_server.store.database import Database, open_database
from auth_server.store.models import LOCKOUTS

OWN, STRANGE = "lobby", "annex"


@pytest.fixture
def lockouts(database: Database) -> Lockouts:
    """Nobody has failed yet."""
    return Lockouts(database)


@pytest.fixture
def accounts(database: Database, keyring: Keyring, now: datetime) -> Accounts:
    """One account, alice's."""
    made = Accounts(database, keyring.field, "4auth")
    _add_alice(made, now)
    return made


def _add_alice(accounts: Accounts, now: datetime) -> None:
    accounts.add(
        NewAccount(
            username="alice",
            password_hash=b"hash",
            totp_secret="SECRET",
            totp_last_step=0,
            template=Template("4auth", b""),
            face_png=b"",
            mac_addresses=frozenset({"02:00:5e:10:00:01"}),
        ),
        now,
    )


def _reserve(lockouts: Lockouts, now: datetime, kiosk_id: str = OWN, username: str = "alice"):
    return lockouts.reserve(username=username, kiosk_id=kiosk_id, is_own_kiosk=kiosk_id == OWN, now=now)


def _fail(lockouts: Lockouts, count: int, now: datetime, kiosk_id: str = OWN, username: str = "alice") -> datetime:
    """Fail so often, waiting each time no longer than one has to."""
    for _ in range(count):
        outcome = _reserve(lockouts, now, kiosk_id, username)
        if isinstance(outcome, LockedUntil):
            now = outcome.until
            outcome = _reserve(lockouts, now, kiosk_id, username)
        assert isinstance(outcome, Reservation)
    return now


def _row_count(database: Database) -> int:
    with database.read() as session:
        return len(session.execute(LOCKOUTS.select()).all())


def _is_enabled(accounts: Accounts) -> tuple[bool, bool]:
    alice = accounts.find("alice")
    assert alice is not None
    return alice.enabled, alice.face_enabled


def test_five_tries_are_free_and_the_sixth_waits(lockouts: Lockouts, now: datetime):
    for _ in range(5):
        assert isinstance(_reserve(lockouts, now), Reservation)
    refused = _reserve(lockouts, now)
    assert isinstance(refused, LockedUntil)
    assert refused.until == now + timedelta(seconds=30)
    assert isinstance(_reserve(lockouts, refused.until - timedelta(microseconds=1)), LockedUntil)
    assert isinstance(_reserve(lockouts, refused.until), Reservation)


def test_the_wait_doubles_and_ends_at_an_hour(lockouts: Lockouts, now: datetime):
    _fail(lockouts, 4, now)
    waits = []
    for _ in range(9):
        now = _fail(lockouts, 1, now)
        refused = _reserve(lockouts, now)
        assert isinstance(refused, LockedUntil)
        waits.append(int((refused.until - now).total_seconds()))
    assert waits == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600]


def test_being_locked_out_is_not_another_failure(lockouts: Lockouts, now: datetime):
    _fail(lockouts, 5, now)
    for second in range(30):
        refused = _reserve(lockouts, now + timedelta(seconds=second))
        assert isinstance(refused, LockedUntil)
        assert refused.until == now + timedelta(seconds=30)


def test_an_unknown_name_is_counted_like_any_other(lockouts: Lockouts, accounts: Accounts, now: datetime):
    told = []
    for username in ("alice", "nobody"):
        outcomes = [_reserve(lockouts, now, STRANGE, username) for _ in range(7)]
        told.append([getattr(outcome, "until", None) for outcome in outcomes])
    assert told[0] == told[1]


def test_a_success_starts_anew(lockouts: Lockouts, database: Database, now: datetime):
    now = _fail(lockouts, 7, now)
    with database.transaction() as session:
        lockouts.clear(session, "alice", OWN)
    assert _row_count(database) == 0
    for _ in range(5):
        assert isinstance(_reserve(lockouts, now), Reservation)


def test_a_success_at_one_kiosk_leaves_other_counters(lockouts: Lockouts, database: Database, now: datetime):
    _fail(lockouts, 5, now, STRANGE)
    _fail(lockouts, 5, now, username="bob")
    with database.transaction() as session:
        lockouts.clear(session, "alice", OWN)
    assert isinstance(_reserve(lockouts, now, STRANGE), LockedUntil)
    assert isinstance(_reserve(lockouts, now, username="bob"), LockedUntil)


class TestStrangersKiosk:
    """What somebody does at a kiosk that is not the person's own."""

    def test_failures_there_never_lock_the_person_at_home(self, lockouts: Lockouts, accounts: Accounts, now: datetime):
        later = _fail(lockouts, 120, now, STRANGE)
        assert isinstance(_reserve(lockouts, later, STRANGE), LockedUntil)
        outcome = _reserve(lockouts, later, OWN)
        assert isinstance(outcome, Reservation)
        assert not outcome.ruling.face_disabled
        assert _is_enabled(accounts) == (True, True)

    def test_it_does_not_learn_of_failures_at_home(self, lockouts: Lockouts, accounts: Accounts, now: datetime):
        now = _fail(lockouts, 8, now, OWN)
        assert isinstance(_reserve(lockouts, now, OWN), LockedUntil)
        assert isinstance(_reserve(lockouts, now, STRANGE), Reservation)


class TestAnywhere:
    """What needs no own kiosk: else each kiosk of a site would bring five guesses more."""

    def reserve(self, lockouts: Lockouts, now: datetime, number: int, username: str = "alice"):
        known = {"username": username, "kiosk_id": f"kiosk-{number}", "is_own_kiosk": False}
        return lockouts.reserve(**known, is_anywhere=True, now=now)

    def test_five_tries_are_free_at_all_kiosks_together(self, lockouts: Lockouts, now: datetime):
        outcomes = [self.reserve(lockouts, now, number) for number in range(8)]
        assert [type(outcome) for outcome in outcomes] == [Reservation] * 5 + [LockedUntil] * 3

    def test_nobody_is_kept_from_logging_in_by_it(self, lockouts: Lockouts, accounts: Accounts, now: datetime):
        for number in range(120):
            now += timedelta(hours=1)
            self.reserve(lockouts, now, number)
        outcome = _reserve(lockouts, now, OWN)
        assert isinstance(outcome, Reservation) and not outcome.ruling.face_disabled
        assert _is_enabled(accounts) == (True, True)

    def test_nor_from_cancelling_at_the_own_kiosk_what_a_thief_has_asked_for(
        self, lockouts: Lockouts, accounts: Accounts, now: datetime
    ):
        for number in range(120):
            now += timedelta(hours=1)
            self.reserve(lockouts, now, number)
        at_home = lockouts.reserve(username="alice", kiosk_id=OWN, is_own_kiosk=True, is_anywhere=True, now=now)
        assert isinstance(at_home, Reservation)

    def test_a_hundred_in_a_row_close_it_until_an_administrator_acts(
        self, lockouts: Lockouts, accounts: Accounts, database: Database, now: datetime
    ):
        for number in range(100):
            now += timedelta(hours=1)
            assert isinstance(self.reserve(lockouts, now, number), Reservation)
        for days in (0, 1, 30, 365):
            refused = self.reserve(lockouts, now + timedelta(days=days), 7)
            assert isinstance(refused, LockedUntil) and refused.ruling.is_closed
            lockouts.prune(now + timedelta(days=days))
        with database.transaction() as session:
            lockouts.clear(session, "alice", OWN)
        assert isinstance(self.reserve(lockouts, now, 7), LockedUntil), (
            "a log in shows that the person is well, no more"
        )
        assert lockouts.unlock("alice")
        assert isinstance(self.reserve(lockouts, now, 7), Reservation)

    def test_an_unknown_name_is_counted_like_any_other(self, lockouts: Lockouts, accounts: Accounts, now: datetime):
        told = [
            [_answer(self.reserve(lockouts, now, number, username)) for number in range(8)]
            for username in ("alice", "nobody")
        ]
        assert told[0] == told[1]

    @pytest.mark.parametrize("days", [0, 8, 100, 365, 366])
    def test_nor_does_its_end_tell_which_names_have_an_account(
        self, lockouts: Lockouts, accounts: Accounts, now: datetime, days: int
    ):
        for number in range(100):
            now += timedelta(hours=1)
            for username in ("alice", "nobody"):
                assert isinstance(self.reserve(lockouts, now, number, username), Reservation)
        now += timedelta(days=days)
        lockouts.prune(now)
        told = [_answer(self.reserve(lockouts, now, 7, username)) for username in ("alice", "nobody")]
        assert told[0] == told[1]
        assert (told[0] is None) is (days > 365)

    def test_one_that_could_not_be_judged_is_taken_back_everywhere(
        self, lockouts: Lockouts, database: Database, now: datetime
    ):
        outcome = self.reserve(lockouts, now, 1)
        assert isinstance(outcome, Reservation) and {c.kiosk_id for c in outcome.counted} == {"kiosk-1", "*a", "**a"}
        with database.transaction() as session:
            lockouts.take_back(session, outcome)
        assert _row_count(database) == 0

    def test_a_success_takes_back_its_own_failure_and_leaves_those_before(
        self, lockouts: Lockouts, database: Database, now: datetime
    ):
        for number in range(4):
            self.reserve(lockouts, now, number)
        granted = self.reserve(lockouts, now, 9)
        assert isinstance(granted, Reservation)
        with database.transaction() as session:
            lockouts.take_back(session, granted)
        assert isinstance(self.reserve(lockouts, now, 9), Reservation)
        assert isinstance(self.reserve(lockouts, now, 9), LockedUntil)


class TestRelease:
    """A submission that could not be judged was no failure."""

    def test_it_leaves_no_trace_of_a_first_try(self, lockouts: Lockouts, database: Database, now: datetime):
        outcome = _reserve(lockouts, now)
        assert isinstance(outcome, Reservation)
        lockouts.release(outcome)
        assert _row_count(database) == 0

    def test_it_does_not_prolong_a_wait(self, lockouts: Lockouts, now: datetime):
        _fail(lockouts, 5, now)
        later = now + timedelta(seconds=30)
        for _ in range(3):
            outcome = _reserve(lockouts, later)
            assert isinstance(outcome, Reservation)
            lockouts.release(outcome)

    def test_it_does_not_undo_what_was_counted_after_a_success(
        self, lockouts: Lockouts, database: Database, now: datetime
    ):
        """Else a slow, dark picture could be kept in hand to win back a failure."""
        slow = _reserve(lockouts, now)
        assert isinstance(slow, Reservation)
        with database.transaction() as session:
            lockouts.clear(session, "alice", OWN)
        later = now + timedelta(seconds=1)
        for _ in range(5):
            _reserve(lockouts, later)
        lockouts.release(slow)
        assert isinstance(_reserve(lockouts, later), LockedUntil)


class TestDisabling:
    """What only an admin undoes."""

    def test_fifty_failures_at_home_disable_the_face_and_a_hundred_the_account(
        self, lockouts: Lockouts, accounts: Accounts, now: datetime
    ):
        now = _fail(lockouts, 50, now)
        assert _is_enabled(accounts) == (True, True)
        now = _fail(lockouts, 1, now)
        assert _is_enabled(accounts) == (True, False)
        now = _fail(lockouts, 49, now)
        assert _is_enabled(accounts) == (True, False)
        refused = _reserve(lockouts, now)  # still waiting, and disabled all the same
        assert isinstance(refused, LockedUntil)
        assert refused.ruling.account_disabled
        assert _is_enabled(accounts) == (False, False)

    def test_the_fiftieth_try_itself_may_still_succeed(
        self, lockouts: Lockouts, accounts: Accounts, database: Database, now: datetime
    ):
        now = _fail(lockouts, 50, now)
        with database.transaction() as session:
            assert accounts.spend(session, "alice", step=1, opened_at=now, now=now)
            lockouts.clear(session, "alice", OWN)
        assert isinstance(_reserve(lockouts, now), Reservation)
        assert _is_enabled(accounts) == (True, True)

    def test_the_try_that_finds_fifty_failures_says_so_and_cannot_be_granted(
        self, lockouts: Lockouts, accounts: Accounts, database: Database, now: datetime
    ):
        enrolment_read_before = accounts.enrolment("alice")
        now = _fail(lockouts, 50, now) + timedelta(hours=1)
        outcome = _reserve(lockouts, now)
        assert isinstance(outcome, Reservation)
        assert outcome.ruling.face_disabled
        assert enrolment_read_before.face_enabled
        with database.transaction() as session:
            assert not accounts.spend(session, "alice", step=1, opened_at=now, now=now)

    def test_an_admin_unlocks(self, lockouts: Lockouts, accounts: Accounts, database: Database, now: datetime):
        now = _fail(lockouts, 101, now)
        _fail(lockouts, 6, now, STRANGE)
        assert lockouts.unlock("alice")
        assert _is_enabled(accounts) == (True, True)
        assert _row_count(database) == 0
        assert not lockouts.unlock("nobody")


def test_a_clock_set_back_never_makes_a_wait_longer_than_the_rule(lockouts: Lockouts, now: datetime):
    _fail(lockouts, 5, now + timedelta(days=365))
    refused = _reserve(lockouts, now)
    assert isinstance(refused, LockedUntil)
    assert refused.until == now + timedelta(seconds=30)
    assert isinstance(_reserve(lockouts, refused.until), Reservation)


def test_nor_does_it_after_a_try_that_could_not_be_judged(lockouts: Lockouts, now: datetime):
    later = _fail(lockouts, 5, now + timedelta(hours=1)) + timedelta(minutes=1)
    unjudged = _reserve(lockouts, later)
    assert isinstance(unjudged, Reservation)
    lockouts.release(unjudged)
    refused = _reserve(lockouts, now)
    assert isinstance(refused, LockedUntil)
    assert isinstance(_reserve(lockouts, refused.until), Reservation)


class TestRequestsOutOfOrder:
    """`now` is read before a request waits for its turn, so a later one may come with an earlier time."""

    EARLIER = st.integers(0, CLOCK_STEP_S)

    @given(earlier=EARLIER)
    @settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_an_earlier_time_does_not_end_a_wait_early(
        self, lockouts: Lockouts, database: Database, now: datetime, earlier: int
    ):
        lockouts.unlock("alice")
        _fail(lockouts, 5, now)
        until = now + timedelta(seconds=30)
        refused = _reserve(lockouts, now - timedelta(seconds=earlier))
        assert isinstance(refused, LockedUntil) and refused.until == until
        assert isinstance(_reserve(lockouts, until - timedelta(microseconds=1)), LockedUntil)
        assert isinstance(_reserve(lockouts, until), Reservation)

    @pytest.mark.parametrize("earlier", [1, 14, 15, CLOCK_STEP_S])
    def test_a_failure_counted_late_does_not_either(self, lockouts: Lockouts, now: datetime, earlier: int):
        _fail(lockouts, 4, now)
        assert isinstance(_reserve(lockouts, now - timedelta(seconds=earlier)), Reservation)
        assert isinstance(_reserve(lockouts, now + timedelta(seconds=29)), LockedUntil)

    def test_nor_does_taking_back_the_one_that_came_before(self, lockouts: Lockouts, now: datetime):
        long_ago = _fail(lockouts, 5, now)
        now = long_ago + timedelta(hours=1)
        first = _reserve(lockouts, now)
        assert isinstance(first, Reservation)
        # The wait of the first holds this one up; it is let in when that is taken back.
        assert isinstance(_reserve(lockouts, now - timedelta(seconds=10)), LockedUntil)
        lockouts.release(first)
        assert isinstance(_reserve(lockouts, now - timedelta(seconds=10)), Reservation)
        assert isinstance(_reserve(lockouts, now + timedelta(seconds=49)), LockedUntil)

    def test_beyond_a_minute_it_was_the_clock(self, lockouts: Lockouts, now: datetime):
        _fail(lockouts, 5, now)
        back = now - timedelta(seconds=CLOCK_STEP_S + 1)
        refused = _reserve(lockouts, back)
        assert isinstance(refused, LockedUntil)
        assert refused.until == back + timedelta(seconds=30)


class TestAge:
    """What a wait depends on is forgotten after a week, for names with and without an account alike."""

    def test_waiting_begins_anew_and_the_caps_count_on(
        self, lockouts: Lockouts, accounts: Accounts, database: Database, now: datetime
    ):
        now = _fail(lockouts, 50, now) + timedelta(seconds=FORGOTTEN_AFTER_S + 1)
        outcomes = [_reserve(lockouts, now) for _ in range(6)]
        assert [type(outcome) for outcome in outcomes] == [Reservation] * 5 + [LockedUntil]
        assert _is_enabled(accounts) == (True, False)
        _fail(lockouts, 45, now + timedelta(seconds=30))
        assert _reserve(lockouts, now).ruling.account_disabled
        assert _is_enabled(accounts) == (False, False)

    def test_a_failure_a_fortnight_reaches_the_caps(self, lockouts: Lockouts, accounts: Accounts, now: datetime):
        for _ in range(50):
            assert _is_enabled(accounts) == (True, True)
            assert isinstance(_reserve(lockouts, now), Reservation)
            now += timedelta(seconds=2 * FORGOTTEN_AFTER_S)
            lockouts.prune(now)
        _reserve(lockouts, now)
        assert _is_enabled(accounts) == (True, False)

    def test_a_success_ends_the_row(self, lockouts: Lockouts, accounts: Accounts, database: Database, now: datetime):
        now = _fail(lockouts, 49, now)
        with database.transaction() as session:
            lockouts.clear(session, "alice", OWN)
        _fail(lockouts, 3, now)
        assert _is_enabled(accounts) == (True, True)

    def test_pruning_leaves_of_an_account_what_the_caps_need(
        self, lockouts: Lockouts, accounts: Accounts, database: Database, now: datetime
    ):
        for username in ("alice", "nobody"):
            _fail(lockouts, 1, now, username=username)
        later = now + timedelta(seconds=FORGOTTEN_AFTER_S)
        assert lockouts.prune(later) == 0
        assert lockouts.prune(later + timedelta(seconds=1)) == 5
        with database.read() as session:
            assert [(row.username, row.kiosk_id) for row in session.execute(LOCKOUTS.select())] == [("alice", "**")]

    HISTORIES = st.lists(
        st.tuples(
            st.sampled_from([0, 1, 30, 60, 3600, 86_400, FORGOTTEN_AFTER_S, FORGOTTEN_AFTER_S + 1, 8 * 86_400]),
            st.sampled_from([OWN, STRANGE]),
            st.sampled_from([1, 1, 2, 5, 8]),
            st.sampled_from(["fail", "fail", "cannot be judged", "prune"]),
        ),
        max_size=12,
    )

    @given(history=HISTORIES)
    @settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_no_history_tells_an_account_from_an_unknown_name(
        self, lockouts: Lockouts, accounts: Accounts, now: datetime, history: list[tuple[int, str, int, str]]
    ):
        """The same tries at the same times get the same answers, however long ago the last was."""
        for username in ("alice", "nobody"):
            lockouts.unlock(username)
        for seconds, kiosk_id, times, what in history:
            now += timedelta(seconds=seconds)
            if what == "prune":
                lockouts.prune(now)
            for _ in range(times):
                # Only a name with an account has kiosks of its own.
                known, unknown = (
                    lockouts.reserve(username=name, kiosk_id=kiosk_id, is_own_kiosk=is_own, now=now)
                    for name, is_own in (("alice", kiosk_id == OWN), ("nobody", False))
                )
                assert _answer(known) == _answer(unknown)
                for outcome in (known, unknown):
                    if what == "cannot be judged" and isinstance(outcome, Reservation):
                        lockouts.release(outcome)


def _answer(outcome: Reservation | LockedUntil) -> datetime | None:
    return outcome.until if isinstance(outcome, LockedUntil) else None


def test_of_any_number_of_guesses_at_once_five_are_judged(
    lockouts: Lockouts, run_in_processes: Callable[[int, str], list[str]]
):
    lines = run_in_processes(
        4,
        """
from auth_server.lockouts import Lockouts
lockouts = Lockouts(database)
wait_for_all()
def work(_):
    outcome = lockouts.reserve(username="alice", kiosk_id="lobby", is_own_kiosk=True, now=now)
    return type(outcome).__name__
for outcome in in_threads(16, work):
    print(outcome)
""",
    )
    assert sorted(lines) == ["LockedUntil"] * 59 + ["Reservation"] * 5


class _Lockouts(RuleBasedStateMachine):
    """Any order of failures, dark pictures, successes and waits, at home and at a stranger's."""

    template: Database
    keyring: Keyring

    @initialize()
    def begin(self) -> None:
        self.now = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
        self.lockouts = Lockouts(self.template)
        with self.template.transaction() as session:
            session.execute(LOCKOUTS.delete())
        self.open: list[tuple[str, Reservation, datetime | None]] = []
        self.judged = {OWN: 0, STRANGE: 0}
        self.last: dict[str, datetime | None] = {OWN: None, STRANGE: None}

    @rule(kiosk_id=st.sampled_from([OWN, STRANGE]), times=st.sampled_from([1, 1, 5]))
    def submit(self, kiosk_id: str, times: int) -> None:
        for _ in range(times):
            self.submit_once(kiosk_id)

    def submit_once(self, kiosk_id: str) -> None:
        self.now += timedelta(microseconds=1)
        outcome = _reserve(self.lockouts, self.now, kiosk_id)
        last, wait = self.last[kiosk_id], wait_s(self.judged[kiosk_id])
        is_free = wait == 0 or last is None or self.now >= last + timedelta(seconds=wait)
        assert isinstance(outcome, Reservation) is is_free, "judged above the limit, or refused below it"
        if isinstance(outcome, Reservation):
            self.open.append((kiosk_id, outcome, last))
            self.judged[kiosk_id] += 1
            self.last[kiosk_id] = self.now
        else:
            assert self.now < outcome.until <= self.now + timedelta(seconds=LONGEST_WAIT_S)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cannot_be_judged(self, data: st.DataObject) -> None:
        number = data.draw(st.integers(0, len(self.open) - 1))
        kiosk_id, reservation, last_before = self.open.pop(number)
        self.lockouts.release(reservation)
        self.judged[kiosk_id] -= 1
        if self.judged[kiosk_id] == 0:
            self.last[kiosk_id] = None
        elif self.last[kiosk_id] == reservation.counted_at:
            self.last[kiosk_id] = last_before

    @precondition(lambda self: any(held[0] == OWN for held in self.open))
    @rule()
    def succeed_at_home(self) -> None:
        with self.template.transaction() as session:
            self.lockouts.clear(session, "alice", OWN)
        self.judged[OWN] = 0
        # What is still being judged was counted before this success.
        self.open = [held for held in self.open if held[0] != OWN]
        self.last[OWN] = None

    @rule(seconds=st.sampled_from([1, 29, 30, 60, 3600]))
    def wait(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @invariant()
    def counts_what_was_judged(self) -> None:
        if not hasattr(self, "judged"):
            return
        with self.template.read() as session:
            stored = {row.kiosk_id: row.failures for row in session.execute(LOCKOUTS.select())}
        assert stored.get(OWN, 0) == stored.get("*", 0) == stored.get("**", 0) == self.judged[OWN]
        assert stored.get(STRANGE, 0) == self.judged[STRANGE]


def test_any_history_is_counted_exactly(database: Database, keyring: Keyring):
    class Machine(_Lockouts):
        template = open_database(database.location, keyring)

    try:
        case = Machine.TestCase
        case.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)
        case("runTest").runTest()
    finally:
        Machine.template.close()
