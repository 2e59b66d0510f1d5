"""Attempts and request nonces: each is used once, by its own kiosk, while it lasts."""

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from auth_contract.actions import Action, Reason
from auth_contract.limits import ATTEMPT_TTL_S, CLOCK_SKEW_MAX_S
from auth_server.attempts import ATTEMPT_KEPT_S, NONCE_KEPT_S, Attempts, remember_nonce
from auth_server.errors import AttemptRefused, KioskRefused, StoreError
from auth_server.kiosks import Kiosks
from auth_server.store.database import Database


@pytest.fixture
def attempts(database: Database) -> Attempts:
    """No attempt yet, two kiosks, and tokens that count."""
    kiosks, numbers = Kiosks(database), itertools.count()
    kiosks.add("lobby", bytes(32), "02:00:5e:10:00:01")
    kiosks.add("annex", bytes(32), "02:00:5e:10:00:02")
    return Attempts(database, lambda: f"{next(numbers):022}")


def _consume(attempts: Attempts, nonce: str, now: datetime, kiosk_id: str = "lobby"):
    return attempts.consume(kiosk_id=kiosk_id, nonce=nonce, action=Action.LOGIN, now=now)


def _refusal(attempts: Attempts, nonce: str, now: datetime, kiosk_id: str = "lobby") -> object:
    with pytest.raises(AttemptRefused) as refusal:
        _consume(attempts, nonce, now, kiosk_id)
    assert refusal.value.reason is Reason.START_AGAIN
    return refusal.value.detail["attempt"]


def test_an_opened_attempt_is_consumed_once(attempts: Attempts, now: datetime):
    opened = attempts.open(kiosk_id="lobby", action=Action.LOGIN, now=now)
    assert opened.expires_at == now + timedelta(seconds=ATTEMPT_TTL_S)
    assert opened.nonce != opened.attempt_id
    later = now + timedelta(seconds=5)
    consumed = _consume(attempts, opened.nonce, later)
    assert consumed == type(opened)(
        opened.attempt_id, "lobby", Action.LOGIN, opened.nonce, now, opened.expires_at, used_at=later
    )
    assert _refusal(attempts, opened.nonce, later) == "used"


@pytest.mark.parametrize(
    ("after_s", "outcome"),
    [(0, None), (ATTEMPT_TTL_S - 0.000001, None), (ATTEMPT_TTL_S, "expired"), (ATTEMPT_TTL_S + 3600, "expired")],
)
def test_an_attempt_lasts_sixty_seconds(attempts: Attempts, now: datetime, after_s: float, outcome: str | None):
    nonce = attempts.open(kiosk_id="lobby", action=Action.LOGIN, now=now).nonce
    then = now + timedelta(seconds=after_s)
    if outcome is None:
        _consume(attempts, nonce, then)
    else:
        assert _refusal(attempts, nonce, then) == outcome


def test_a_foreign_kiosk_is_refused_and_uses_nothing_up(attempts: Attempts, now: datetime):
    nonce = attempts.open(kiosk_id="lobby", action=Action.LOGIN, now=now).nonce
    assert _refusal(attempts, nonce, now, kiosk_id="annex") == "foreign"
    _consume(attempts, nonce, now)


def test_an_unknown_nonce_is_refused(attempts: Attempts, now: datetime):
    attempts.open(kiosk_id="lobby", action=Action.LOGIN, now=now)
    assert _refusal(attempts, "n" * 22, now) == "unknown"


def test_an_attempt_id_is_no_nonce(attempts: Attempts, now: datetime):
    opened = attempts.open(kiosk_id="lobby", action=Action.LOGIN, now=now)
    assert _refusal(attempts, opened.attempt_id, now) == "unknown"


def test_of_fifty_submissions_at_once_in_five_processes_one_is_let_through(
    attempts: Attempts, now: datetime, run_in_processes: Callable[[int, str], list[str]]
):
    nonce = attempts.open(kiosk_id="lobby", action=Action.LOGIN, now=now).nonce
    lines = run_in_processes(
        5,
        f"""
from auth_contract.actions import Action
from auth_server.attempts import Attempts
from auth_server.errors import AttemptRefused
attempts = Attempts(database, str)
wait_for_all()
def work(_):
    try:
        return attempts.consume(kiosk_id="lobby", nonce={nonce!r}, action=Action.LOGIN, now=now).attempt_id
    except AttemptRefused as refusal:
        return refusal.detail["attempt"]
for outcome in in_threads(10, work):
    print(outcome)
""",
    )
    assert sorted(lines) == sorted(["0" * 22] + ["used"] * 49)


class TestRequestNonces:
    """A signed request that came before is a replay."""

    def test_a_nonce_is_taken_once_from_each_kiosk(self, attempts: Attempts, now: datetime):
        attempts.remember_nonce("lobby", "n" * 22, now)
        attempts.remember_nonce("annex", "n" * 22, now)
        attempts.remember_nonce("lobby", "m" * 22, now)
        with pytest.raises(KioskRefused, match="replayed") as refusal:
            attempts.remember_nonce("lobby", "n" * 22, now + timedelta(seconds=60))
        assert refusal.value.reason is Reason.KIOSK_REFUSED

    def test_it_can_share_the_callers_transaction(self, attempts: Attempts, database: Database, now: datetime):
        with pytest.raises(RuntimeError), database.transaction() as session:
            remember_nonce(session, "lobby", "n" * 22, now)
            raise RuntimeError
        remember_nonce(database, "lobby", "n" * 22, now)

    def test_it_can_be_remembered_together_with_an_attempt(self, attempts: Attempts, now: datetime):
        attempts.open(kiosk_id="lobby", action=Action.LOGIN, now=now, request_nonce="n" * 22)
        with pytest.raises(KioskRefused):
            attempts.open(kiosk_id="lobby", action=Action.LOGIN, now=now, request_nonce="n" * 22)

    def test_it_is_kept_for_as_long_as_its_signature_could_be_fresh(self, attempts: Attempts, now: datetime):
        """Signed by a clock 120 s ahead, a request is fresh until that clock is 120 s behind."""
        assert NONCE_KEPT_S > 2 * CLOCK_SKEW_MAX_S
        attempts.remember_nonce("lobby", "n" * 22, now)
        attempts.prune(now + timedelta(seconds=2 * CLOCK_SKEW_MAX_S))
        with pytest.raises(KioskRefused):
            attempts.remember_nonce("lobby", "n" * 22, now)

    def test_of_twenty_replays_at_once_one_passes(self, attempts: Attempts, run_in_processes):
        lines = run_in_processes(
            2,
            """
from auth_server.attempts import remember_nonce
from auth_server.errors import KioskRefused
wait_for_all()
def work(_):
    try:
        remember_nonce(database, "lobby", "n" * 22, now)
        return "passed"
    except KioskRefused:
        return "refused"
for outcome in in_threads(10, work):
    print(outcome)
""",
        )
        assert sorted(lines) == ["passed"] + ["refused"] * 19


def test_what_has_expired_is_forgotten_after_a_while(attempts: Attempts, now: datetime):
    nonce = attempts.open(kiosk_id="lobby", action=Action.LOGIN, now=now).nonce
    attempts.remember_nonce("lobby", "n" * 22, now)
    assert attempts.prune(now + timedelta(seconds=NONCE_KEPT_S)) == 0
    assert attempts.prune(now + timedelta(seconds=NONCE_KEPT_S + 1)) == 1
    assert _refusal(attempts, nonce, now + timedelta(seconds=ATTEMPT_KEPT_S)) == "expired"
    assert attempts.prune(now + timedelta(seconds=ATTEMPT_TTL_S + ATTEMPT_KEPT_S + 1)) == 1
    assert _refusal(attempts, nonce, now + timedelta(hours=2)) == "unknown"


def test_an_attempt_belongs_to_a_registered_kiosk(attempts: Attempts, now: datetime):
    with pytest.raises(StoreError, match=r"(?i)foreign key"):
        attempts.open(kiosk_id="nowhere", action=Action.LOGIN, now=now)
