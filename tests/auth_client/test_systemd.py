"""What systemd hears, at a real datagram socket."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from auth_client.systemd import Notifier
from tests.auth_client.manager import Manager


@pytest.fixture(params=["file", "abstract"])
def manager(request, tmp_path: Path) -> Iterator[tuple[Manager, dict[str, str]]]:
    address = str(tmp_path / "notify") if request.param == "file" else f"@4auth-test-{os.getpid()}-{id(request)}"
    made = Manager(address)
    yield made, {"NOTIFY_SOCKET": address}
    made.close()


def test_each_message_is_said_as_systemd_takes_it(manager) -> None:
    there, environment = manager
    notifier = Notifier(environment)
    notifier.ready()
    notifier.stopping()
    assert [there.heard() for _ in range(2)] == ["READY=1", "STOPPING=1"]
    notifier.reloading()
    reloading, monotonic = there.heard().split("\n")
    assert reloading == "RELOADING=1" and monotonic.removeprefix("MONOTONIC_USEC=").isdecimal()


class Rounds:
    """An event that is set after so many waits."""

    def __init__(self, rounds: int) -> None:
        self.waits: list[float] = []
        self._rounds = rounds

    def wait(self, timeout_s: float) -> bool:
        self.waits.append(timeout_s)
        return len(self.waits) > self._rounds


def test_the_watchdog_is_fed_while_the_agent_lives_and_not_a_moment_longer(manager) -> None:
    there, environment = manager
    alive = iter([True, True, False, False, True])
    rounds = Rounds(5)
    Notifier(environment | {"WATCHDOG_USEC": "30000000"}).feed(lambda: next(alive), rounds)
    assert [there.heard() for _ in range(3)] == ["WATCHDOG=1"] * 3
    assert there.is_silent()
    assert set(rounds.waits) == {10.0}, "a third of the time: two may be late"


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": ""}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "9000000", "WATCHDOG_PID": "1"}],
)
def test_without_a_watchdog_for_this_process_nothing_is_fed(environment) -> None:
    rounds = Rounds(5)
    Notifier(environment).feed(lambda: True, rounds)
    assert rounds.waits == []


def test_a_manager_that_does_not_listen_is_no_reason_to_end(tmp_path) -> None:
    Notifier({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
    Notifier({}).ready()


def test_without_a_manager_nothing_is_looked_at() -> None:
    def answers() -> bool:
        raise AssertionError("nobody would hear it")

    Notifier({"WATCHDOG_USEC": "3000000"}).attend(answers, Rounds(5))


def test_it_is_ready_when_it_first_answers_and_feeds_while_it_does(manager) -> None:
    there, environment = manager
    answers = iter([False, False, True, True, False, True])
    rounds = Rounds(5)
    Notifier(environment | {"WATCHDOG_USEC": "30000000"}).attend(lambda: next(answers), rounds)
    assert [there.heard() for _ in range(3)] == ["READY=1", "WATCHDOG=1", "WATCHDOG=1"]
    assert there.is_silent()
    assert rounds.waits == [0.2, 0.2, 10.0, 10.0, 10.0, 10.0]


def test_stopped_before_it_ever_answered_it_was_never_ready(manager) -> None:
    there, environment = manager
    Notifier(environment).attend(lambda: False, Rounds(3))
    assert there.is_silent()


def test_what_is_taken_out_of_the_environment_no_child_inherits(manager, monkeypatch) -> None:
    there, environment = manager
    for name, value in {**environment, "WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}.items():
        monkeypatch.setenv(name, value)
    notifier = Notifier.taken()
    assert not {name for name in os.environ if name.startswith(("NOTIFY_", "WATCHDOG_"))}
    notifier.ready()
    assert there.heard() == "READY=1" and notifier.interval_s == 1.0
