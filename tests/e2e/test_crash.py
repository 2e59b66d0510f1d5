"""A server that is killed, stopped or loses a worker: what was granted stays written, nothing counts twice."""

import collections
import os
import signal
import threading
import time
from contextlib import closing
from datetime import UTC, datetime

import bcrypt
import pytest

from auth_client.errors import Refused, ServerUnavailable
from auth_contract.actions import Action
from auth_contract.messages import AttemptReply
from tests.e2e.sending import Sent, is_used, submit

KILLS = 2
CLIENTS = 4


class Crowd:
    """People who log in one after another in several threads, whatever the server does."""

    def __init__(self, house) -> None:
        self.house = house
        self.sent: list[Sent] = []
        self.faults: list[BaseException] = []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(f"kiosk-{n % 2 + 1}",)) for n in range(CLIENTS)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def grants(self) -> int:
        return sum(sent.jti is not None for sent in list(self.sent))

    def _run(self, kiosk_id) -> None:
        try:
            with closing(self.house.client(kiosk_id)) as client:
                while not self._stop.is_set():
                    self._log_in(client, kiosk_id)
        except BaseException as fault:  # told by the test, in the main thread
            self.faults.append(fault)

    def _log_in(self, client, kiosk_id) -> None:
        try:
            attempt: AttemptReply = client.open_attempt(Action.LOGIN)
        except ServerUnavailable:
            self._stop.wait(0.05)
            return
        submission = self.house.submission(attempt, self.house.person(), kiosk_id=kiosk_id)
        sent = Sent(kiosk_id, attempt.nonce, submission)
        self.sent.append(sent)
        submit(client, sent)


# Python's ssl leaves a socket to the collector where the peer resets it between connection and handshake.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
@pytest.mark.slow
def test_a_server_killed_in_the_middle_of_logins_forgets_no_grant_and_grants_nothing_twice(house):
    began = time.monotonic()
    person = house.person()
    with house.kiosk_process("kiosk-1", **quick_to_recover(house)) as kiosk:
        assert kiosk.enter(house.entry(person)).startswith("Welcome")
        with Crowd(house) as crowd:
            for _ in range(KILLS):
                before = crowd.grants
                house.until(lambda: crowd.grants >= before + 4, 30, "logins")  # noqa: B023 - called here
                house.site.kill_server()
                house.site.start_server()
            house.site.kill_server()
            house.until(lambda: any("Out of service" in line for line in kiosk.screen), 20, "the kiosk notices")
            house.site.start_server()
            before = crowd.grants
            house.until(lambda: crowd.grants >= before + 2, 30, "logins after the last start")
        assert crowd.faults == []
        granted = [sent for sent in crowd.sent if sent.jti is not None]
        lost = [sent for sent in crowd.sent if sent.is_lost]
        assert lost, "no kill came in the middle of a login"
        answer = kiosk.enter(house.entry(person))
        while answer.startswith("Out of service"):  # said while the server was down
            answer = kiosk.answer()
        assert answer.startswith("Welcome"), "the kiosk did not recover by itself"

    # No accepted login is missing from the audit log.
    rows = house.grants()
    written = {house.detail(row)["assertion"]: row for row in rows}
    for sent in granted:
        row = written[sent.jti]
        assert (row.username, row.kiosk_id) == (sent.submission.username, sent.kiosk_id)
        assert house.detail(row)["attempt"] == sent.submission.attempt_id

    # No attempt and no code is usable twice, neither as it was sent nor in a new attempt.
    for sent in [*granted, *lost, *lost]:
        resend(house, sent)
    for sent in granted[:6]:
        use_code_again(house, sent)
    rows = house.grants()
    attempts = collections.Counter(house.detail(row)["attempt"] for row in rows)
    codes = collections.Counter((row.username, house.detail(row)["verdicts"]["totp"]["step"]) for row in rows)
    assert max(attempts.values()) == 1
    assert max(codes.values()) == 1

    report = house.verify()
    assert report.ok, report.findings
    assert time.monotonic() - began < 90


def quick_to_recover(house):
    """Settings of a kiosk that looks for its server every second."""
    url, pins = f"https://127.0.0.1:{house.site.port}", [house.site.pin]
    return {"server": {"url": url, "pins": pins, "heartbeat_s": 1.0}}


def resend(house, sent: Sent) -> None:
    """Send a submission again. Only one whose reply was lost may be granted now, if it never arrived."""
    again = Sent(sent.kiosk_id, sent.nonce, sent.submission)
    with closing(house.client(sent.kiosk_id)) as client:
        submit(client, again)
    assert not again.is_lost
    if sent.is_lost:
        sent.is_lost = False
    else:
        assert again.reason == "start_again"


def use_code_again(house, sent: Sent) -> None:
    """Try the code of a granted login in a new attempt."""
    with closing(house.client(sent.kiosk_id)) as client:
        attempt = client.open_attempt(Action.LOGIN)
        changes = {"attempt_id": attempt.attempt_id, "client_ts_utc": datetime.now(UTC)}
        with pytest.raises(Refused) as refused:
            client.submit(Action.LOGIN, sent.submission.model_copy(update=changes), attempt.nonce)
    assert refused.value.reply.reason == "denied"


@pytest.fixture
def slow_person(house):
    """Somebody whose password takes a second to judge."""
    person = type(house.person())("slow person")
    return house.enrol(person, bcrypt.hashpw(person.password.encode(), bcrypt.gensalt(14)))


def test_sigterm_lets_a_login_in_flight_finish_and_signs_the_last_row(house, slow_person):
    sent: list[Sent] = []

    def log_in() -> None:
        with closing(house.client()) as client:
            attempt = client.open_attempt(Action.LOGIN)
            sent.append(Sent("kiosk-1", attempt.nonce, house.submission(attempt, slow_person)))
            submit(client, sent[0])

    with house.store() as (database, _):
        thread = threading.Thread(target=log_in)
        thread.start()
        house.until(lambda: bool(sent) and is_used(database, sent[0].nonce), 10, "the attempt is used")
    assert thread.is_alive()
    server = house.site.server
    server.send_signal(signal.SIGTERM)
    thread.join(timeout=20)
    assert sent[0].jti is not None, "the login in flight was not answered"
    assert server.wait(timeout=20) == 0
    report = house.verify()
    assert report.ok, report.findings
    assert (report.head.sequence, report.unsigned_rows) == (report.proved_to, 0)
    (row,) = house.rows(slow_person.name)
    assert house.detail(row)["assertion"] == sent[0].jti


def is_ready(house) -> bool:
    """Whether a worker answers that it is ready; a new one may not listen yet."""
    try:
        return house.probe("/readyz")[0] == 200
    except OSError:
        return False


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_worker_that_ends_is_replaced_and_the_metrics_go_on(house, how):
    before = house.worker_pids()
    assert len(before) == 2
    os.kill(before[0], how)
    house.until(lambda: before[0] not in house.worker_pids() and len(house.worker_pids()) == 2, 10, "a new worker")
    # Both workers listen on the local port; each that answers must be able to.
    house.until(lambda: all(is_ready(house) for _ in range(8)), 30, "ready again")
    for _ in range(6):
        assert house.login(house.person()).outcome == "granted"
    status, text = house.probe("/metrics")
    assert status == 200
    assert 'fourauth_outcomes_total{action="login",reason="granted"}' in text
