"""What must hold whoever comes first: two workers on one store, threads that begin together or wait where told.

Where an order is known to be dangerous, it is made: a worker waits between its judgement and its decision
until the test lets it go on, so that it was judged by what has changed since. All others begin at one moment.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest

from auth_contract import paths
from auth_contract.actions import Action
from auth_server.accounts import NewAccount
from auth_server.admins import Role
from auth_server.app import create_app
from auth_server.audit import verify_chain
from auth_server.bootstrap import Opened, wire
from auth_server.domain import Template
from auth_server.judging import Judge, Judged
from auth_server.keyring import Keyring
from auth_server.policy import RECOVERIES
from auth_server.services import Services
from auth_server.store.database import open_database
from tests.auth_server.pipeline.conftest import (
    NEW_PASSWORD,
    PASSWORD,
    SECRET,
    FakeKiosk,
    NamedFaces,
    Site,
    embedding,
    quick_hash,
    settings,
)

PARALLEL = 50
ROUNDS = 6
SECOND_PERSON = {"actions": {action.value: {"second_person": True} for action in RECOVERIES}}
COOLING_OFF = {"actions": {action.value: {"cooling_off_s": 3600} for action in RECOVERIES}}
SHORT_S = 20


class HeldJudge:
    """Judges as another does; what it found is handed on once the test lets it."""

    def __init__(self, judge: Judge) -> None:
        self.is_reached, self.may_go_on = threading.Event(), threading.Event()
        self._judge = judge

    def judge(self, *case: Any) -> Judged:
        judged = self._judge.judge(*case)
        self.is_reached.set()
        assert self.may_go_on.wait(SHORT_S), "the test let nobody go on"
        return judged


@dataclass
class Two:
    """Two workers of one site. `site` is the first one's; `worker` makes a caller of either, for one thread."""

    site: Site
    other: Services

    def worker(self, number: int) -> Site:
        return self.caller((self.site.services, self.other)[number % 2])

    def caller(self, services: Services) -> Site:
        client = create_app(services).test_client()
        return Site(services, client, self.site.time, self.site.kiosk, self.site.other_kiosk)

    def at_once(self, calls: Sequence[Callable[[], Any]]) -> list[Any]:
        """What all the calls give that begin at one moment."""
        barrier = threading.Barrier(len(calls))

        def run(call: Callable[[], Any]) -> Any:
            barrier.wait(SHORT_S)
            return call()

        with ThreadPoolExecutor(len(calls)) as pool:
            return list(pool.map(run, calls))

    def verify(self) -> None:
        services = self.site.services
        services.housekeeping.run()  # signs what there is
        report = verify_chain(services.audit.chain(), services.housekeeping.checkpoints.signed())
        assert report.ok, report.findings

    def rows(self, action: str, username: str | None = None) -> list[Any]:
        found = [row for row in self.site.services.audit.chain() if row.action == action]
        return [row for row in found if username in (None, row.username)]


@pytest.fixture
def worker(site: Site, keyring: Keyring, sections: dict[str, Any], tmp_path: Path) -> Iterator[Callable[[], Services]]:
    """Makes more workers of the site, each with the store opened for itself."""
    made: list[Services] = []

    def make() -> Services:
        parts: Any = (keyring, open_database(site.services.database.location, keyring), NamedFaces(), site.time)
        made.append(wire(settings(tmp_path, **sections), Opened(*parts, hash_password=quick_hash)))
        return made[-1]

    yield make
    for services in made:
        services.executor.shutdown()
        services.database.close()


@pytest.fixture
def two(site: Site, worker: Callable[[], Services]) -> Iterator[Two]:
    with site.services.database.transaction() as session:
        # A hash of the least cost: what is tested is the order, not bcrypt.
        site.services.accounts.replace_password(
            session, "ada", quick_hash(PASSWORD), site.time.now() - timedelta(days=1)
        )
    pair = Two(site, worker())
    yield pair
    pair.verify()


class Slow:
    """A worker that waits between its judgement and its decision, and the one submission that it is at."""

    def __init__(self, services: Services, two: Two) -> None:
        authenticator = services.authenticator
        self._held: Any = HeldJudge(authenticator.judge)
        services = replace(services, authenticator=replace(authenticator, judge=self._held))
        self._site = two.caller(services)
        self._pool = ThreadPoolExecutor(1)
        self._reply: Future[Any] | None = None

    def begin(self, call: Callable[[Site], Any]) -> None:
        """Send a submission, and return when it is judged."""
        self._reply = self._pool.submit(call, self._site)
        assert self._held.is_reached.wait(SHORT_S), self._reply.result()

    def end(self) -> Any:
        """Let it be decided, and return its reply."""
        assert self._reply is not None
        self._held.may_go_on.set()
        return self._reply.result(SHORT_S)


@pytest.fixture
def slow(two: Two, worker: Callable[[], Services]) -> Callable[[], Slow]:
    """Makes workers that wait before they decide."""
    return lambda: Slow(worker(), two)


def invite(site: Site, name: str = "bob") -> str:
    tickets = site.services.authenticator.effects.tickets
    return str(tickets.invite(name, (), "root", site.time.now(), timedelta(hours=1)))


def register(site: Site, permission: str, name: str = "bob") -> Any:
    return site.submit(Action.REGISTER, username=name, permission=permission, new_who=name)


def code_of(pending: Any, site: Site) -> str:
    uri = pending.json["pending"]["provisioning_uri"]
    secret = pyotp.parse_uri(uri).secret
    return pyotp.TOTP(secret).at(site.time.now())


def confirm(site: Site, pending: Any, code: str | None = None) -> Any:
    return site.submit(
        Action.CONFIRM,
        username=pending.json["username"],
        change_id=pending.json["pending"]["change_id"],
        new_totp=code or code_of(pending, site),
    )


def due_changes(services: Services) -> Callable[[datetime], Any]:
    return services.housekeeping.whole_log_chores["due_changes"]


def reasons(replies: Sequence[Any]) -> Counter[str]:
    return Counter(str(reply.json.get("reason", "granted")) for reply in replies)


def supervisor(two: Two, name: str) -> None:
    two.site.services.authenticator.effects.admins.add(name, Role.SUPERVISOR, two.site.time.now())
    two.site.services.accounts.add(
        NewAccount(
            username=name,
            password_hash=quick_hash(PASSWORD),
            totp_secret=SECRET,
            totp_last_step=0,
            template=Template(NamedFaces.model, embedding(name)),
            face_png=b"png",
            mac_addresses=frozenset({two.site.kiosk.mac, two.site.other_kiosk.mac}),
        ),
        two.site.time.now(),
    )


def approve(site: Site, by: str = "sue", kiosk: FakeKiosk | None = None) -> Any:
    return site.submit(Action.APPROVE, username=by, person="ada", who=by, kiosk=kiosk or site.other_kiosk)


class TestConfirmations:
    def test_of_fifty_of_one_registration_one_makes_the_account(self, two: Two) -> None:
        pending = register(two.site, invite(two.site))
        workers = [two.worker(number) for number in range(PARALLEL)]
        counts = reasons(two.at_once([lambda site=site: confirm(site, pending) for site in workers]))
        assert counts == {"granted": 1, "start_again": PARALLEL - 1}
        assert [row.success for row in two.rows("confirm")].count(True) == 1
        assert len(two.rows("confirm")) == PARALLEL
        assert [account.username for account in two.site.services.accounts.list()] == ["ada", "bob"]
        assert two.site.services.authenticator.effects.tickets.list(two.site.time.now()) == []

    @pytest.mark.parametrize("sections", [SECOND_PERSON, COOLING_OFF], indirect=True)
    def test_of_two_that_were_judged_one_counts(self, two: Two, slow: Callable[[], Slow]) -> None:
        pending = two.site.submit(Action.RECOVER_TOTP)
        first, second = slow(), slow()
        for worker in (first, second):
            worker.begin(lambda site: confirm(site, pending))
        assert first.end().status_code == 200
        waiting = two.site.services.authenticator.changes.pending("ada")
        assert second.end().json["reason"] == "start_again"
        assert two.site.services.authenticator.changes.pending("ada") == waiting

    @pytest.mark.parametrize("sections", [SECOND_PERSON, COOLING_OFF], indirect=True)
    def test_of_fifty_of_one_recovery_that_goes_on_waiting_one_counts(self, two: Two) -> None:
        pending = two.site.submit(Action.RECOVER_TOTP)
        workers = [two.worker(number) for number in range(PARALLEL)]
        counts = reasons(two.at_once([lambda site=site: confirm(site, pending) for site in workers]))
        assert counts == {"granted": 1, "start_again": PARALLEL - 1}
        change = two.site.services.authenticator.changes.pending("ada")
        assert change is not None and not change.is_code_needed

    def test_of_fifty_guesses_five_are_judged(self, two: Two) -> None:
        pending = register(two.site, invite(two.site))
        workers = [two.worker(number) for number in range(PARALLEL)]
        counts = reasons(two.at_once([lambda site=site: confirm(site, pending, "000000") for site in workers]))
        assert counts == {"denied": 5, "start_again": PARALLEL - 5}

    def test_of_registrations_on_one_ticket_one_makes_an_account(self, two: Two) -> None:
        ticket = invite(two.site)
        workers = [two.worker(number) for number in range(8)]

        def through(site: Site) -> Any:
            pending = register(site, ticket)
            return confirm(site, pending) if pending.status_code == 200 else pending

        replies = two.at_once([lambda site=site: through(site) for site in workers])
        done = [reply for reply in replies if reply.status_code == 200]
        assert len(done) == 1, reasons(replies)
        assert [account.username for account in two.site.services.accounts.list()] == ["ada", "bob"]
        assert [row.success for row in two.rows("confirm")].count(True) == 1


def test_of_fifty_guesses_at_a_log_in_five_are_judged(two: Two) -> None:
    workers = [two.worker(number) for number in range(PARALLEL)]
    counts = reasons(two.at_once([lambda site=site: site.login(password="Wrong horse 8") for site in workers]))
    assert counts == {"denied": 5, "locked": PARALLEL - 5}


def test_of_two_log_ins_that_were_judged_on_one_code_one_is_granted(two: Two, slow: Callable[[], Slow]) -> None:
    first, second = slow(), slow()
    for worker in (first, second):
        worker.begin(lambda site: site.login())
    assert first.end().status_code == 200
    assert second.end().status_code == 403
    assert [row.success for row in two.rows("login")] == [True, False]


@pytest.mark.parametrize("action", [Action.RECOVER_PASSWORD, Action.RECOVER_FACE, Action.UPDATE_MAC])
def test_of_parallel_recoveries_with_one_code_one_is_granted(two: Two, action: Action) -> None:
    workers = [two.worker(number) for number in range(4)]
    counts = reasons(two.at_once([lambda site=site: site.submit(action) for site in workers]))
    assert counts == {"granted": 1, "denied": 3}


class TestApproval:
    @pytest.mark.parametrize("sections", [SECOND_PERSON], indirect=True)
    def test_either_it_is_approved_or_it_is_cancelled(self, two: Two) -> None:
        supervisor(two, "sue")
        password, new = PASSWORD, NEW_PASSWORD
        for number in range(ROUNDS):
            two.site.next_code()
            asked = two.site.submit(Action.RECOVER_PASSWORD, password=password, new_password=new)
            assert asked.status_code == 200, asked.text
            two.site.next_code()
            first, second = two.worker(number), two.worker(number + 1)
            calls: list[Callable[[], Any]] = [
                lambda site=first: approve(site),
                lambda site=second, known=password: site.submit(Action.CANCEL, password=known),
            ]
            approved, cancelled = two.at_once(calls[:: (-1) ** number])[:: (-1) ** number]
            assert {approved.status_code == 200, cancelled.status_code == 200} == {True, False}
            if approved.status_code == 200:
                password, new = new, password
            two.site.next_code()
            assert two.site.login(password=password).status_code == 200
            assert two.site.services.authenticator.changes.pending("ada") is None

    @pytest.mark.parametrize("sections", [SECOND_PERSON], indirect=True)
    def test_of_two_supervisors_one_approves(self, two: Two) -> None:
        supervisor(two, "sue")
        supervisor(two, "tom")
        assert two.site.submit(Action.RECOVER_PASSWORD).status_code == 200
        first, second = two.worker(0), two.worker(1)
        replies = two.at_once([lambda: approve(first, "sue"), lambda: approve(second, "tom")])
        assert reasons(replies) == {"granted": 1, "malformed": 1}

    @pytest.mark.parametrize("sections", [SECOND_PERSON], indirect=True)
    def test_who_lost_the_role_meanwhile_approves_nothing(self, two: Two, slow: Callable[[], Slow]) -> None:
        supervisor(two, "sue")
        assert two.site.submit(Action.RECOVER_PASSWORD).status_code == 200
        late = slow()
        late.begin(approve)
        admins = two.site.services.authenticator.effects.admins
        admins.add("root", Role.ADMIN, two.site.time.now())
        admins.set_role("sue", Role.AUDITOR)
        assert late.end().status_code == 403
        assert two.site.services.authenticator.changes.pending("ada") is not None


class TestDue:
    @pytest.mark.parametrize("sections", [COOLING_OFF], indirect=True)
    def test_of_many_workers_one_puts_a_change_in_force(self, two: Two) -> None:
        assert two.site.submit(Action.RECOVER_PASSWORD).status_code == 200
        two.site.time.moment += timedelta(hours=1)
        now = two.site.time.now()
        keepers = [due_changes((two.site.services, two.other)[number % 2]) for number in range(8)]
        done = two.at_once([lambda due=due: due(now) for due in keepers])
        assert sorted(done) == [0] * 7 + [1]
        assert len(two.rows("change_in_force")) == 1

    @pytest.mark.parametrize("sections", [COOLING_OFF], indirect=True)
    def test_one_that_was_replaced_meanwhile_waits_its_own_time(self, two: Two) -> None:
        assert two.site.submit(Action.RECOVER_PASSWORD).status_code == 200
        two.site.time.moment += timedelta(hours=1)
        keeper: Any = getattr(due_changes(two.other), "__self__")  # noqa: B009 - the object that puts them in force

        class Slower:
            """Finds the names that are due, and then somebody asks anew."""

            def due(self, now: datetime) -> Any:
                names = keeper.changes.due(now)
                assert two.site.submit(Action.RECOVER_PASSWORD).status_code == 200
                return names

            def __getattr__(self, name: str) -> Any:
                return getattr(keeper.changes, name)

        assert replace(keeper, changes=Slower()).put_in_force(two.site.time.now()) == 0
        two.site.next_code()
        assert two.site.login().status_code == 200

    @pytest.mark.parametrize("sections", [COOLING_OFF], indirect=True)
    def test_either_it_is_in_force_or_it_is_cancelled(self, two: Two) -> None:
        password, new = PASSWORD, NEW_PASSWORD
        for number in range(ROUNDS):
            two.site.next_code()
            assert two.site.submit(Action.RECOVER_PASSWORD, new_password=new).status_code == 200
            two.site.time.moment += timedelta(hours=1)
            site, due = two.worker(number), due_changes(two.other)
            now = two.site.time.now()
            calls: list[Callable[[], Any]] = [
                lambda site=site, known=password: site.submit(Action.CANCEL, password=known).status_code == 200,
                lambda due=due, now=now: due(now) == 1,
            ]
            cancelled, put = two.at_once(calls[:: (-1) ** number])[:: (-1) ** number]
            assert {cancelled, put} == {True, False}
            if put:
                password, new = new, password
            two.site.next_code()
            assert two.site.login(password=password).status_code == 200


class TestLogInMeanwhile:
    """A log in that was judged by the old factor, and is decided after the new one is in force."""

    @pytest.mark.parametrize("is_opened_first", [True, False])
    @pytest.mark.parametrize(
        "action", [Action.RECOVER_TOTP, Action.RECOVER_PASSWORD, Action.RECOVER_FACE, Action.UPDATE_MAC]
    )
    def test_the_old_factor_lets_nobody_in(
        self, two: Two, slow: Callable[[], Slow], action: Action, is_opened_first: bool
    ) -> None:
        recovery, late = slow(), slow()
        steps: list[Callable[[], None]] = [
            lambda: self._begin_recovery(two, recovery, action),
            lambda: self._begin_login(two, late),
        ]
        for step in reversed(steps) if is_opened_first else steps:
            step()
        done = recovery.end()
        assert done.status_code == 200 and "pending" not in done.json, done.text
        assert late.end().status_code == 403
        assert "changed" in json.loads(two.rows("login")[-1].detail)["why"]

    @staticmethod
    def _begin_recovery(two: Two, worker: Slow, action: Action) -> None:
        if action is Action.RECOVER_TOTP:
            pending = two.site.submit(action)
            worker.begin(lambda site: confirm(site, pending))
        elif action is Action.UPDATE_MAC:
            worker.begin(lambda site: site.submit(action, kiosk=site.other_kiosk))
        else:
            worker.begin(lambda site: site.submit(action, new_who="older ada"))

    @staticmethod
    def _begin_login(two: Two, worker: Slow) -> None:
        two.site.time.moment += timedelta(seconds=1)
        code = pyotp.TOTP(SECRET).at(two.site.time.now() + timedelta(seconds=30))
        worker.begin(lambda site: site.login(totp=code))

    @pytest.mark.parametrize("is_made_again", [False, True])
    def test_a_deleted_account_lets_nobody_in(self, two: Two, slow: Callable[[], Slow], is_made_again: bool) -> None:
        late = slow()
        late.begin(lambda site: site.login())
        assert two.site.services.accounts.delete("ada")
        if is_made_again:
            pending = register(two.site, invite(two.site, "ada"), "ada")
            assert confirm(two.site, pending).status_code == 200
        assert late.end().status_code == 403
        assert not any(row.success for row in two.rows("login"))

    @pytest.mark.parametrize("act", ["disable", "unbind", "bind"])
    def test_what_an_administrator_did_meanwhile_counts(self, two: Two, slow: Callable[[], Slow], act: str) -> None:
        late = slow()
        late.begin(lambda site: site.login())
        accounts, now = two.site.services.accounts, two.site.time.now()
        acts: dict[str, Callable[[], bool]] = {
            "disable": lambda: accounts.set_enabled("ada", False),
            "unbind": lambda: accounts.unbind("ada", two.site.kiosk.mac, now),
            "bind": lambda: accounts.bind("ada", two.site.other_kiosk.mac, now),
        }
        assert acts[act]()
        assert late.end().status_code == 403

    def test_log_ins_and_recoveries_at_once_leave_one_password(self, two: Two) -> None:
        password, new = PASSWORD, NEW_PASSWORD
        for number in range(ROUNDS):
            two.site.next_code()
            step = two.site.time.now()
            codes = [pyotp.TOTP(SECRET).at(step + timedelta(seconds=30 * away)) for away in (0, 1)]
            sites = [two.worker(number + extra) for extra in range(3)]
            calls: list[Callable[[], Any]] = [
                lambda site=sites[0], code=codes[0], new=new: site.submit(
                    Action.RECOVER_PASSWORD, totp=code, new_password=new
                ),
                lambda site=sites[1], code=codes[1], known=password: site.login(totp=code, password=known),
                lambda site=sites[2], code=codes[1], known=new: site.login(totp=code, password=known),
            ]
            recovered, with_old, with_new = two.at_once(calls)
            assert with_old.status_code != 200 or with_new.status_code != 200
            if recovered.status_code == 200:
                password, new = new, password
            two.site.next_code()
            two.site.next_code()
            assert two.site.login(password=password).status_code == 200


def test_a_change_of_a_person_who_was_disabled_meanwhile_is_not_put_in_force(two: Two) -> None:
    pending = two.site.submit(Action.RECOVER_TOTP)
    assert two.site.services.accounts.set_enabled("ada", False)
    assert confirm(two.site, pending).status_code == 409
    two.site.services.accounts.set_enabled("ada", True)
    two.site.next_code()
    assert two.site.login().status_code == 200


def test_one_attempt_is_decided_once_by_two_workers(two: Two) -> None:
    attempt = two.site.open()
    body = json.dumps(two.site.fields(attempt)).encode()
    workers = [two.worker(number) for number in range(8)]
    posts = [lambda site=site: site.post(paths.LOGIN, body, nonce=attempt["nonce"]) for site in workers]
    assert reasons(two.at_once(posts)) == {"granted": 1, "start_again": 7}


class HeldLook:
    """Compares faces as a worker's own does; what it saw is handed on once the test lets it."""

    def __init__(self, services: Services) -> None:
        effects = services.authenticator.effects
        self.is_reached, self.may_go_on = threading.Event(), threading.Event()
        self._real = effects.duplicates
        self.settle = self._real.settle
        object.__setattr__(effects, "duplicates", self)

    def look(self, *asked: Any) -> Any:
        looked = self._real.look(*asked)
        self.is_reached.set()
        assert self.may_go_on.wait(SHORT_S), "the test let nobody go on"
        return looked


def test_of_two_registrations_of_one_face_at_once_one_is_put_in_force(two: Two) -> None:
    """Both looked at all faces before either was stored: what decides is the look under the write lock."""
    names = ("bob", "cy")
    workers = [two.worker(number) for number in range(2)]
    pending = [
        worker.submit(Action.REGISTER, username=name, permission=invite(two.site, name), new_who="eve")
        for worker, name in zip(workers, names, strict=True)
    ]
    assert [one.status_code for one in pending] == [200, 200]
    held = [HeldLook(worker.services) for worker in workers]
    with ThreadPoolExecutor(2) as pool:
        replies = [pool.submit(confirm, *one) for one in zip(workers, pending, strict=True)]
        assert all(one.is_reached.wait(SHORT_S) for one in held)
        for one in held:
            one.may_go_on.set()
        assert sorted(reply.result(SHORT_S).status_code for reply in replies) == [200, 403]
    assert sum(two.site.services.accounts.find(name) is not None for name in names) == 1
