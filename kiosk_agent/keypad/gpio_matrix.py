"""A matrix of keys at the GPIO pins of a Raspberry Pi, with gpiozero.

A row is pulled low, the columns are read against their pull-ups, and the row is let go before the next:
a row that is not being read is an input, so that two keys in one column never short two outputs.
"""

import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from threading import Event as Flag
from typing import Any, Final

from gpiozero.devices import Device
from gpiozero.exc import GPIOZeroError

from kiosk_agent.errors import BackendRefused, KeypadFault
from kiosk_agent.events import KeyEvent, Step
from kiosk_agent.keypad.backoff import Backoff
from kiosk_agent.keypad.matrix import Matrix, Place
from kiosk_agent.keypad.multitap import Multitap
from kiosk_agent.keypad.roles import Roles, labels
from kiosk_agent.settings.keypads import GpioMatrixKeypad


class GpioMatrixBackend:
    """Scans the pad in the thread that reads, and turns its strokes into text. `monotonic` is its clock."""

    def __init__(
        self,
        settings: GpioMatrixKeypad,
        *,
        is_production: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        del is_production  # no key of a pad can end the agent
        self._settings: Final = settings
        self._monotonic = monotonic
        self._closed = Flag()
        self._wait = wait or self._closed.wait
        self._matrix = Matrix(settings.keys, debounce_s=settings.debounce_s, stuck_s=settings.stuck_s)
        self._roles = Roles(settings.pressed, settings.held, settings.hold_s)
        self._text = Multitap(settings.letter_s)
        self._pending: deque[KeyEvent] = deque()
        self._backoff = Backoff()
        self._fault = ""
        self._pins: _Pins | None = None
        self.labels: Final = labels(settings.pressed, settings.held, settings.hold_s)
        try:
            self._pins = _opened(settings)
        except Exception as error:  # each pin library has errors of its own
            raise BackendRefused(f"{_problem(error)}; see docs/hardware.md for the pins of the keypad") from error

    @property
    def state(self) -> str:
        """What is wrong with the pad, as a sentence; empty where nothing is."""
        return self._fault or self._matrix.fault

    def follow(self, step: Step) -> None:
        """Take note of where the session stands: digits or letters."""
        self._text.follow(step)

    def read(self, timeout_s: float) -> KeyEvent | None:
        """Return the next key, or None when none came in time; raises KeypadFault while the pins cannot be read."""
        ends_s = self._monotonic() + timeout_s
        while not self._closed.is_set():
            self._pending.extend(self._text.due())
            if self._pending:
                return self._pending.popleft()
            pause_s = self._scan(timeout_s)
            left_s = ends_s - self._monotonic()
            if not self._pending:
                if left_s <= 0:
                    return None
                self._wait(min(pause_s, left_s))
        return None

    def close(self) -> None:
        """Make all pins inputs and give them back."""
        self._closed.set()
        self._let_go()

    def _scan(self, timeout_s: float) -> float:
        """Look at all keys once; return the seconds until the next look."""
        pins = self._pins or self._open_again(timeout_s)
        try:
            closed = pins.places()
        except Exception as error:  # each pin library has errors of its own
            self._let_go()
            self._fail(error)
            raise KeypadFault(self._fault) from error
        now_s = self._monotonic()
        keys = self._roles.tick(now_s)
        strokes = self._matrix.feed(closed, now_s)
        keys += [key for stroke in strokes for key in self._roles.feed(stroke)]
        for key in keys:
            self._pending.extend(self._text.press(key, now_s))
        return self._settings.scan_s if closed or self._matrix.is_moving else self._settings.rest_s

    def _open_again(self, timeout_s: float) -> "_Pins":
        left_s = self._backoff.left_s(self._monotonic())
        if left_s > 0:
            self._wait(min(left_s, timeout_s))
            raise KeypadFault(self._fault)
        try:
            self._pins = _opened(self._settings)
        except Exception as error:  # each pin library has errors of its own
            self._fail(error)
            raise KeypadFault(self._fault) from error
        self._backoff.worked()
        self._fault = ""
        return self._pins

    def _fail(self, error: Exception) -> None:
        self._fault = _problem(error)
        self._backoff.failed(self._monotonic())

    def _let_go(self) -> None:
        pins, self._pins = self._pins, None
        if pins is not None:
            pins.close()


class _Pins(Device):
    """The pins of rows and columns, reserved for nobody else."""

    def __init__(self, settings: GpioMatrixKeypad, factory: Any) -> None:
        super().__init__(pin_factory=factory)  # type: ignore[no-untyped-call]
        self._factory = factory
        self._opened: list[Any] = []
        self._rows: list[Any] = []
        self._columns: list[Any] = []
        try:
            self._factory.reserve_pins(self, *settings.rows, *settings.columns)
            self._rows += [self._pin(number, "floating") for number in settings.rows]
            self._columns += [self._pin(number, "up") for number in settings.columns]
        except BaseException:
            self.close()
            raise

    def places(self) -> frozenset[Place]:
        """Where a row meets a column now."""
        found: list[Place] = []
        for row, pin in enumerate(self._rows):
            pin.output_with_state(0)
            try:
                found += [(row, column) for column, line in enumerate(self._columns) if not line.state]
            finally:
                pin.input_with_pull("floating")
        return frozenset(found)

    def close(self) -> None:
        """Give the pins back as inputs."""
        opened, self._opened = self._opened, []
        for pin in opened:
            with suppress(GPIOZeroError, OSError):  # what is gone needs nothing put back
                pin.close()
        self._factory.release_all(self)
        super().close()  # type: ignore[no-untyped-call]

    def _pin(self, number: int, pull: str) -> Any:
        pin = self._factory.pin(number)
        self._opened.append(pin)
        pin.input_with_pull(pull)
        return pin


def _opened(settings: GpioMatrixKeypad) -> _Pins:
    Device.ensure_pin_factory()  # what raises here leaves no device to be closed
    return _Pins(settings, Device.pin_factory)


def _problem(error: Exception) -> str:
    return f"the keypad's pins cannot be read: {type(error).__name__}: {error}"
