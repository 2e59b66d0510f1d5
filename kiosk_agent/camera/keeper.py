"""Makes a camera of a driver: one thread makes all calls into it, and nobody else ever waits for long.

A call that hangs holds that one thread and no other: pictures are refused meanwhile, the state says that the
driver gives no answer, and `progress_at` stands still, for the watchdog. When it comes back, its late
result is thrown away and the device opened anew.
"""

from collections.abc import Callable
from dataclasses import replace
from threading import Condition, Thread
from typing import Final

from auth_contract.actions import Movement
from kiosk_agent.camera.driver import Bounds, Driver, Image
from kiosk_agent.camera.tending import Seen, Tending, Wants, no_answer
from kiosk_agent.errors import CameraFault
from kiosk_agent.vocabulary import CameraState

_ENDS_WITHIN_S: Final = 5.0
_AGAIN_S: Final = 1 / 60


class Keeper:
    """A camera; see `kiosk_agent.camera.Camera`. Pictures are for one thread at a time, all else for any."""

    def __init__(self, driver: Driver, bounds: Bounds, monotonic: Callable[[], float]) -> None:
        self._driver = driver
        self._bounds = bounds
        self._monotonic = monotonic
        self._tending = Tending(driver, bounds, monotonic)
        self._changed = Condition()
        self._wants = Wants()
        self._taken = 0
        self._is_stopping = False
        self._progress_at = monotonic()
        self._thread = Thread(target=self._work, name="camera", daemon=True)

    def start(self) -> None:
        """Begin to look after the camera."""
        self._thread.start()

    @property
    def state(self) -> CameraState:
        """How the camera is."""
        fault = self._fault()
        return self._tending.seen.state if fault is None else fault.state

    @property
    def fault(self) -> str | None:
        """What is wrong, as a sentence."""
        if (fault := self._fault()) is not None:
            return str(fault)
        return _WARNINGS.get(self._tending.seen.state)

    @property
    def form(self) -> str:
        """What the device said that it gives."""
        return self._driver.form

    @property
    def progress_at(self) -> float:
        """When it last did what it should: now, while it waits for what is due next."""
        under = self._tending.under
        if under is None and self._thread.is_alive():
            self._progress_at = self._monotonic()
        elif under is not None:
            self._progress_at = under.since
        return self._progress_at

    def warm(self, is_on: bool) -> None:
        """Stream, or no longer."""
        self._want(is_warm=is_on)

    def latest(self) -> Image | None:
        """Return the newest picture; None unless warm."""
        return self._tending.seen.picture if self._wants.is_warm else None

    def prepare(self) -> None:
        """Be open, and count no picture that was taken before; raises CameraFault."""
        readied = self._tending.seen.readied
        self._wait(Wants(is_ready=True), lambda seen: seen.readied > readied, self._limit_s)
        self._taken = self._tending.seen.number

    def grab(self) -> Image:
        """Return a picture that was not returned before; raises CameraFault."""
        while True:
            seen = self._wait(Wants(picture=True), self._has_untaken, self._limit_s)
            self._taken = seen.number
            if seen.picture is not None:  # else the device was let go of in between
                return seen.picture

    def follow(self, movement: Movement | None) -> None:
        """Tell the driver what the person is asked to do."""
        self._driver.follow(movement)

    def close(self) -> None:
        """End the thread, which lets go of the device; one that hangs does so when it comes back."""
        with self._changed:
            self._is_stopping = True
            self._changed.notify_all()
        if self._thread.is_alive() and self._late() is None:
            self._thread.join(_ENDS_WITHIN_S)

    # --- waiting

    @property
    def _limit_s(self) -> float:
        """For one picture, which may need an opening first, or a probe's end."""
        return self._bounds.read_timeout_s + self._bounds.open_timeout_s

    def _has_untaken(self, seen: Seen) -> bool:
        return seen.number > self._taken

    def _wait(self, wants: Wants, is_had: Callable[[Seen], bool], timeout_s: float) -> Seen:
        """Want this until it is had, and return what was seen then; raises what fails meanwhile."""
        if (late := self._late()) is not None:
            raise late
        if wants.picture and is_had(self._tending.seen):
            return self._tending.seen
        faults = self._tending.seen.faults
        self._want(is_ready=wants.is_ready, picture=wants.picture)

        def is_over() -> bool:
            seen = self._tending.seen
            return is_had(seen) or seen.faults > faults or self._is_stopping

        with self._changed:
            is_answered = self._changed.wait_for(is_over, timeout_s)
            seen = self._tending.seen
            self._wants = replace(self._wants, is_ready=False, picture=False)
        if self._is_stopping:
            raise _stopped()
        if not is_answered:
            raise self._late() or no_answer(timeout_s)
        if not is_had(seen) and seen.fault is not None:
            fault = seen.fault
            raise CameraFault(fault.device, fault.problem, fault.advice, fault.state)
        return seen

    def _want(self, **wants: bool) -> None:
        with self._changed:
            self._wants = replace(self._wants, **wants)
            self._changed.notify_all()

    # --- the thread

    def _work(self) -> None:
        while not self._is_stopping:
            wants, before = self._wants, self._tending.seen
            wait_s = self._tending.turn(wants)
            with self._changed:
                self._wants = _left_of(self._wants, wants, before, self._tending.seen)
                self._changed.notify_all()
                if wants.picture and self._wants.picture:  # it was equal to the one before
                    wait_s = _AGAIN_S
                self._sleep(wants, wait_s)
        self._tending.end()

    def _sleep(self, served: Wants, wait_s: float) -> None:
        """Wait until a turn is due, or something is wanted that was not served."""
        left = self._wants
        is_ready, picture = served.is_ready and left.is_ready, served.picture and left.picture

        def is_due() -> bool:
            now = self._wants
            is_more = now.is_ready > is_ready or now.picture > picture
            return self._is_stopping or is_more or now.is_warm is not served.is_warm

        self._changed.wait_for(is_due, wait_s)

    # --- what is known

    def _late(self) -> CameraFault | None:
        under = self._tending.under
        return no_answer(under.timeout_s) if under is not None and under.is_late(self._monotonic()) else None

    def _fault(self) -> CameraFault | None:
        return self._late() or self._tending.seen.fault


_WARNINGS: Final = {
    CameraState.DARK: "camera: sees next to nothing; take the cover off the lens, or give it light",
    CameraState.SLOW: "camera: its pictures come late; look at the cable and at what else the machine does",
}


def _left_of(wants: Wants, served: Wants, before: Seen, after: Seen) -> Wants:
    """What is still wanted after a turn: a fault answers all, and is tried again at once for somebody new only."""
    is_fault = after.faults > before.faults
    is_ready = wants.is_ready and not is_fault and not (served.is_ready and after.readied > before.readied)
    picture = wants.picture and not is_fault and not (served.picture and after.number > before.number)
    return replace(wants, is_ready=is_ready, picture=picture)


def _stopped() -> CameraFault:
    return CameraFault("driver", "was stopped", "start the kiosk")
