"""What a worker does between requests: checkpoints for what was written, an end to what has expired."""

import threading
import time
from datetime import timedelta
from types import SimpleNamespace

import pytest

from auth_contract.actions import Action
from auth_server.attempts import Attempts
from auth_server.audit import AuditLog, verify_chain
from auth_server.bootstrap import new_token
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry
from auth_server.housekeeping import Housekeeping
from auth_server.kiosks import Kiosks
from auth_server.lockouts import Lockouts


def entry(reason="denied"):
    return AuditEntry("login", False, reason, "ada", "kiosk-1", None, {})


@pytest.fixture
def audit(database):
    return AuditLog(database)


@pytest.fixture
def checkpoints(tmp_path, keyring):
    return Checkpoints(tmp_path / "audit.jsonl", keyring.audit_key)


@pytest.fixture
def housekeeping(database, audit, checkpoints, now):
    def make(*, every_s=3600.0, audit=audit, at=now):
        return Housekeeping(
            audit=audit,
            checkpoints=checkpoints,
            attempts=Attempts(database, new_token),
            lockouts=Lockouts(database),
            time=SimpleNamespace(now=lambda: at),
            every_s=every_s,
        )

    return make


def signed_rows(checkpoints):
    return [made.sequence for made in checkpoints.read()]


def test_a_round_signs_the_newest_row_once(housekeeping, audit, checkpoints, keyring, now):
    audit.record(entry(), now)
    keeper = housekeeping()
    keeper.run()
    keeper.run()
    assert signed_rows(checkpoints) == [1]
    audit.record(entry(), now)
    keeper.run()
    assert signed_rows(checkpoints) == [1, 2]
    assert verify_chain(audit.chain(), checkpoints.read(), keyring.audit_key.public_key()).proved_to == 2


def test_the_end_of_a_worker_signs_what_the_last_round_did_not(housekeeping, audit, checkpoints, now):
    keeper = housekeeping()
    keeper.start()
    audit.record(entry(), now)
    keeper.stop()
    assert signed_rows(checkpoints)[-1] == 1


def test_stopping_a_keeper_that_was_never_started_is_no_fault(housekeeping, checkpoints):
    housekeeping().stop()
    assert signed_rows(checkpoints) == []


def test_rounds_go_on_by_themselves(housekeeping, audit, checkpoints, now):
    keeper = housekeeping(every_s=0.02)
    keeper.start()
    try:
        for row in (1, 2):
            audit.record(entry(), now)
            ends = time.monotonic() + 10
            while row not in signed_rows(checkpoints):
                assert time.monotonic() < ends
                time.sleep(0.01)
    finally:
        keeper.stop()


def test_what_has_expired_is_forgotten(database, housekeeping, now):
    Kiosks(database).add("kiosk-1", bytes(range(32)), "02:00:5e:10:00:01")
    attempts = Attempts(database, new_token)
    attempts.open(kiosk_id="kiosk-1", action=Action.LOGIN, now=now, request_nonce="N" * 22)
    keeper = housekeeping(at=now + timedelta(hours=2))
    keeper.run()
    assert attempts.prune(now + timedelta(hours=2)) == 0, "the round left something to forget"


class Overtaken:
    """An audit log as one worker sees it when another signs a newer row just after it looked."""

    def __init__(self, audit, other, now):
        self._audit, self._other, self._now = audit, other, now

    def head(self):
        seen = self._audit.head()
        if self._other is not None:
            other, self._other = self._other, None
            self._audit.record(entry(), self._now)
            other.run()
        return seen


def test_being_overtaken_by_another_worker_is_no_fault(housekeeping, audit, checkpoints, now, incidents):
    audit.record(entry(), now)
    keeper = housekeeping(audit=Overtaken(audit, housekeeping(), now))
    keeper.run()
    assert signed_rows(checkpoints) == [2]
    assert incidents == []


def test_a_log_behind_its_checkpoints_is_reported_and_never_signed(
    database, housekeeping, audit, checkpoints, now, incidents
):
    audit.record(entry(), now)
    audit.record(entry(), now)
    housekeeping().run()
    older = SimpleNamespace(head=lambda: type(audit.head())(1, "0" * 64))
    housekeeping(audit=older).run()
    assert signed_rows(checkpoints) == [2]
    assert [found["chore"] for found in incidents] == ["checkpoint"]


def test_a_fault_does_not_end_the_rounds(housekeeping, audit, checkpoints, now, incidents):
    failed = threading.Event()

    class FailsOnce:
        def head(self):
            if not failed.is_set():
                failed.set()
                raise RuntimeError("password=Correct horse 7")
            return audit.head()

    audit.record(entry(), now)
    keeper = housekeeping(every_s=0.02, audit=FailsOnce())
    keeper.start()
    ends = time.monotonic() + 10
    while not signed_rows(checkpoints):
        assert time.monotonic() < ends
        time.sleep(0.01)
    keeper.stop()
    assert [found["error"] for found in incidents] == ["RuntimeError"]
    assert "horse" not in str(incidents)


@pytest.fixture
def incidents():
    """Every incident reported while the test runs, as its log line has it."""
    from structlog.testing import capture_logs

    with capture_logs() as lines:
        yield lines
