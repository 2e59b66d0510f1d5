"""Fifty submissions of one good code at one moment, on two worker processes."""

import threading
from collections import Counter
from contextlib import ExitStack, closing

from auth_client.errors import Refused
from auth_contract.actions import Action

PARALLEL = 50


def test_of_fifty_parallel_submissions_of_one_code_exactly_one_is_granted(house):
    assert len(house.worker_pids()) == 2
    person = house.person()
    code = person.code()
    barrier = threading.Barrier(PARALLEL)
    answers: list[str] = []

    def submit(client, attempt) -> None:
        submission = house.submission(attempt, person, code)
        barrier.wait(timeout=30)
        try:
            client.submit(Action.LOGIN, submission, attempt.nonce)
            answers.append("granted")
        except Refused as refused:
            answers.append(refused.reply.reason.value)

    with ExitStack() as opened:
        # The wait for a place in the face queue counts too, and fifty handshakes at once take a while.
        clients = [opened.enter_context(closing(house.client(connect_timeout_s=30))) for _ in range(PARALLEL)]
        attempts = [client.open_attempt(Action.LOGIN) for client in clients]
        threads = [threading.Thread(target=submit, args=pair) for pair in zip(clients, attempts, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    counts = Counter(answers)
    assert counts["granted"] == 1, counts
    assert set(counts) <= {"granted", "denied", "locked", "unavailable"}, counts
    assert counts.total() == PARALLEL
    assert len(house.grants(person.name)) == 1
    assert len(house.rows(person.name)) == PARALLEL
    assert house.verify().ok
