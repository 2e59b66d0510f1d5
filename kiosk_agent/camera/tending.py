"""What a camera's thread does next: open, read, look after it now and then, or leave it alone.

Told what is wanted and the time; each turn makes the calls that are due into the driver and notes what came
of them. After a fault the device is closed and opened again, at 0.5 s and then at intervals that double to
8 s, so that a kiosk is back within 10 s of the fault's end; a person who waits for a picture is reason to try at once.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from kiosk_agent.camera.condition import LASTS_S, Condition
from kiosk_agent.camera.driver import Bounds, Driver, Image
from kiosk_agent.errors import CameraFault
from kiosk_agent.vocabulary import CameraState

_RETRY_MIN_S: Final = 0.5
_RETRY_MAX_S: Final = 8.0
_LINGER_S: Final = 5.0
"""Left open for so long after the last picture that was asked for, since the next is often asked for soon."""

_GAP_S: Final = 1 / 60
"""Between two pictures of a stream, so that a driver which never waits does not take the processor."""

_PROBE_MAX_S: Final = LASTS_S + 2.0

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Wants:
    """What is wanted of the camera: to stream, to be ready for a person, a picture."""

    is_warm: bool = False
    is_ready: bool = False
    picture: bool = False


@dataclass(frozen=True, slots=True)
class Under:
    """A call into the driver that has not come back: when it began, and what it may take."""

    since: float
    timeout_s: float

    def is_late(self, now: float) -> bool:
        """Whether it takes longer than it may."""
        return now - self.since > self.timeout_s


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the camera. `number` counts its pictures, `readied` for how many
    people it was made ready, `faults` its faults."""

    state: CameraState = CameraState.OK
    fault: CameraFault | None = None
    picture: Image | None = None
    number: int = 0
    readied: int = 0
    faults: int = 0


class Tending:
    """One driver's round. Only the thread that turns it may call `turn` and `end`; all may read `seen` and `under`."""

    def __init__(self, driver: Driver, bounds: Bounds, monotonic: Callable[[], float]) -> None:
        self._driver = driver
        self._bounds = bounds
        self._monotonic = monotonic
        self._condition = Condition(bounds)
        self._is_open = False
        self._retry_at, self._retry_s = 0.0, _RETRY_MIN_S
        self._probe_at, self._probing_since = monotonic(), 0.0
        self._linger_until = 0.0
        self._was_warm = False
        self.seen = Seen()
        self.under: Under | None = None

    def turn(self, wants: Wants) -> float:
        """Do what is due; return the seconds until something is due again, unless more is wanted before."""
        try:
            wait_s = self._turn(wants)
        except CameraFault as fault:
            wait_s = self._failed(fault)
        except Exception as error:  # a driver may raise anything, and the thread must live to open it again
            wait_s = self._failed(CameraFault("driver", f"{type(error).__name__}: {error}"[:200], "restart the kiosk"))
        self._was_warm = wants.is_warm
        return wait_s

    def end(self) -> None:
        """Let go of the device; what it says to that is of no use any more."""
        try:
            self._close()
        except Exception as error:
            self.seen = replace(self.seen, fault=CameraFault("driver", str(error)[:200], "restart the kiosk"))

    def _turn(self, wants: Wants) -> float:
        now = self._monotonic()
        is_asked = wants.is_ready or wants.picture
        if self._was_warm and not wants.is_warm:
            self._linger_until = now
        if is_asked:
            self._linger_until = now + _LINGER_S
        elif self.seen.fault is not None and now < self._retry_at:
            return self._retry_at - now
        if is_asked or wants.is_warm:
            return self._serve(wants)
        if self.seen.fault is not None or now >= self._probe_at:
            return self._probe()
        if self._is_open and now < self._linger_until:
            return self._linger_until - now
        self._close()
        return self._probe_at - now

    def _serve(self, wants: Wants) -> float:
        """Somebody is there: be open, and read what is wanted or what streams."""
        if wants.is_ready or not self._is_open:
            self._open()
        self._probe_at, self._probing_since = self._monotonic() + self._bounds.probe_s, 0.0
        if wants.picture or (wants.is_warm and self._driver.is_live):
            self._read()
        else:
            self._works()
        if wants.is_ready:
            self.seen = replace(self.seen, readied=self.seen.readied + 1)
        return _GAP_S if wants.is_warm and self._driver.is_live else self._bounds.probe_s

    def _probe(self) -> float:
        """Nobody is there: take a picture, and more while it is in doubt how the camera is."""
        now = self._monotonic()
        self._probing_since = self._probing_since or now
        if not self._is_open:
            self._open()
        if self._driver.is_live:
            self._read()
        else:
            self._works()
        if self._condition.is_doubtful and now - self._probing_since < _PROBE_MAX_S:
            return _GAP_S
        self._probing_since = 0.0
        self._close()
        self._probe_at = now + self._bounds.probe_s
        return self._bounds.probe_s

    def _open(self) -> None:
        self._is_open = True  # a driver that fails on the way may hold the device already
        self._call(self._driver.open, self._bounds.open_timeout_s)

    def _read(self) -> None:
        began = self._monotonic()
        picture = self._call(self._driver.read, self._bounds.read_timeout_s)
        now = self._monotonic()
        is_new = self._condition.see(picture, now, now - began)
        if self._condition.state(now) is CameraState.FROZEN:
            raise CameraFault(
                "picture",
                f"has been the same for {LASTS_S:.0f} s and more",
                "unplug the camera and plug it in again, or restart the kiosk",
                CameraState.FROZEN,
            )
        # The server refuses equal pictures, and a slow camera gives some; a dark one is told of by what it gives.
        if is_new or not self._bounds.finds_frozen or self._condition.is_dark:
            self.seen = replace(self.seen, picture=picture, number=self.seen.number + 1)
            self._works()

    def _works(self) -> None:
        """It does what it should: forget the fault."""
        self._retry_s = _RETRY_MIN_S
        self.seen = replace(self.seen, state=self._condition.state(self._monotonic()), fault=None)

    def _failed(self, fault: CameraFault) -> float:
        try:
            self._close()
        except Exception:  # what the first fault says is nearer to the cause
            self._is_open = False
        wait_s, self._retry_s = self._retry_s, min(2 * self._retry_s, _RETRY_MAX_S)
        self._retry_at = self._monotonic() + wait_s
        self._probing_since = 0.0
        self.seen = replace(self.seen, state=fault.state, fault=fault, picture=None, faults=self.seen.faults + 1)
        return wait_s

    def _close(self) -> None:
        if self.seen.picture is not None:
            self.seen = replace(self.seen, picture=None)  # nobody is to be seen after the session
        if self._is_open:
            self._is_open = False
            self._call(self._driver.close, self._bounds.open_timeout_s)

    def _call(self, function: Callable[[], _T], timeout_s: float) -> _T:
        """What the function returns; raises CameraFault where it came back later than it may."""
        self.under = under = Under(self._monotonic(), timeout_s)
        try:
            result = function()
            if under.is_late(self._monotonic()):
                raise no_answer(timeout_s)
            return result
        finally:
            self.under = None


def no_answer(timeout_s: float) -> CameraFault:
    """The fault of a driver that does not come back."""
    advice = "unplug the camera and plug it in again, or restart the kiosk"
    return CameraFault("driver", f"gave no answer in {timeout_s:g} s", advice)
