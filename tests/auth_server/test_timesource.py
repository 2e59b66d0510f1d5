"""The clock is trusted, doubted or known to be wrong by what two or more sources agree on."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth_server.errors import StoreError, Unavailable
from auth_server.ntp import NtpRefused, Sample
from auth_server.settings import TimeSettings
from auth_server.timesource import TimeSource, judge

NOW = datetime(2026, 11, 22, 9, 30, tzinfo=UTC)
HONEST = Sample(offset_s=0.01, error_s=0.02)
LATE = Sample(offset_s=120.0, error_s=0.02)


class Sources:
    """NTP servers that say what a test tells them to, and a clock that a test moves."""

    def __init__(self, **says: Sample | Exception) -> None:
        self.says: dict[str, Sample | Exception] = dict(says)
        self.asked: list[str] = []
        self.now = NOW

    def ask(self, source: str) -> Sample:
        self.asked.append(source)
        said = self.says[source]
        if isinstance(said, Exception):
            raise said
        return said

    def clock(self) -> datetime:
        return self.now

    def time(self, stop: Event | None = None, shared: Callable[[], Sample] | None = None) -> TimeSource:
        settings = TimeSettings(sources=tuple(self.says), poll_s=64, max_offset_s=5)
        return TimeSource(settings, ask=self.ask, clock=self.clock, stop=stop, shared=shared)


SILENT = NtpRefused("no answer within 2.0 s")


@pytest.mark.parametrize(
    ("says", "state", "why"),
    [
        ([HONEST, HONEST], "verified", r"2 of 2 sources agree on an offset of \+0\.010 s"),
        ([HONEST, HONEST, LATE], "verified", "2 of 3"),
        ([HONEST, HONEST, SILENT], "verified", "2 of 2"),
        ([HONEST, HONEST, HONEST, LATE, LATE], "verified", "3 of 5"),
        ([LATE, LATE], "wrong", r"\+120\.000 s, more than 5\.0 s"),
        ([LATE, LATE, HONEST], "wrong", "2 of 3"),
        ([HONEST, LATE], "unverified", "no majority"),
        ([HONEST, HONEST, LATE, LATE], "unverified", "no majority"),
        ([HONEST, SILENT], "unverified", "only one source"),
        ([LATE, SILENT, SILENT], "unverified", "only one source"),
        ([SILENT, SILENT], "unverified", "no source"),
    ],
)
def test_a_majority_of_two_or_more_decides(says: list[Sample | Exception], state: str, why: str) -> None:
    sources = Sources(**{f"ntp{number}": said for number, said in enumerate(says)})
    time = sources.time()
    status = time.check()
    assert status.state == state
    assert re.search(why, status.why)
    assert status == time.status()
    assert status.checked_at == NOW
    assert sources.asked == list(sources.says)


def test_the_report_names_every_source_with_its_offset_or_fault() -> None:
    time = Sources(a=HONEST, b=SILENT, c=HONEST, d=LATE, e=RuntimeError("hunter2")).time()
    reports = {report.source: report for report in time.check().sources}
    assert {name: report.agrees for name, report in reports.items()} == {
        "a": True,
        "b": False,
        "c": True,
        "d": False,
        "e": False,
    }
    assert reports["d"].offset_s == 120.0
    assert reports["b"].fault == "no answer within 2.0 s"
    assert reports["e"].fault == "unforeseen RuntimeError"


def test_without_sources_nothing_is_asked_and_the_reason_is_said() -> None:
    time = TimeSource(TimeSettings(), clock=lambda: NOW)
    time.start()
    assert time.status().state == "unverified"
    assert "time.sources is empty" in time.status().why
    assert time.trusted_now() == NOW


def test_a_doubted_clock_still_serves_and_a_wrong_one_does_not() -> None:
    sources = Sources(a=HONEST, b=LATE)
    time = sources.time()
    assert time.trusted_now() == NOW
    time.check()
    assert time.trusted_now() == NOW
    sources.says["a"] = LATE
    time.check()
    with pytest.raises(Unavailable) as caught:
        time.trusted_now()
    assert caught.value.retry_after_s == 64
    assert time.now() == NOW


@pytest.mark.parametrize(
    ("shared", "is_wrong"),
    [(Sample(5.5, 0.1), True), (Sample(-5.5, 0.1), True), (Sample(4.9, 0.0), False), (Sample(8.0, 3.5), False)],
    ids=["behind", "ahead", "near", "far away by a slow line"],
)
@pytest.mark.parametrize("says", [{}, {"a": HONEST, "b": HONEST}], ids=["no sources", "sources that agree"])
def test_a_clock_that_differs_from_the_one_that_all_servers_share_serves_nobody(
    says: dict[str, Sample | Exception], shared: Sample, is_wrong: bool
) -> None:
    time = Sources(**says).time(shared=lambda: shared)
    assert (time.check().state == "wrong") == is_wrong
    if is_wrong:
        assert f"differs by {shared.offset_s:+.3f} s" in time.status().why
        with pytest.raises(Unavailable):
            time.trusted_now()


def test_it_serves_again_once_the_two_agree_and_not_because_nobody_answers() -> None:
    answers: list[Sample | StoreError] = [LATE, StoreError("gone"), HONEST, StoreError("gone")]

    def shared() -> Sample:
        said = answers.pop(0)
        if isinstance(said, StoreError):
            raise said
        return said

    time = Sources().time(shared=shared)
    assert [time.check().state for _ in range(4)] == ["wrong", "wrong", "unverified", "unverified"]


def test_a_wrong_clock_stays_wrong_until_it_is_verified() -> None:
    sources = Sources(a=LATE, b=LATE)
    time = sources.time()
    time.check()
    sources.says = {"a": SILENT, "b": SILENT}
    status = time.check()
    assert (status.state, status.offset_s) == ("wrong", 120.0)
    assert "no source" in status.why
    sources.says = {"a": HONEST, "b": HONEST}
    assert time.check().state == "verified"


@pytest.mark.parametrize("age", [timedelta(hours=1), timedelta(hours=-1)])
def test_an_old_verification_counts_no_more(age: timedelta) -> None:
    sources = Sources(a=HONEST, b=HONEST)
    time = sources.time()
    time.check()
    assert time.status().state == "verified"
    sources.now += age
    assert time.status().state == "unverified"
    assert "3600 s ago" in time.status().why


def test_the_time_is_the_operating_systems_in_utc() -> None:
    before = datetime.now(UTC)
    now = TimeSource(TimeSettings()).now()
    assert before <= now <= datetime.now(UTC)
    assert now.tzinfo is UTC


class Rounds(Event):
    """A stop event that lets some rounds pass at once and then stops: nobody waits."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.left = count
        self.waits: list[float | None] = []
        self.done = Event()

    def wait(self, timeout: float | None = None) -> bool:
        self.waits.append(timeout)
        self.left -= 1
        if self.left == 0:
            self.set()
            self.done.set()
        return self.is_set()


def test_rounds_go_on_in_the_background_whatever_a_source_does() -> None:
    sources = Sources(a=RuntimeError("broken"), b=HONEST, c=HONEST)
    rounds = Rounds(3)
    time = sources.time(stop=rounds)
    time.start()
    time.start()
    assert rounds.done.wait(10)
    assert rounds.waits == [64.0, 64.0, 64.0]
    assert sources.asked == ["a", "b", "c"] * 3
    assert time.status().state == "verified"


def test_nobody_waits_for_a_source_that_hangs() -> None:
    asked, release = Event(), Event()

    def hang(_source: str) -> Sample:
        asked.set()
        release.wait(10)
        return HONEST

    time = TimeSource(TimeSettings(sources=("a", "b")), ask=hang, clock=lambda: NOW)
    time.start()
    assert asked.wait(10)
    assert time.status().state == "unverified"
    assert time.trusted_now() == NOW
    time.stop()
    release.set()


offsets = st.floats(-1000, 1000)
errors = st.floats(0, 1)
samples = st.builds(Sample, offset_s=offsets, error_s=errors)


@given(st.floats(-100, 100), st.lists(st.tuples(errors, st.floats(-1, 1)), min_size=2, max_size=5), st.data())
def test_fewer_liars_than_honest_sources_never_move_the_offset(
    truth: float, honest: list[tuple[float, float]], data: st.DataObject
) -> None:
    told = {f"h{n}": Sample(truth + error * part, error) for n, (error, part) in enumerate(honest)}
    liars = data.draw(st.lists(samples, max_size=len(honest) - 1))
    status = judge(told | {f"l{n}": lie for n, lie in enumerate(liars)}, [], 5.0, NOW)
    assert status.state != "unverified"
    assert status.offset_s is not None
    # A liar may pick a point inside an honest interval, and no more.
    assert any(abs(status.offset_s - said.offset_s) <= said.error_s + 0.001 for said in told.values())


@given(st.dictionaries(st.text(max_size=3), samples, max_size=6))
def test_the_believed_offset_lies_in_more_than_half_of_all_intervals(told: dict[str, Sample]) -> None:
    status = judge(told, [], 5.0, NOW)
    agreeing = [report for report in status.sources if report.agrees]
    if status.state == "unverified":
        assert agreeing == []
        return
    assert len(agreeing) >= 2
    assert 2 * len(agreeing) > len(told)
    assert status.offset_s is not None
    assert (abs(status.offset_s) > 5.0) is (status.state == "wrong")
    for report in agreeing:
        assert abs(status.offset_s - told[report.source].offset_s) <= told[report.source].error_s + 0.002


def test_one_server_named_twice_is_one_source() -> None:
    time = TimeSource(TimeSettings(sources=("a", "a")), ask=lambda _source: HONEST, clock=lambda: NOW)
    assert time.check().state == "unverified"
