"""The loop: waits for what happens, asks the session machine, and does what it says.

One thread runs the loop. Keys, errands and heartbeats come from threads of their own through the
inbox, so that a person can cancel while the server thinks, and no driver can stop the clock.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from functools import partial
from threading import Event as Flag
from threading import Thread

import structlog

from auth_client.systemd import Notifier
from auth_contract.actions import Action
from kiosk_agent import memory
from kiosk_agent.bootstrap import Services
from kiosk_agent.camera_watch import CAMERA_STALL_S, CameraWatch
from kiosk_agent.deadlines import Deadlines
from kiosk_agent.effects import Capture, Effect, Leave, OpenAttempt, OpenDoor, Submit
from kiosk_agent.errands import ErrandThread, place
from kiosk_agent.errors import DoorFault, KioskAgentError
from kiosk_agent.events import (
    Begun,
    Cancelled,
    Changed,
    Cleared,
    Concealed,
    DoorFailed,
    Ending,
    Entered,
    Erased,
    Event,
    Granted,
    MoreTime,
    Outcome,
    ServiceDown,
    Step,
    TimedOut,
    Typed,
    VerifiedAssertion,
)
from kiosk_agent.health import HealthServer
from kiosk_agent.inbox import Inbox, ThreadInbox
from kiosk_agent.keys import KEY_WAIT_S, KeyReader
from kiosk_agent.screen import words
from kiosk_agent.screen.frame import Frame
from kiosk_agent.screen.view import view
from kiosk_agent.session import Session, advance

_TICK_S = 1.0
_PRESSES = (Typed, Erased, Cleared, Entered, Cancelled, MoreTime)
_ONE_DOOR_S, _LAST_DOOR_S = 60.0, 5.0
"""For the door of one login, and for one that is being opened when the agent is told to end."""


class Until(Enum):
    """How long an agent runs: until it is stopped, one login has ended, or a person at its menu got in or left."""

    STOPPED = auto()
    ENDED = auto()
    GRANTED = auto()


Start = Callable[[Callable[[], None]], None]
"""Runs something, perhaps in another thread."""


class Agent:
    """Runs sessions one after another. `start_errand` and `start_door` run what takes time, elsewhere."""

    def __init__(self, services: Services, inbox: Inbox, start_errand: Start, start_door: Start | None = None) -> None:
        self._services = services
        self._inbox = inbox
        self._start_errand = start_errand
        self._start_door = start_door or _at_once
        self._session = Session()
        self._deadlines = Deadlines(services.settings.session)
        self._outcome: Outcome | None = None
        self._is_stopping = False
        self._is_leaving = False
        self._fault: KioskAgentError | None = None
        self._camera = CameraWatch(services.camera, services.health)
        self._notice = words.DEVELOPMENT if services.settings.unsafe_variants else ""

    @property
    def session(self) -> Session:
        """Where the session stands."""
        return self._session

    def run(self, until: Until = Until.STOPPED) -> Outcome | None:
        """Run until stopped, or for so long; return the outcome that this waited for, or None.

        Raises KeypadFault where the keypad failed, unless it runs until it is stopped.
        """
        self._session = replace(self._session, is_client=until is Until.GRANTED)
        self._services.keypad.follow(self._session.step)
        if until is Until.ENDED:
            self.handle(Begun(Action.LOGIN))
        while not (self._is_stopping or self._may_leave or self._answers(until)):
            self.turn()
        if not self._is_stopping:  # else nobody looks any more, and a terminal may be gone
            self._show()
        if self._fault is not None:
            raise self._fault
        return self._outcome if self._answers(until) else None

    def _answers(self, until: Until) -> bool:
        if self._outcome is None or until is Until.STOPPED:
            return False
        return until is Until.ENDED or self._outcome.ending is Ending.GRANTED

    def stop(self) -> None:
        """Let `run` return soon; safe from a signal handler and from any thread."""
        self._is_stopping = True
        self._inbox.put(None)

    def leave(self) -> None:
        """Let `run` return as soon as nobody is served any more; safe from a signal handler."""
        self._is_leaving = True
        self._inbox.put(None)

    @property
    def _may_leave(self) -> bool:
        return self._is_leaving and self._session.step in {Step.ATTRACT, Step.OUT_OF_SERVICE}

    def fail(self, fault: KioskAgentError) -> None:
        """Let `run` raise soon: without this part there is no kiosk."""
        self._fault = fault
        self.stop()

    def turn(self) -> None:
        """Show the session, wait at most a second for an event, and handle it."""
        self._services.health.turn()
        if (found := self._camera.note(self._session.step)) is not None:
            self.handle(found)
        self._show()
        now = self._services.around.monotonic()
        left_s, reveal_s = self._deadlines.left_s(now), self._deadlines.reveal_left_s(now)
        if left_s == 0:
            return self.handle(TimedOut())
        if reveal_s == 0:
            return self.handle(Concealed())
        event = self._inbox.get(min(wait_s for wait_s in (left_s, reveal_s, _TICK_S) if wait_s is not None))
        if event is not None:
            self.handle(event)

    def handle(self, event: Event) -> None:
        """Advance the session by one event and do what it asks for."""
        before = self._session
        event = self._camera.instead_of(event)
        self._session, effects = advance(before, event)
        self._deadlines = self._deadlines.moved(before, self._session, self._services.around.monotonic())
        if isinstance(event, _PRESSES):
            self._services.indicators.click()
        if self._session.step is not before.step:
            self._services.keypad.follow(self._session.step)
            self._services.indicators.show(self._session.step)
            self._camera.follow(self._session.step)
        if isinstance(event, Granted) and self._session == before:
            _log().warning("grant_ignored", username=event.assertion.username, jti=event.assertion.jti)
        if isinstance(event, Changed) and self._session == before:
            _log().warning("change_ignored")
        if isinstance(event, ServiceDown) and self._session.step is Step.OUT_OF_SERVICE and before.step is Step.ATTRACT:
            _log().warning("out_of_service", ending=event.ending)
        for effect in effects:
            self._do(effect)

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, OpenAttempt | Capture | Submit):
            errand = effect
            self._start_errand(lambda: self._inbox.put(self._run(errand)))
        elif isinstance(effect, OpenDoor):
            self._start_door(partial(self._let_in, effect.assertion, self._session.ticket))
        elif isinstance(effect, Leave):
            self.leave()
        else:
            self._outcome = effect.outcome
            self._services.health.metrics.sessions.labels(effect.outcome.ending.value).inc()
            memory.trim()
            _log().info("session_ended", action=effect.outcome.action.value, ending=effect.outcome.ending.value)

    def _let_in(self, assertion: VerifiedAssertion, ticket: int) -> None:
        """In the door's thread: open it, and tell where it did not."""
        health = self._services.health
        try:
            self._services.door.open_for(assertion)
        except Exception as error:  # whatever it is, the person must not be left pulling at the door
            said = str(error) if isinstance(error, DoorFault) else f"the door broke: {type(error).__name__}"
            health.door_fault = said
            _log().error("door_fault", error=said, at=place(error), jti=assertion.jti)
            self._inbox.put(DoorFailed(ticket))
        else:
            health.door_fault = None

    def _run(self, errand: OpenAttempt | Capture | Submit) -> Event | None:
        """In the errands' thread: what came of it; a session that has moved on lets go of the camera at once."""

        def is_wanted() -> bool:
            return not self._is_stopping and self._session.ticket == errand.ticket

        return self._services.errands.run(errand, self._inbox.put, is_wanted)

    def _show(self) -> None:
        now = self._services.around.monotonic()
        shown = view(self._session, self._deadlines.left_s(now), self._frame(now))
        self._services.screen.show(shown)
        self._services.speech.follow(shown)

    def _frame(self, now: float) -> Frame:
        settings = self._services.settings
        return Frame(
            notice=self._notice or (words.DISK if self._services.health.disk_fault else ""),
            local=datetime.astimezone,  # the kiosk's own time zone, which a change of the clocks changes
            speaker=self._services.speakers.of(self._session.language or settings.screen.language),
            labels=self._services.keypad.labels,
            contact=settings.screen.contact,
            now=self._services.around.now(),
            since_s=now - self._deadlines.began,
            reveals=settings.session.reveal_s > 0,
        )


class Running:
    """An agent with its threads around it."""

    def __init__(self, services: Services, notifier: Notifier | None = None) -> None:
        self._services = services
        self._notifier = notifier or Notifier({})
        self._inbox = ThreadInbox()
        self._errands = ErrandThread()
        self._doors = ErrandThread("door")
        self._stopped = Flag()
        self.agent = Agent(services, self._inbox, self._errands.start, self._doors.start)

    def run(self, until: Until = Until.STOPPED) -> Outcome | None:
        """Start the threads, run the agent, and end both; see `Agent.run`.

        Only an agent that runs until it is stopped opens the local port; one login sends no heartbeats.
        """
        settings, is_service = self._services.settings, until is Until.STOPPED
        health = HealthServer(settings.health, self._services.health) if is_service and settings.health else None
        self._services.screen.connect(self._inbox.put, self._services.camera.latest)
        keys = KeyReader(self._services.keypad, self._services.health, self._inbox.put)
        give_up = None if is_service else self.agent.fail
        threads = [Thread(target=keys.run, args=(self._stopped, give_up), name="keypad", daemon=True)]
        if until is not Until.ENDED:
            beat = (keys.pass_on, self._stopped, settings.server.heartbeat_s)
            threads.append(Thread(target=self._services.heartbeat.run, args=beat, name="heartbeat", daemon=True))
            feed = (self._is_alive, self._stopped)
            threads.append(Thread(target=self._notifier.feed, args=feed, name="watchdog", daemon=True))
        for thread in threads:
            thread.start()
        if health is not None:
            health.start()
        try:
            return self.agent.run(until)
        finally:
            self._stopped.set()
            self._errands.close(settings.server.read_timeout_s)
            self._doors.close(_LAST_DOOR_S if is_service else _ONE_DOOR_S)
            if not is_service:
                self._services.door.settle()
            threads[0].join(2 * KEY_WAIT_S)
            if health is not None:
                health.stop()

    def _is_alive(self) -> bool:
        """Whether the loop turns and the camera's thread makes progress; systemd starts the agent anew where not."""
        still_s = self._services.around.monotonic() - self._services.camera.progress_at
        return self._services.health.is_alive and still_s < CAMERA_STALL_S


def _log() -> structlog.stdlib.BoundLogger:
    logger: structlog.stdlib.BoundLogger = structlog.get_logger("kiosk_agent.agent")
    return logger


def _at_once(job: Callable[[], None]) -> None:
    job()


NO_OUTCOME = Outcome(Ending.CANCELLED, "The agent was stopped.")
"""What `login()` returns when it was stopped before the session ended."""
