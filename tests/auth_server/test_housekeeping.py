"""What a worker does between requests: checkpoints for what was written, an end to what has expired."""

import json
import threading
import time
from dataclasses import asdict
from datetime import timedelta
from types import SimpleNamespace

import pytest
from prometheus_client import REGISTRY
from sqlalchemy import delete

from auth_contract.actions import Action
from auth_server.attempts import Attempts
from auth_server.audit import AuditLog
from auth_server.bootstrap import new_token
from auth_server.checkpoints import Checkpoints
from auth_server.domain import AuditEntry
from auth_server.errors import KeyringRefused, Unavailable
from auth_server.housekeeping import Housekeeping
from auth_server.kiosks import Kiosks
from auth_server.lockouts import Lockouts
from auth_server.row_budget import BURST, RowBudget
from auth_server.store.models import ACCESS_LOGS


def entry(reason="denied"):
    return AuditEntry("login", False, reason, "ada", "kiosk-1", None, {})


@pytest.fixture
def audit(database):
    return AuditLog(database)


@pytest.fixture
def checkpoints(tmp_path, keyring):
    return Checkpoints(tmp_path / "audit.jsonl", keyring.audit)


@pytest.fixture
def row_budget():
    return RowBudget()


@pytest.fixture
def housekeeping(database, audit, checkpoints, row_budget, now):
    def make(*, every_s=3600.0, audit=audit, at=now, attempts=None, whole_log_chores=None):
        return Housekeeping(
            audit=audit,
            checkpoints=checkpoints,
            chores={
                "attempts": (attempts or Attempts(database, new_token)).prune,
                "lockouts": Lockouts(database).prune,
            },
            whole_log_chores=whole_log_chores or {},
            row_budget=row_budget,
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
    assert checkpoints.verify(audit.chain()).proved_to == 2


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


def rolled_back(database, rows):
    """An older copy of the database is put back: what was written after so many rows is gone."""
    with database.transaction() as session:
        session.execute(delete(ACCESS_LOGS).where(ACCESS_LOGS.c.id > rows))


def incidents_counted():
    return REGISTRY.get_sample_value("fourauth_incidents_total")


@pytest.fixture
def signed(housekeeping, audit, now):
    """A keeper that has signed three rows."""
    for _ in range(3):
        audit.record(entry(), now)
    keeper = housekeeping()
    keeper.run()
    return keeper


@pytest.mark.parametrize("written_since", [0, 1, 2, 5])
def test_a_log_that_was_rolled_back_is_never_signed_however_far_it_grows(
    database, signed, audit, checkpoints, now, incidents, written_since
):
    rolled_back(database, 1)
    for _ in range(written_since):
        audit.record(entry(), now)
    before = incidents_counted()
    signed.run()
    signed.run()
    assert signed_rows(checkpoints) == [3]
    assert [found["chore"] for found in incidents] == ["checkpoint"] * 2
    assert all("audit accept-restore" in found["why"] for found in incidents)
    assert incidents_counted() == before + 2
    assert "audit accept-restore" in signed.log_fault
    with pytest.raises(Unavailable, match="not the one that was signed") as refused:
        signed.require_signed_log()
    assert refused.value.retry_after_s == 3600


def test_what_an_older_copy_waits_for_is_not_put_in_force(database, signed, housekeeping):
    done = []
    housekeeping(whole_log_chores={"due": done.append}).run()
    assert len(done) == 1
    rolled_back(database, 1)
    housekeeping(whole_log_chores={"due": done.append}).run()
    assert len(done) == 1


def test_keys_that_are_not_the_others_any_more_keep_everybody_out_until_the_next_start(housekeeping):
    def note(now):
        raise KeyringRefused("auth-2 does not know the field key")

    keeper = housekeeping(attempts=SimpleNamespace(prune=note))
    keeper.run()
    keeper.run()
    assert (keeper.keys_fault, keeper.log_fault) == ("auth-2 does not know the field key", None)
    with pytest.raises(Unavailable, match="the keys are not those of the other servers"):
        keeper.require_signed_log()


def test_a_log_without_a_fault_keeps_nobody_out(signed):
    assert signed.log_fault is None
    signed.require_signed_log()


def test_the_fault_is_known_before_the_first_request(database, signed, housekeeping):
    rolled_back(database, 1)
    keeper = housekeeping(attempts=SimpleNamespace(prune=lambda now: None))
    keeper.start()
    assert keeper.log_fault is not None
    keeper.stop()


def test_the_right_database_put_back_ends_it(database, signed, audit, now):
    rows = [row for number in (1, 2, 3) if (row := audit.show(number))]
    rolled_back(database, 1)
    signed.run()
    with database.transaction() as session:
        session.execute(ACCESS_LOGS.insert(), [asdict(row) for row in rows[1:]])
    signed.run()
    assert signed.log_fault is None


def test_accepting_the_restore_ends_it(database, signed, audit, checkpoints, keyring, now):
    rolled_back(database, 1)
    signed.run()
    checkpoints.accept_restore(audit, now)
    signed.run()
    assert signed.log_fault is None
    audit.record(entry(), now)
    signed.run()
    assert signed_rows(checkpoints) == [3, 1, 2]
    report = checkpoints.verify(audit.chain())
    assert report.ok and report.proved_to == 2


def test_another_fault_meanwhile_does_not_clear_it_and_alone_keeps_nobody_out(database, signed, tmp_path):
    file, aside = tmp_path / "audit.jsonl", tmp_path / "aside"
    file.rename(aside)
    file.mkdir()
    signed.run()
    assert signed.log_fault is None, "the disk is not the log"
    file.rmdir()
    aside.rename(file)
    rolled_back(database, 1)
    signed.run()
    file.rename(aside)
    file.mkdir()
    signed.run()
    assert signed.log_fault is not None


def test_refusals_beyond_the_budget_get_one_row_for_each_source(housekeeping, audit, row_budget):
    for source, count in (("192.0.2.1", int(BURST) + 3), ("192.0.2.2", int(BURST) + 1), ("192.0.2.3", 1)):
        for _ in range(count):
            row_budget.spend(source)
    housekeeping().run()
    rows = {row.source_address: row for row in audit.rows() if row.action == "refusals"}
    assert {source: json.loads(row.detail)["unwritten"] for source, row in rows.items()} == {
        "192.0.2.1": 3,
        "192.0.2.2": 1,
    }


def test_a_checkpoint_file_that_cannot_be_written_is_a_fault_that_keeps_nobody_out(signed, tmp_path):
    file, aside = tmp_path / "audit.jsonl", tmp_path / "aside"
    file.rename(aside)
    file.mkdir()
    signed.run()
    assert set(signed.faults) == {"checkpoints"}
    signed.require_signed_log()
    file.rmdir()
    aside.rename(file)
    signed.run()
    assert signed.faults == {}


def test_a_fault_does_not_end_the_rounds(housekeeping, audit, checkpoints, now, incidents):
    failed = threading.Event()

    class FailsOnce:
        def head(self):
            if not failed.is_set():
                failed.set()
                raise RuntimeError("password=Correct horse 7")
            return audit.head()

        def hash_at(self, row_id):
            return audit.hash_at(row_id)

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
