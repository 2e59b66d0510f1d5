"""Decisions are counted by what the person was told, not by the status of the reply."""

import pytest

from auth_server.metrics import OUTCOMES, count_outcome


def counted(reason):
    return OUTCOMES.labels("login", reason)._value.get()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ({"outcome": "granted", "username": "ann"}, "granted"),
        ({"outcome": "refused", "reason": "denied"}, "denied"),
        ({"outcome": "refused", "reason": "capture_again"}, "capture_again"),  # 403 as well
    ],
)
def test_a_decision_is_counted_by_its_reason(reply, reason):
    before = counted(reason)
    count_outcome("login", reply)
    assert counted(reason) == before + 1


@pytest.mark.parametrize("reply", [None, [], {}, {"server_ts_utc": "2026-11-22T12:00:00Z"}])
def test_a_reply_that_decides_nothing_is_not_counted(reply):
    before = counted("granted")
    count_outcome("login", reply)
    assert counted("granted") == before
