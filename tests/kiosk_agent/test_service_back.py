"""A server that is away for long, and a clock that is put off: the kiosk says what is wrong, and is back soon.

Time is the test's own: it moves only by what the agent waits.
"""

import json
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime

import pytest

from auth_contract.limits import CLOCK_SKEW_MAX_S
from kiosk_agent.bootstrap import build
from kiosk_agent.events import Cancelled, Cause, Entered, Step, Typed
from tests.kiosk_agent.conftest import DROP
from tests.kiosk_agent.test_agent import LINES, Kiosk

AWAY_S = 600.0
BACK_WITHIN_S = 10.0
BEAT, ATTEMPTS = "/v1/heartbeat", "/v1/attempts"


class WallClock:
    """What the kiosk believes the time to be: it can be put off, which no interval notices."""

    def __init__(self, clock) -> None:
        self._clock = clock
        self.off_s = 0.0

    def now(self):
        return self._clock.now() + timedelta(seconds=self.off_s)


@pytest.fixture
def wall(clock) -> WallClock:
    return WallClock(clock)


@pytest.fixture
def kiosk(tmp_path, server, make_settings, around, clock, wall):
    """A kiosk whose clock can be put off, at a server that refuses whoever is too far from its own time."""
    (tmp_path / "script").write_text("\n".join(map(json.dumps, LINES)))
    around = replace(around, now=wall.now)
    services = build(make_settings(server={"url": server.url, "pins": [server.pin]}), around)
    server.kiosk_key, server.now = services.identity.key.public_key(), clock.now
    good = {path: server.answers[path][0] for path in (BEAT, ATTEMPTS)}

    def by_time(request):
        if abs(wall.off_s) <= CLOCK_SKEW_MAX_S:
            answer = good[request.path]
            return answer(request) if callable(answer) else answer
        date = ("Date", format_datetime(clock.now(), usegmt=True))
        return replace(server.refusal("kiosk_refused", 401), headers=(date,))

    server.by_time = by_time
    for path in good:
        server.answer(path, by_time)
    yield Kiosk(services, clock, 99)
    services.close()


class Waits:
    """The heartbeat's flag: tells the agent what each beat found, and ends the fault when its time has come."""

    def __init__(self, kiosk: Kiosk, clock, end_fault, after_s: float) -> None:
        self._kiosk, self._clock, self._end_fault = kiosk, clock, end_fault
        self._began, self._after_s = clock.moved_s, after_s
        self.ended_at: float | None = None
        self.back_after_s = 0.0
        self.steps: list[Step] = []

    def put(self, event) -> None:
        self._kiosk.agent.handle(event)
        self.steps.append(self._kiosk.agent.session.step)

    def wait(self, seconds: float) -> bool:
        if self.ended_at is not None and self.steps[-1] is Step.ATTRACT:
            self.back_after_s = self._clock.moved_s - self.ended_at
            return True
        if self.ended_at is None and self._clock.moved_s - self._began >= self._after_s:
            self.ended_at = self._clock.moved_s
            self._end_fault()
        self._clock.moved_s += seconds
        return False


def test_a_server_that_is_away_for_ten_minutes(kiosk, server, clock) -> None:
    for event in [*map(Typed, "alice"), Entered(), *map(Typed, "Secr")]:
        kiosk.agent.handle(event)
    server.answer(BEAT, DROP)
    kiosk.agent.handle(kiosk.services.heartbeat.beat())
    assert kiosk.agent.session.step is Step.PASSWORD, "a session under way is not broken off by a beat that got lost"
    kiosk.agent.handle(Cancelled())
    waits = Waits(kiosk, clock, lambda: server.answer(BEAT, server.by_time), AWAY_S)
    kiosk.services.heartbeat.run(waits.put, waits, 30.0)
    assert set(waits.steps[:-1]) == {Step.OUT_OF_SERVICE}, "all the time, without a flicker"
    assert len(waits.steps) > AWAY_S / 5, "asked often"
    assert waits.back_after_s < BACK_WITHIN_S
    assert "RemoteDisconnected" in server.at(BEAT)[-1].json["state"]["last_error"], "the server hears of it"
    assert not kiosk.agent.session.has_secret and kiosk.door.opened_for == []


def test_a_beat_that_is_lost_while_the_server_is_started_anew_sends_nobody_away(kiosk, server, clock) -> None:
    steps = []

    class Twice:
        """The flag of a heartbeat that runs twice: the second time its first question is lost."""

        def wait(self, _seconds: float) -> bool:
            if len(steps) == 1:
                lost = [DROP] * (1 + kiosk.services.settings.server.retries)
                server.answer(BEAT, *lost, server.by_time)
            return len(steps) == 2

    def put(event) -> None:
        kiosk.agent.handle(event)
        steps.append(kiosk.agent.session.step)

    kiosk.services.heartbeat.run(put, Twice(), 30.0)
    assert steps == [Step.ATTRACT, Step.ATTRACT]


@pytest.mark.parametrize("off_s", [3600.0, -3600.0, CLOCK_SKEW_MAX_S + 2])
def test_a_clock_that_is_put_off_at_rest(off_s, kiosk, server, clock, wall) -> None:
    wall.off_s = off_s
    causes = []
    waits = Waits(kiosk, clock, lambda: setattr(wall, "off_s", 0.0), 60.0)

    def put(event) -> None:
        waits.put(event)
        causes.append(getattr(event, "cause", None))

    kiosk.services.heartbeat.run(put, waits, 30.0)
    assert set(causes[:-1]) == {Cause.CLOCK}
    assert set(waits.steps[:-1]) == {Step.OUT_OF_SERVICE}
    assert waits.back_after_s < BACK_WITHIN_S


def test_a_clock_that_is_put_off_while_somebody_types(kiosk, server, clock, wall) -> None:
    agent = kiosk.agent
    for event in [*map(Typed, "alice"), Entered(), *map(Typed, "Secret-Pass"), Entered(), *map(Typed, "424242")]:
        agent.handle(event)
    wall.off_s = 3600.0
    agent.handle(Entered())
    for _ in range(4):
        agent.turn()
    assert agent.session.step is Step.OUT_OF_SERVICE
    assert not agent.session.has_secret and kiosk.door.opened_for == []
    assert not [secret for secret in ("Secret-Pass", "424242") if secret in kiosk.screen.everything]
    wall.off_s = 0.0
    agent.handle(kiosk.services.heartbeat.beat())
    assert agent.session.step is Step.ATTRACT
