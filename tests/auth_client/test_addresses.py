"""In which order addresses are tried, by what became of them and when; and what of it is logged."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from auth_client.addresses import Addresses
from auth_client.errors import ServerNotTrusted, ServerUnavailable
from auth_client.settings import ServerSettings

A, B, C = (f"https://auth-{name}.example" for name in "abc")
AWAY_S = 60


class Story:
    """Addresses, and a clock that says what second of the story it is."""

    def __init__(self, *urls: str) -> None:
        self.now_s = 0.0
        self.addresses = Addresses(ServerSettings(url=urls, pins=("0" * 64,), away_s=AWAY_S), lambda: self.now_s)

    def tell(self, *events: tuple[float, str, str]) -> "Story":
        for self.now_s, url, what in events:
            if what == "ok":
                self.addresses.answered(url)
            else:
                self.addresses.failed(url, ServerUnavailable(what))
        return self

    def order(self, at_s: float, first: str | None = None) -> str:
        self.now_s = at_s
        return "".join(url[len("https://auth-")] for url in self.addresses.in_order(first))


@pytest.mark.parametrize(
    ("events", "at_s", "order"),
    [
        ([], 0, "abc"),
        ([(0, A, "dead")], 0, "bca"),
        ([(0, B, "dead")], 0, "acb"),
        ([(0, A, "dead")], AWAY_S - 1, "bca"),
        ([(0, A, "dead")], AWAY_S, "abc"),
        ([(0, A, "dead"), (1, A, "ok")], 1, "abc"),
        ([(0, A, "dead"), (50, A, "dead")], AWAY_S + 1, "bca"),
        ([(0, A, "dead"), (30, B, "dead")], 31, "cab"),
        ([(0, A, "dead"), (30, B, "dead")], AWAY_S, "acb"),
        ([(0, C, "dead"), (1, A, "dead"), (2, B, "dead")], 3, "cab"),
        ([(0, A, "dead"), (1, B, "dead"), (2, C, "dead"), (3, B, "ok")], 4, "bac"),
    ],
)
def test_an_address_that_failed_is_last_for_a_while_and_then_in_its_place(events, at_s, order) -> None:
    assert Story(A, B, C).tell(*events).order(at_s) == order


@pytest.mark.parametrize(
    ("events", "first", "order"),
    [
        ([], B, "bac"),
        ([], None, "abc"),
        ([(0, B, "dead")], B, "acb"),
        ([(0, A, "dead")], C, "cba"),
    ],
)
def test_one_that_is_asked_for_is_first_unless_it_failed(events, first, order) -> None:
    assert Story(A, B, C).tell(*events).order(1, first) == order


def logged(*events: tuple[float, str, str], urls: tuple[str, ...] = (A, B)) -> list[tuple[Any, ...]]:
    with capture_logs() as lines:
        Story(*urls).tell(*events)
    return [(line["event"], line["log_level"], line["address"], line.get("before") or line["error"]) for line in lines]


CHANGED = ("server_changed", "info")
FAILED = ("server_failed", "warning")


@pytest.mark.parametrize(
    ("events", "lines"),
    [
        ([(0, A, "ok"), (1, A, "ok")], []),
        ([(0, A, "dead"), (0, B, "ok"), (1, B, "ok")], [(*FAILED, A, "dead"), (*CHANGED, B, A)]),
        ([(0, A, "dead"), (0, B, "ok"), (60, A, "dead"), (60, B, "ok")], [(*FAILED, A, "dead"), (*CHANGED, B, A)]),
        ([(0, A, "dead"), (1, A, "another key")], [(*FAILED, A, "dead"), (*FAILED, A, "another key")]),
        ([(0, A, "dead"), (1, A, "ok"), (2, A, "dead")], [(*FAILED, A, "dead")] * 2),
        (
            [(0, A, "dead"), (0, B, "ok"), (60, A, "ok")],
            [(*FAILED, A, "dead"), (*CHANGED, B, A), (*CHANGED, A, B)],
        ),
        # A submission at the server that opened its attempt, while the first is wanted again.
        (
            [(0, A, "dead"), (0, B, "ok"), (60, A, "ok"), (61, B, "ok")],
            [(*FAILED, A, "dead"), (*CHANGED, B, A), (*CHANGED, A, B)],
        ),
    ],
)
def test_each_change_and_each_new_reason_is_logged_once(events, lines) -> None:
    assert logged(*events) == lines


def test_a_single_address_is_the_callers_to_tell_of() -> None:
    assert logged((0, A, "dead"), (1, A, "ok"), urls=(A,)) == []
    addresses = Story(A).addresses
    addresses.failed(A, ServerNotTrusted("f" * 64, ("0" * 64,), "auth-a.example:443"))
    assert addresses.strangers == ()


def test_an_address_with_another_key_is_remembered_until_it_shows_the_right_one() -> None:
    addresses = Story(A, B).addresses
    addresses.failed(A, ServerUnavailable("dead"))
    addresses.failed(B, ServerNotTrusted("f" * 64, ("0" * 64,), "auth-b.example:443"))
    addresses.failed(B, ServerUnavailable("dead"))
    assert addresses.strangers == (B,)
    addresses.answered(B)
    assert addresses.strangers == ()
